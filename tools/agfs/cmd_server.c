/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Commands about the server and the connection to it. */
#include "commands.h"
#include "doc.h"
#include "path.h"
#include <stdlib.h>
#include <string.h>

int cmd_health(struct cli *cli, const struct args *a)
{
    struct pfs_request req = PFS_REQUEST_INIT;
    struct pfs_reply reply;
    int code = 0;
    req.op = PFS_OP_HEALTH;
    if (pfs_call(cli->client, &req, &reply) != PFS_OK)
        code = cli_fail(cli, cli->server, &reply.err);
    struct doc *j = code == 0 && reply.len ? doc_read(reply.data, reply.len) : NULL;
    if (code == 0 && a->json) {
        if (j)
            doc_put(cli->out, j);
        else
            fputs("{\"status\":\"healthy\"}", cli->out);
        putc('\n', cli->out);
    } else if (code == 0) {
        cli_put_text(cli, doc_text(j, "status", "healthy"));
        const char *version = doc_text(j, "version", "");
        fprintf(cli->out, "%s", version[0] ? ", version " : "");
        cli_put_text(cli, version);
        fprintf(cli->out, ", %s\n", cli->server);
    }
    doc_free(j);
    pfs_reply_fini(&reply);
    return code;
}

int cmd_capabilities(struct cli *cli, const struct args *a)
{
    struct pfs_matches features;
    struct pfs_error err;
    char *version;
    if (pfs_capabilities(cli->client, &version, &features, &err) != PFS_OK)
        return cli_fail(cli, cli->server, &err);
    if (a->json) {
        fputs("{\"version\":", cli->out);
        doc_put_string(cli->out, version);
        fputs(",\"features\":[", cli->out);
    } else {
        fputs("version: ", cli->out);
        cli_put_text(cli, version);
        fputs("\nfeatures:", cli->out);
    }
    for (size_t i = 0; i < features.n; i++) {
        fputs(a->json ? (i ? "," : "") : " ", cli->out);
        if (a->json)
            doc_put_string(cli->out, features.matches[i].file);
        else
            cli_put_text(cli, features.matches[i].file);
    }
    fputs(a->json ? "]}\n" : "\n", cli->out);
    pfs_matches_fini(&features);
    free(version);
    return 0;
}

/* ---- reload -------------------------------------------------------------------------------- */

static int reload_own(struct cli *cli)
{
    struct pfs_error err;
    if (pfs_reload(cli->client, &err) != PFS_OK)
        return cli_fail(cli, cli->server, &err);
    fprintf(cli->out, "connection to %s reloaded\n", cli->server);
    return 0;
}

/* 0 when `control` is the control file of a proxyfs. A file of that name elsewhere is a user's. */
static int find_control(struct cli *cli, const char *control, const char *mount)
{
    struct pfs_stat st;
    struct pfs_error err;
    bool found = pfs_stat(cli->client, control, &st, &err) == PFS_OK, is_control = false;
    if (found) {
        is_control = st.meta_type && strcmp(st.meta_type, "control") == 0;
        pfs_stat_fini(&st);
    } else if (err.cls != PFS_NOTFOUND) {
        return cli_fail(cli, control, &err);
    }
    return is_control ? 0
                      : cli_error(cli, pfs_class_exit(PFS_NOTFOUND),
                                  "%s: no proxyfs is mounted there; `mounts` lists them", mount);
}

/* What `echo '' > CONTROL` does. */
static int write_control(struct cli *cli, const char *control)
{
    struct pfs_request req = PFS_REQUEST_INIT;
    struct pfs_reply reply;
    int code = 0;
    req.op = PFS_OP_WRITE;
    req.path = control;
    req.data = "\n";
    req.len = 1;
    if (pfs_call(cli->client, &req, &reply) == PFS_OK)
        cli_put_message(cli, reply.text);
    else
        code = cli_fail_change(cli, control, &reply.err);
    pfs_reply_fini(&reply);
    return code;
}

int cmd_reload(struct cli *cli, const struct args *a)
{
    if (a->n == 0)
        return reload_own(cli);
    char *path = path_resolve(cli->cwd, a->v[0]);
    bool complete = strcmp(path_base(path), "reload") == 0;
    char *mount = complete ? path_parent(path) : xstrdup(path);
    char *control = path_join(mount, "reload");
    int code = find_control(cli, control, mount);
    if (code == 0)
        code = write_control(cli, control);
    free(control);
    free(mount);
    free(path);
    return code;
}
