/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Operations on symbolic links themselves: those of the server's table, and of drivers that have
 * links of their own (agfs-http-api.md 4.16, 5.4). */
#include "base/alloc.h"
#include "base/err.h"
#include "base/path.h"
#include "vfs_internal.h"
#include <stdio.h>
#include <string.h>

bool vfs_follows_last(enum pfs_op op)
{
    return op != PFS_OP_RENAME && op != PFS_OP_SYMLINK && op != PFS_OP_READLINK &&
           op != PFS_OP_REMOVE && op != PFS_OP_REMOVE_ALL && op != PFS_OP_STAT;
}

/* What is at path. */
static void look(const struct vcall *c, const char *path, struct pfs_reply *ret)
{
    const struct pfs_request req = {.op = PFS_OP_STAT,
                                    .path = path,
                                    .offset = -1,
                                    .size = -1,
                                    .deadline_ns = c->req.deadline_ns};

    *ret = (struct pfs_reply){0};
    vfs_run(c->vfs, &req, ret);
}

/* The directory of a link to be: is it there? The root always is. */
static enum pfs_class check_parent(struct vcall *c, const char *path)
{
    char dir[PFS_PATH_MAX + 1];
    size_t n = (size_t)(pfs_path_base(path) - path);
    struct pfs_error *err = &c->reply.err;
    struct pfs_reply there;

    if (n <= 1) {
        return PFS_OK;
    }
    memcpy(dir, path, n - 1);
    dir[n - 1] = '\0';
    look(c, dir, &there);
    if (there.err.cls == PFS_NOTFOUND) {
        pfs_refuse(err, PFS_NOTFOUND, "parent directory does not exist: %s (not found)", dir);
    } else if (there.err.cls != PFS_OK) {
        *err = there.err;
    } else if (!there.stat.is_dir) {
        pfs_refuse(err, PFS_BADARG, "not a directory: %s", dir);
    }
    pfs_reply_fini(&there);
    return err->cls;
}

/* May a link of the table come to path? It would hide what the driver has there. */
static enum pfs_class check_place(struct vcall *c, const char *path, const char *what)
{
    struct pfs_reply there;

    look(c, path, &there);
    bool taken = there.err.cls == PFS_OK;

    pfs_reply_fini(&there);
    return taken ? pfs_refuse(&c->reply.err, PFS_EXISTS, "%s already exists: %s", what, path)
                 : check_parent(c, path);
}

/* SYMLINK where the driver has no links: into the table. */
static void add_link_job(void *arg)
{
    struct vcall *c = arg;

    if (vfs_fate_begin(c->req.host, &c->reply.err) &&
        check_place(c, c->full, "symlink") == PFS_OK) {
        links_add(c->vfs->links, c->full, c->req.path2, &c->reply.err);
    }
    vfs_finish(c);
}

static void rename_link_job(void *arg)
{
    struct vcall *c = arg;

    if (vfs_fate_begin(c->req.host, &c->reply.err) &&
        check_place(c, c->req.path2, "file") == PFS_OK) {
        links_rename(c->vfs->links, c->full, c->req.path2, &c->reply.err);
    }
    vfs_finish(c);
}

/* Whether something is there may take a while to know. */
static void start_job(struct vcall *c, void (*job)(void *arg))
{
    if (pfs_pool_submit(c->vfs->pool, job, c, &c->reply.err) != PFS_OK) {
        vfs_finish_here(c);
    }
}

/* STAT of a link: the link's own data, but isDir as what it leads to. */
struct link_stat {
    struct vcall *call;
    size_t n_target;
};

static void link_stat_done(void *arg, struct pfs_reply *reply)
{
    struct link_stat *l = arg;
    struct vcall *c = l->call;
    bool is_dir = reply->err.cls == PFS_OK && reply->stat.is_dir;

    pfs_reply_fini(reply);
    if (vfs_fill_entry(&c->reply.stat, pfs_path_base(c->full), "", "symlink")) {
        c->reply.stat.size = (int64_t)l->n_target;
        c->reply.stat.mode = 0777;
        c->reply.stat.is_dir = is_dir;
    } else {
        pfs_nomem(&c->reply.err, "stat");
    }
    pfs_free(l);
    c->post.fn(&c->post);
}

static void serve_link_stat(struct vcall *c, char *target)
{
    struct link_stat *l = pfs_calloc(1, sizeof *l);
    char real[PFS_PATH_MAX + 1];
    struct pfs_request req = c->req;
    struct pfs_reply none = {0};

    if (!l) {
        pfs_free(target);
        pfs_nomem(&c->reply.err, "stat");
        vfs_finish_here(c);
        return;
    }
    *l = (struct link_stat){c, strlen(target)};
    pfs_free(target);
    if (links_resolve(c->vfs->links, c->full, true, real, &none.err) != PFS_OK) {
        link_stat_done(l, &none);
        return;
    }
    req.path = real; /* outlives the call: only a copy of it is kept */
    vfs_submit(c->vfs, c->loop, &req, link_stat_done, l);
}

bool vfs_serve_links(struct vcall *c)
{
    char *target = links_target(c->vfs->links, c->full, &c->reply.err);

    if (!target && c->reply.err.cls == PFS_OK) {
        return false;
    }
    if (!target) {
        vfs_finish_here(c);
        return true;
    }
    if (c->req.op == PFS_OP_STAT) {
        serve_link_stat(c, target);
        return true;
    }
    if (c->req.op == PFS_OP_RENAME) {
        pfs_free(target);
        start_job(c, rename_link_job);
        return true;
    }
    if (c->req.op == PFS_OP_READLINK) {
        c->reply.text = target;
        target = NULL;
    } else if (c->req.op == PFS_OP_SYMLINK) {
        pfs_refuse(&c->reply.err, PFS_EXISTS, "symlink already exists: %s", c->full);
    } else { /* REMOVE and REMOVE_ALL: the link, never what it points to */
        links_remove(c->vfs->links, c->full);
    }
    pfs_free(target);
    vfs_finish_here(c);
    return true;
}

/* True when the driver of the mount can keep a link with the target of the call. */
static bool driver_takes_link(struct vcall *c)
{
    const char *in_mount;

    if (!c->mount || !c->mount->driver->ops->op[PFS_OP_SYMLINK]) {
        return false;
    }
    if (c->req.path2[0] != '/') {
        return true;
    }
    if (!pfs_path_below(c->req.path2, c->mount->path, &in_mount)) {
        return false; /* it leads out of the mount: only this server knows where */
    }
    c->req.path2 = in_mount;
    return true;
}

void vfs_name_link_target(struct vcall *c)
{
    const char *mount = c->mount->path;
    const char *target = c->reply.text;

    if (c->reply.err.cls != PFS_OK || !target || target[0] != '/' || strcmp(mount, "/") == 0) {
        return;
    }
    size_t n = strlen(mount) + strlen(target) + 1;
    char *named = pfs_malloc(n);
    if (!named) {
        pfs_reply_fini(&c->reply);
        pfs_nomem(&c->reply.err, "a link's target");
        return;
    }
    snprintf(named, n, "%s%s", mount, strcmp(target, "/") == 0 ? "" : target);
    pfs_free(c->reply.text);
    c->reply.text = named;
}

void vfs_start_symlink(struct vcall *c, const char *rest)
{
    if (driver_takes_link(c)) {
        c->req.path = rest;
        vfs_start(c);
        return;
    }
    if (c->mount) {
        vfs_release(c->mount);
        c->mount = NULL;
    }
    start_job(c, add_link_job);
}
