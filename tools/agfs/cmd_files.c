/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Commands about single files. */
#include "commands.h"
#include "stop.h"
#include "transfer.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int cmd_cat(struct cli *cli, const struct args *a)
{
    int code = 0;
    for (int i = 0; i < a->n && !stop_before(cli, a->n - i, &code); i++) {
        struct place p = place_of(cli, a->v[i]);
        keep_first(&code, transfer_print(cli, &p, a->has['f']));
        place_fini(&p);
    }
    return code;
}

int cmd_echo(struct cli *cli, const struct args *a)
{
    bool newline = a->n == 0 || strcmp(a->v[0], "-n") != 0;
    int first = newline ? 0 : 1;
    for (int i = first; i < a->n; i++)
        fprintf(cli->out, "%s%s", i > first ? " " : "", a->v[i]);
    if (newline)
        putc('\n', cli->out);
    return 0;
}

/* ---- changes of several files by one call each ---------------------------------------------- */

/* Carries out *req for each path from v[first] on. */
static int change_each(struct cli *cli, const struct args *a, int first, struct pfs_request *req,
                       bool missing_is_fine)
{
    int code = 0;
    for (int i = first; i < a->n && !stop_before(cli, a->n - i, &code); i++) {
        struct pfs_reply reply;
        char *path = path_resolve(cli->cwd, a->v[i]);
        req->path = path;
        enum pfs_class cls = pfs_call(cli->client, req, &reply);
        if (cls != PFS_OK && !(missing_is_fine && cls == PFS_NOTFOUND))
            keep_first(&code, cli_fail_change(cli, path, &reply.err));
        pfs_reply_fini(&reply);
        free(path);
    }
    return code;
}

int cmd_touch(struct cli *cli, const struct args *a)
{
    struct pfs_request req = PFS_REQUEST_INIT;
    req.op = PFS_OP_TOUCH;
    return change_each(cli, a, 0, &req, false);
}

/* "64KiB", "1M", "10": false when it is none. */
static bool parse_size(const char *s, int64_t *ret)
{
    static const char units[] = "KMGT";
    char *end;
    errno = 0;
    long long n = strtoll(s, &end, 10);
    if (errno || end == s || n < 0 || s[0] == '+')
        return false;
    const char *unit = *end ? strchr(units, *end) : NULL;
    int shift = 0;
    if (unit) {
        shift = 10 * (int)(unit - units + 1);
        end += strncmp(end + 1, "iB", 2) == 0 ? 3 : 1;
    } else if (*end == 'B') {
        end++;
    }
    if (*end || n > INT64_MAX >> shift)
        return false;
    *ret = (int64_t)n << shift;
    return true;
}

int cmd_truncate(struct cli *cli, const struct args *a)
{
    struct pfs_request req = PFS_REQUEST_INIT;
    req.op = PFS_OP_TRUNCATE;
    if (!a->has['s'])
        return cli_error(cli, EXIT_USAGE, "-s SIZE is missing");
    if (!parse_size(a->value['s'], &req.size))
        return cli_error(cli, EXIT_USAGE, "%s: a size like 0, 64KiB or 1M is expected",
                         a->value['s']);
    return change_each(cli, a, 0, &req, false);
}

int cmd_chmod(struct cli *cli, const struct args *a)
{
    struct pfs_request req = PFS_REQUEST_INIT;
    char *end;
    unsigned long mode = strtoul(a->v[0], &end, 8);
    if (*end || a->v[0][0] < '0' || a->v[0][0] > '7' || mode > 07777)
        return cli_error(cli, EXIT_USAGE, "%s: an octal mode like 644 is expected", a->v[0]);
    req.op = PFS_OP_CHMOD;
    req.mode = (uint32_t)mode;
    return change_each(cli, a, 1, &req, false);
}

int cmd_rm(struct cli *cli, const struct args *a)
{
    struct pfs_request req = PFS_REQUEST_INIT;
    bool all = a->has['r'] || a->has['R'];
    req.op = all ? PFS_OP_REMOVE_ALL : PFS_OP_REMOVE;
    for (int i = 0; i < a->n; i++) {
        char *path = path_resolve(cli->cwd, a->v[i]);
        bool root = strcmp(path, "/") == 0;
        free(path);
        if (root)
            return cli_error(cli, EXIT_USAGE, "%s: refusing to remove the root", a->v[i]);
    }
    return change_each(cli, a, 0, &req, a->has['f']);
}

/* ---- links and digests ---------------------------------------------------------------------- */

int cmd_ln(struct cli *cli, const struct args *a)
{
    struct pfs_error err;
    int code = 0;
    if (!a->has['s'])
        return cli_error(cli, EXIT_USAGE, "only symbolic links exist here: ln -s TARGET LINK");
    char *link = path_resolve(cli->cwd, a->v[1]);
    if (pfs_symlink(cli->client, a->v[0], link, &err) != PFS_OK)
        code = cli_fail_change(cli, link, &err);
    free(link);
    return code;
}

int cmd_readlink(struct cli *cli, const struct args *a)
{
    int code = 0;
    for (int i = 0; i < a->n && !stop_before(cli, a->n - i, &code); i++) {
        struct pfs_error err;
        char *target, *path = path_resolve(cli->cwd, a->v[i]);
        if (pfs_readlink(cli->client, path, &target, &err) == PFS_OK) {
            cli_put_text(cli, target);
            putc('\n', cli->out);
            free(target);
        } else {
            keep_first(&code, cli_fail(cli, path, &err));
        }
        free(path);
    }
    return code;
}

int cmd_digest(struct cli *cli, const struct args *a)
{
    bool named = strcmp(a->v[0], "xxh3") == 0 || strcmp(a->v[0], "md5") == 0;
    const char *algorithm = named ? a->v[0] : "xxh3";
    int code = 0;
    if (named && a->n == 1)
        return cli_error(cli, EXIT_USAGE, "a path is missing");
    for (int i = named ? 1 : 0; i < a->n && !stop_before(cli, a->n - i, &code); i++) {
        struct pfs_error err;
        char *hex, *path = path_resolve(cli->cwd, a->v[i]);
        if (pfs_digest(cli->client, path, algorithm, &hex, &err) == PFS_OK) {
            fprintf(cli->out, "%s  ", hex);
            cli_put_text(cli, path);
            putc('\n', cli->out);
            free(hex);
        } else {
            keep_first(&code, cli_fail(cli, path, &err));
        }
        free(path);
    }
    return code;
}
