/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "redirect.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Sends what waits as the beginning of a stream. */
static void start_streaming(struct redirection *r)
{
    r->code = sink_open(r->cli, &r->target, -1, r->flags, &r->sink);
    if (r->flags && !r->target.local && r->code == pfs_class_exit(PFS_UNSUPPORTED))
        r->code = cli_error(r->cli, r->code,
                            "%s: the server cannot append more than %u MiB at once; nothing was "
                            "written",
                            r->target.path, REDIRECT_WHOLE_MAX >> 20);
    if (r->code)
        return;
    r->streaming = true;
    r->code = sink_write(r->cli, &r->sink, r->head.s, r->head.len);
    free(text_take(&r->head));
}

static void put(struct redirection *r, const char *buf, size_t len)
{
    if (r->code == 0 && r->streaming)
        r->code = sink_write(r->cli, &r->sink, buf, len);
    else if (r->code == 0)
        text_add(&r->head, buf, len);
    if (r->code == 0 && !r->streaming && r->head.len > REDIRECT_WHOLE_MAX)
        start_streaming(r);
}

/* Callback of the FILE that the command prints to. */
static ssize_t write_cb(void *cookie, const char *buf, size_t len)
{
    struct redirection *r = cookie;
    FILE *own = r->cli->out;
    /* An error line has cli->out flushed first: that must not lead here again. */
    r->cli->out = r->saved_out;
    put(r, buf, len);
    r->cli->out = own;
    if (r->code == 0)
        return (ssize_t)len;
    errno = EPIPE; /* the error is told already: whoever prints has nothing to add */
    return 0;
}

void redirect_begin(struct redirection *r, struct cli *cli, enum redirect how, const char *target)
{
    *r = (struct redirection){.cli = cli, .saved_out = cli->out, .saved_terminal = cli->terminal};
    r->target = place_of(cli, target);
    r->flags = how == REDIRECT_APPEND ? PFS_WRITE_APPEND | PFS_WRITE_CREATE : 0;
    if (path_wants_directory(target))
        r->code = cli_error(cli, EXIT_OTHER, "%s: is a directory", target);
    cli->out = fopencookie(r, "w", (cookie_io_functions_t){.write = write_cb});
    if (cli->out == NULL) {
        cli->out = r->saved_out;
        r->code = cli_error(cli, pfs_class_exit(PFS_NOMEM), "%s: out of memory", target);
    }
    cli->terminal = false;
}

/* One write of everything, and what the server says to it. */
static int write_whole(struct redirection *r)
{
    struct cli *cli = r->cli;
    struct pfs_reply reply;
    struct pfs_request req = PFS_REQUEST_INIT;
    int code = 0;
    req.op = PFS_OP_WRITE;
    req.path = r->target.path;
    req.data = r->head.s ? r->head.s : "";
    req.len = r->head.len;
    req.flags = r->flags;
    if (pfs_call(cli->client, &req, &reply) == PFS_OK)
        cli_put_message(cli, reply.text);
    else
        code = cli_fail_change(cli, r->target.path, &reply.err);
    if (reply.err.cls == PFS_UNSUPPORTED && r->flags)
        code = cli_error(cli, code, "%s: the server cannot append; nothing was written",
                         r->target.path);
    pfs_reply_fini(&reply);
    return code;
}

int redirect_end(struct redirection *r, bool commit)
{
    struct cli *cli = r->cli;
    if (cli->out != r->saved_out)
        fclose(cli->out);
    cli->out = r->saved_out;
    cli->terminal = r->saved_terminal;
    if (commit && r->code == 0 && r->target.local && !r->streaming)
        start_streaming(r);
    if (commit && r->code == 0)
        r->code = r->streaming ? sink_finish(cli, &r->sink) : write_whole(r);
    if (r->streaming)
        sink_close(&r->sink);
    free(text_take(&r->head));
    place_fini(&r->target);
    return r->code;
}
