/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * What the mount layer itself shows: directories above mounts, mount points and links in listings
 * (agfs-http-api.md 5.3, 5.4).
 */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/reply.h"
#include "driver_util.h"
#include "vfs_internal.h"
#include <stdlib.h>
#include <string.h>

bool vfs_fill_entry(struct pfs_stat *st, const char *name, const char *meta_name,
                    const char *meta_type)
{
    st->mode = 0755;
    st->is_dir = true;
    st->mtime_ns = pfs_wall_now();
    return pfs_stat_fill(st, name, meta_name, meta_type);
}

static bool stop_at_first(void *arg, const char *name)
{
    *(bool *)arg = true;
    return false;
}

bool vfs_is_virtual_dir(struct vfs *v, const char *path)
{
    bool any = path[1] == '\0';

    if (!any) {
        vfs_each_child(v, path, stop_at_first, &any);
    }
    return any;
}

/* Adding the mount layer's entries to a listing. */
struct adding {
    struct pfs_reply *reply;
    const char **names; /* of the driver's entries, sorted; NULL: not needed yet */
    size_t cap, n_driver, n_mounts;
    const char *meta_name;
    bool link;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int is_called(const void *name, const void *st)
{
    return strcmp(name, ((const struct pfs_stat *)st)->name);
}

/* False: out of memory. */
static bool sort_names(struct adding *a)
{
    if (a->names) {
        return true;
    }
    a->names = pfs_malloc((a->n_driver + 1) * sizeof *a->names);
    for (size_t i = 0; a->names && i < a->n_driver; i++) {
        a->names[i] = a->reply->list[i].name;
    }
    if (a->names) {
        qsort(a->names, a->n_driver, sizeof *a->names, by_name);
    }
    return a->names != NULL;
}

/* Directories and tables of links are large: neither is walked through for each other's entries. */
static bool is_listed(const struct adding *a, const char *name)
{
    return bsearch(&name, a->names, a->n_driver, sizeof *a->names, by_name) ||
           (a->n_mounts > 0 && /* they came in byte order, and so do links, each once */
            bsearch(name, a->reply->list + a->n_driver, a->n_mounts, sizeof *a->reply->list,
                    is_called));
}

static bool add_name(void *arg, const char *name)
{
    struct adding *a = arg;

    if (!sort_names(a)) {
        pfs_nomem(&a->reply->err, "a listing");
        return false;
    }
    if (is_listed(a, name)) {
        return true;
    }
    struct pfs_stat *st = reply_add_entry(a->reply, &a->cap);

    if (!st || !vfs_fill_entry(st, name, a->meta_name, a->link ? "symlink" : "mount-point")) {
        pfs_nomem(&a->reply->err, "a listing");
        return false;
    }
    if (a->link) {
        st->mode = 0777;
        st->is_dir = false;
    } else {
        a->n_mounts++;
    }
    return true;
}

static void add_children(struct vfs *v, const char *dir, const char *meta_name,
                         struct pfs_reply *reply)
{
    struct adding a = {
        .reply = reply, .cap = reply->n_list, .n_driver = reply->n_list, .meta_name = meta_name};

    vfs_each_child(v, dir, add_name, &a);
    a.link = true;
    links_each(v->links, dir, add_name, &a);
    pfs_free(a.names);
}

void vfs_add_children(struct vfs *v, const char *dir, struct pfs_reply *reply)
{
    add_children(v, dir, "", reply);
}

static int by_type_and_name(const void *a, const void *b)
{
    const struct pfs_stat *x = a, *y = b;

    if (x->is_dir != y->is_dir) { /* links come last */
        return x->is_dir ? -1 : 1;
    }
    return strcmp(x->name, y->name);
}

void vfs_virtual(struct vfs *v, const char *op, struct vcall *c)
{
    struct pfs_reply *r = &c->reply;
    bool root = c->full[1] == '\0';

    if (c->req.op == PFS_OP_STAT && vfs_is_virtual_dir(v, c->full)) {
        if (!vfs_fill_entry(&r->stat, pfs_path_base(c->full), "", root ? "root" : "mount-point")) {
            pfs_nomem(&r->err, "stat");
        }
        return;
    }
    if (c->req.op == PFS_OP_READDIR) {
        add_children(v, c->full, "rootfs", r);
        if (r->n_list > 0) {
            qsort(r->list, r->n_list, sizeof *r->list, by_type_and_name);
        }
        if (r->n_list > 0 || root) {
            return;
        }
    }
    if (c->req.op == PFS_OP_CREATE || c->req.op == PFS_OP_MKDIR) {
        pfs_refuse(&r->err, PFS_DENIED,
                   "%s: %s: permission denied (not allowed to create %s in rootfs, use mount "
                   "instead)",
                   op, c->full, c->req.op == PFS_OP_MKDIR ? "directory" : "file");
        return;
    }
    pfs_refuse(&r->err, PFS_NOTFOUND, "%s: %s: not found", op, c->full);
}
