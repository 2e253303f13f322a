/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Commands about directories and what is in them. */
#include "cancel.h"
#include "commands.h"
#include "path.h"
#include "stop.h"
#include <stdlib.h>
#include <string.h>

#define TREE_DEPTH_MAX 64 /* a directory below itself ends here */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct pfs_stat *)a)->name, ((const struct pfs_stat *)b)->name);
}

/* A sorted listing. */
static enum pfs_class read_sorted(struct cli *cli, const char *path, struct pfs_list *ret,
                                  struct pfs_error *err)
{
    enum pfs_class cls = pfs_readdir(cli->client, path, ret, err);
    if (cls == PFS_OK && ret->n > 1)
        qsort(ret->entries, ret->n, sizeof(*ret->entries), by_name);
    return cls;
}

/* ---- ls ------------------------------------------------------------------------------------ */

static void put_entry(struct cli *cli, const struct args *a, const struct pfs_stat *st)
{
    if (a->has['l']) {
        cli_put_long(cli, st);
        return;
    }
    cli_put_text(cli, st->name);
    putc('\n', cli->out);
}

static void put_entries(struct cli *cli, const struct args *a, const struct pfs_stat *entries,
                        size_t n)
{
    if (a->json)
        putc('[', cli->out);
    for (size_t i = 0; i < n; i++) {
        if (a->json && i)
            putc(',', cli->out);
        if (a->json)
            cli_put_stat_json(cli, &entries[i]);
        else
            put_entry(cli, a, &entries[i]);
    }
    if (a->json)
        fputs("]\n", cli->out);
}

static int list_path(struct cli *cli, const struct args *a, const char *path)
{
    struct pfs_list list;
    struct pfs_stat st;
    struct pfs_error err;
    if (read_sorted(cli, path, &list, &err) == PFS_OK) {
        if (a->n > 1 && !a->json) {
            cli_put_text(cli, path);
            fputs(":\n", cli->out);
        }
        put_entries(cli, a, list.entries, list.n);
        pfs_list_fini(&list);
        return 0;
    }
    /* Servers word "not a directory" in many ways; asking is surer. */
    if (err.cls != PFS_NOTFOUND && err.phase == PFS_PHASE_REPLY &&
        pfs_stat(cli->client, path, &st, NULL) == PFS_OK) {
        bool file = !st.is_dir;
        if (file)
            put_entries(cli, a, &st, 1);
        pfs_stat_fini(&st);
        if (file)
            return 0;
    }
    return cli_fail(cli, path, &err);
}

int cmd_ls(struct cli *cli, const struct args *a)
{
    int code = 0;
    if (a->n == 0)
        return list_path(cli, a, cli->cwd);
    for (int i = 0; i < a->n && !stop_before(cli, a->n - i, &code); i++) {
        char *path = path_resolve(cli->cwd, a->v[i]);
        keep_first(&code, list_path(cli, a, path));
        free(path);
    }
    return code;
}

int cmd_stat(struct cli *cli, const struct args *a)
{
    int code = 0;
    for (int i = 0; i < a->n && !stop_before(cli, a->n - i, &code); i++) {
        struct pfs_error err;
        struct pfs_stat st;
        char *path = path_resolve(cli->cwd, a->v[i]);
        if (pfs_stat(cli->client, path, &st, &err) != PFS_OK) {
            keep_first(&code, cli_fail(cli, path, &err));
        } else {
            if (a->json) {
                cli_put_stat_json(cli, &st);
                putc('\n', cli->out);
            } else {
                cli_put_stat(cli, &st);
            }
            pfs_stat_fini(&st);
        }
        free(path);
    }
    return code;
}

/* ---- mkdir --------------------------------------------------------------------------------- */

/* Whether path is a directory; on an error that is not "missing" *ret_code is its exit code. */
static bool is_directory(struct cli *cli, const char *path, int *ret_code)
{
    struct pfs_stat st;
    struct pfs_error err;
    *ret_code = 0;
    if (pfs_stat(cli->client, path, &st, &err) != PFS_OK) {
        if (err.cls != PFS_NOTFOUND)
            *ret_code = cli_fail(cli, path, &err);
        return false;
    }
    bool dir = st.is_dir;
    pfs_stat_fini(&st);
    if (!dir)
        *ret_code = cli_error(cli, pfs_class_exit(PFS_EXISTS), "%s: not a directory", path);
    return dir;
}

static int make_directory(struct cli *cli, const char *path)
{
    struct pfs_error err;
    return pfs_mkdir(cli->client, path, 0755, &err) == PFS_OK ? 0
                                                              : cli_fail_change(cli, path, &err);
}

/* mkdir -p: from the root down, what is missing. Someone else may make it at the same time. */
static int make_all(struct cli *cli, const char *path)
{
    struct pfs_error err;
    int code;
    if (is_directory(cli, path, &code) || code)
        return code;
    char *parent = path_parent(path);
    if (strcmp(parent, "/") != 0)
        code = make_all(cli, parent);
    free(parent);
    if (code || pfs_mkdir(cli->client, path, 0755, &err) == PFS_OK)
        return code;
    if (err.cls == PFS_EXISTS && is_directory(cli, path, &code))
        return 0;
    return code ? code : cli_fail_change(cli, path, &err);
}

int cmd_mkdir(struct cli *cli, const struct args *a)
{
    int code = 0;
    for (int i = 0; i < a->n && !stop_before(cli, a->n - i, &code); i++) {
        char *path = path_resolve(cli->cwd, a->v[i]);
        keep_first(&code, a->has['p'] ? make_all(cli, path) : make_directory(cli, path));
        free(path);
    }
    return code;
}

/* ---- tree ---------------------------------------------------------------------------------- */

struct tree {
    struct cli *cli;
    size_t n_dirs, n_files;
    int code;
};

static void tree_below(struct tree *t, const char *path, const char *indent, int depth)
{
    struct pfs_list list;
    struct pfs_error err;
    if (read_sorted(t->cli, path, &list, &err) != PFS_OK) {
        keep_first(&t->code, cli_fail(t->cli, path, &err));
        return;
    }
    for (size_t i = 0; i < list.n && !stop_asked(t->cli); i++) {
        const struct pfs_stat *st = &list.entries[i];
        bool last = i + 1 == list.n;
        fprintf(t->cli->out, "%s%s", indent, last ? "└── " : "├── ");
        cli_put_text(t->cli, st->name);
        putc('\n', t->cli->out);
        *(st->is_dir ? &t->n_dirs : &t->n_files) += 1;
        if (!st->is_dir || !name_is_safe(st->name))
            continue;
        char *below = path_join(path, st->name);
        char *deeper = xasprintf("%s%s", indent, last ? "    " : "│   ");
        if (depth < TREE_DEPTH_MAX)
            tree_below(t, below, deeper, depth + 1);
        else
            keep_first(&t->code, cli_error(t->cli, EXIT_OTHER, "%s: too deep", below));
        free(deeper);
        free(below);
    }
    pfs_list_fini(&list);
}

int cmd_tree(struct cli *cli, const struct args *a)
{
    struct tree t = {.cli = cli};
    char *path = path_resolve(cli->cwd, a->n ? a->v[0] : ".");
    cli_put_text(cli, path);
    putc('\n', cli->out);
    tree_below(&t, path, "", 1);
    free(path);
    if (cancel_asked())
        return cli_error(cli, EXIT_CANCEL, "cancelled: the tree is not complete");
    fprintf(cli->out, "\n%zu director%s, %zu file%s\n", t.n_dirs, t.n_dirs == 1 ? "y" : "ies",
            t.n_files, t.n_files == 1 ? "" : "s");
    return t.code;
}

/* ---- where we are --------------------------------------------------------------------------- */

int cmd_cd(struct cli *cli, const struct args *a)
{
    const char *to = a->n == 0 ? "/" : strcmp(a->v[0], "-") == 0 ? cli->old_cwd : a->v[0];
    char *path = path_resolve(cli->cwd, to);
    struct pfs_stat st;
    struct pfs_error err;
    int code = 0;
    if (pfs_stat(cli->client, path, &st, &err) != PFS_OK) {
        code = cli_fail(cli, path, &err);
    } else {
        if (!st.is_dir)
            code = cli_error(cli, pfs_class_exit(PFS_BADARG), "%s: not a directory", path);
        pfs_stat_fini(&st);
    }
    if (code) {
        free(path);
        return code;
    }
    free(cli->old_cwd);
    cli->old_cwd = cli->cwd;
    cli->cwd = path;
    return 0;
}

int cmd_pwd(struct cli *cli, const struct args *a)
{
    (void)a;
    cli_put_text(cli, cli->cwd);
    putc('\n', cli->out);
    return 0;
}
