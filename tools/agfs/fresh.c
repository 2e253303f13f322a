/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "fresh.h"

#define USUAL_MODE 0644 /* of a new file, on every server */
#define SECRET_MODE 0600

/* What the server says to it does not matter; that it says nothing does. */
static int change_mode(struct cli *cli, const char *path, unsigned mode)
{
    struct pfs_request req = PFS_REQUEST_INIT;
    struct pfs_reply reply;
    int code = 0;
    req.op = PFS_OP_CHMOD;
    req.path = path;
    req.mode = mode;
    if (pfs_call(cli->client, &req, &reply) != PFS_OK && reply.err.phase != PFS_PHASE_REPLY)
        code = cli_fail_change(cli, path, &reply.err);
    pfs_reply_fini(&reply);
    return code;
}

/* Where a file cannot be made empty, the content may be possible all the same. */
static int make_empty(struct cli *cli, struct fresh *f)
{
    struct pfs_error err;
    if (pfs_create(cli->client, f->path, &err) != PFS_OK)
        return err.phase == PFS_PHASE_REPLY ? 0 : cli_fail_change(cli, f->path, &err);
    f->is_made = true;
    return change_mode(cli, f->path, SECRET_MODE);
}

int fresh_begin(struct cli *cli, const struct place *to, unsigned mode, struct fresh *ret)
{
    struct pfs_stat st;
    struct pfs_error err;
    *ret = (struct fresh){.mode = mode};
    if (to->local || mode == 0 || mode == USUAL_MODE)
        return 0;
    if (pfs_stat(cli->client, to->path, &st, &err) == PFS_OK) {
        pfs_stat_fini(&st);
        return 0;
    }
    if (err.cls != PFS_NOTFOUND)
        return cli_fail(cli, to->path, &err);
    ret->path = to->path;
    return (USUAL_MODE & ~mode) ? make_empty(cli, ret) : 0;
}

int fresh_end(struct cli *cli, const struct fresh *f, int code)
{
    struct pfs_error err;
    if (f->path && code == 0)
        return change_mode(cli, f->path, f->mode);
    if (f->is_made && pfs_remove(cli->client, f->path, &err) != PFS_OK && err.cls != PFS_NOTFOUND)
        cli_error(cli, 0, "%s: left behind: %s", f->path, err.text);
    return code;
}

void fresh_narrow(struct cli *cli, const char *path, unsigned mode)
{
    struct pfs_stat st;
    if (mode == 0 || pfs_stat(cli->client, path, &st, NULL) != PFS_OK)
        return;
    if (st.mode & 0777 & ~mode)
        change_mode(cli, path, st.mode & 0777 & mode);
    pfs_stat_fini(&st);
}
