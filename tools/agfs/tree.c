/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "tree.h"
#include "cancel.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define TREE_DEPTH_MAX 64 /* a directory below itself ends here */

static enum kind kind_of_mode(mode_t mode)
{
    return S_ISDIR(mode) ? KIND_DIR : S_ISREG(mode) ? KIND_FILE : KIND_OTHER;
}

static enum kind kind_of_stat(const struct pfs_stat *st)
{
    if (st->is_dir)
        return KIND_DIR;
    return st->meta_type && strcmp(st->meta_type, "control") == 0 ? KIND_CONTROL : KIND_FILE;
}

/* Those of a control file say what may be done with it, not who may see what it gave. */
static unsigned mode_of_stat(const struct pfs_stat *st)
{
    return kind_of_stat(st) == KIND_CONTROL ? 0 : st->mode & 0777;
}

static unsigned mode_of_local(const struct stat *st)
{
    return S_ISREG(st->st_mode) || S_ISDIR(st->st_mode) ? st->st_mode & 0777 : 0;
}

int place_look(struct cli *cli, struct place *p, enum kind *ret)
{
    struct stat local;
    struct pfs_stat st;
    struct pfs_error err;
    if (p->local) {
        if (strcmp(p->path, "-") == 0) {
            *ret = KIND_OTHER;
        } else if (stat(p->path, &local) == 0) {
            *ret = kind_of_mode(local.st_mode);
            p->mode = mode_of_local(&local);
        } else if (errno == ENOENT) {
            *ret = KIND_NONE;
        } else {
            return cli_fail_local(cli, p->path, errno);
        }
        return 0;
    }
    enum pfs_class cls = pfs_stat(cli->client, p->path, &st, &err);
    if (cls != PFS_OK && cls != PFS_NOTFOUND)
        return cli_fail(cli, p->path, &err);
    *ret = cls == PFS_NOTFOUND ? KIND_NONE : kind_of_stat(&st);
    if (cls == PFS_OK) {
        p->mode = mode_of_stat(&st);
        pfs_stat_fini(&st);
    }
    return 0;
}

int place_kind(struct cli *cli, const struct place *p, enum kind *ret)
{
    struct place copy = *p;
    return place_look(cli, &copy, ret);
}

/* ---- trees --------------------------------------------------------------------------------- */

static void add(struct entries *l, const char *name, enum kind kind, unsigned mode)
{
    l->v = (l->n & (l->n - 1)) == 0 ? xrealloc(l->v, (l->n ? l->n * 2 : 1) * sizeof(*l->v)) : l->v;
    l->v[l->n++] = (struct entry){.name = xstrdup(name), .kind = kind, .mode = mode};
}

void tree_fini(struct entries *l)
{
    for (size_t i = 0; i < l->n; i++) {
        tree_fini(&l->v[i].below);
        free(l->v[i].name);
    }
    free(l->v);
    *l = (struct entries){0};
}

static int add_local(struct cli *cli, const char *path, DIR *d, const char *name,
                     struct entries *ret)
{
    struct stat st;
    if (fstatat(dirfd(d), name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        add(ret, name, kind_of_mode(st.st_mode), mode_of_local(&st));
        return 0;
    }
    int eno = errno;
    char *show = path_join(path, name);
    int code = cli_fail_local(cli, show, eno);
    free(show);
    return code;
}

static void read_local(struct cli *cli, const char *path, struct entries *ret)
{
    DIR *d = opendir(path);
    const struct dirent *e;
    if (d == NULL) {
        ret->code = cli_fail_local(cli, path, errno);
        return;
    }
    for (errno = 0; (e = readdir(d)) != NULL; errno = 0)
        if (name_is_safe(e->d_name))
            keep_first(&ret->code, add_local(cli, path, d, e->d_name, ret));
    if (errno)
        keep_first(&ret->code, cli_fail_local(cli, path, errno));
    closedir(d);
}

static void read_remote(struct cli *cli, const char *path, struct entries *ret)
{
    struct pfs_list list;
    struct pfs_error err;
    if (pfs_readdir(cli->client, path, &list, &err) != PFS_OK) {
        ret->code = cli_fail(cli, path, &err);
        return;
    }
    atomic_store(&cli->n_timeouts, 0);
    /* A name such as "../x" must not lead out of the target: it is no file then. */
    for (size_t i = 0; i < list.n; i++) {
        const struct pfs_stat *st = &list.entries[i];
        add(ret, st->name, name_is_safe(st->name) ? kind_of_stat(st) : KIND_OTHER,
            mode_of_stat(st));
    }
    pfs_list_fini(&list);
}

static void read_at(struct cli *cli, const struct place *p, int depth, struct entries *ret)
{
    *ret = (struct entries){0};
    if (cancel_asked())
        ret->code = EXIT_CANCEL;
    else if (atomic_load(&cli->unreachable)) /* which has been reported */
        ret->code = pfs_class_exit(PFS_CONN);
    else if (depth > TREE_DEPTH_MAX)
        ret->code = cli_error(cli, EXIT_OTHER, "%s: too deep", p->path);
    else if (p->local)
        read_local(cli, p->path, ret);
    else
        read_remote(cli, p->path, ret);
    for (size_t i = 0; i < ret->n; i++) {
        if (ret->v[i].kind != KIND_DIR)
            continue;
        struct place below = place_inside(p, ret->v[i].name);
        read_at(cli, &below, depth + 1, &ret->v[i].below);
        place_fini(&below);
    }
}

void tree_read(struct cli *cli, const struct place *p, struct entries *ret)
{
    read_at(cli, p, 1, ret);
}
