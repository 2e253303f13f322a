/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* The tree of nodes of memfs and the contents of its files. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/path.h"
#include "base/reply.h"
#include "body_share.h"
#include "memfs.h"
#include <string.h>

struct mnode *mnode_new(const char *name, bool is_dir, uint32_t mode)
{
    struct mnode *n = pfs_calloc(1, sizeof *n);

    if (!n) {
        return NULL;
    }
    n->name = pfs_strdup(name);
    n->is_dir = is_dir;
    n->mode = mode;
    n->mtime_ns = pfs_wall_now();
    if (!n->name) {
        pfs_free(n);
        return NULL;
    }
    return n;
}

size_t mnode_cost(const char *name)
{
    return MNODE_COST + strlen(name);
}

/* Besides `taken`. */
static enum pfs_class check_room(const struct memfs *m, size_t taken, size_t n,
                                 struct pfs_error *err)
{
    if (n > m->max_bytes || taken > m->max_bytes - n) {
        return pfs_refuse(err, PFS_NOSPC, "no space left on device: memfs may hold %zu bytes",
                          m->max_bytes);
    }
    return PFS_OK;
}

enum pfs_class memfs_check_room_locked(const struct memfs *m, size_t n, struct pfs_error *err)
{
    return check_room(m, m->n_bytes, n, err);
}

/* Frees one node; a file with open handles stays, orphaned, for memfs_hclose to free. */
static void node_release(struct memfs *m, struct mnode *n)
{
    n->parent = NULL;
    if (n->n_handles > 0) {
        return;
    }
    m->n_bytes -= n->cap + mnode_cost(n->name);
    pfs_free(n->data);
    pfs_free(n->kids);
    pfs_free(n->name);
    pfs_free(n);
}

void mnode_free_locked(struct memfs *m, struct mnode *n)
{
    struct mnode *at = n;

    /* Depth first without recursion: a peer chooses how deep the tree is. */
    while (at) {
        if (at->n_kids > 0) {
            at = at->kids[at->n_kids - 1];
            continue;
        }
        struct mnode *up = at == n ? NULL : at->parent;

        if (up) {
            up->n_kids--;
        }
        node_release(m, at);
        at = up;
    }
}

/* Position of the name in dir's kids, or where it would be. */
static size_t kid_position(const struct mnode *dir, const char *name, size_t n_name,
                           bool *ret_found)
{
    size_t lo = 0, hi = dir->n_kids;

    *ret_found = false;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const char *have = dir->kids[mid]->name;
        int order = strncmp(name, have, n_name);

        if (order == 0 && have[n_name] == '\0') {
            *ret_found = true;
            return mid;
        }
        if (order > 0) {
            lo = mid + 1;
        } else { /* smaller, or a proper prefix of what is there */
            hi = mid;
        }
    }
    return lo;
}

/* Walks the first n bytes of a normalised path. *ret_file: a component was a file. */
static struct mnode *walk(struct memfs *m, const char *path, size_t n, bool *ret_file)
{
    struct mnode *at = m->root;

    *ret_file = false;
    for (size_t i = 1; i < n && at;) {
        size_t part = (size_t)(strchrnul(path + i, '/') - (path + i));
        bool found = false;
        size_t pos = at->is_dir ? kid_position(at, path + i, part, &found) : 0;

        *ret_file = !at->is_dir;
        at = found ? at->kids[pos] : NULL;
        i += part + 1;
    }
    return at;
}

struct mnode *mnode_find_locked(struct memfs *m, const char *path)
{
    bool file;

    return walk(m, path, strlen(path), &file);
}

struct mnode *mnode_parent_locked(struct memfs *m, const char *path, struct pfs_error *err)
{
    const char *base = pfs_path_base(path);
    size_t n = (size_t)(base - path) > 1 ? (size_t)(base - path) - 1 : 1;
    bool file;
    struct mnode *dir = walk(m, path, n, &file);

    if (!dir && !file) {
        pfs_refuse(err, PFS_NOTFOUND, "no such file or directory: %.*s", (int)n, path);
        return NULL;
    }
    if (!dir || !dir->is_dir) {
        pfs_refuse(err, PFS_BADARG, "not a directory: %.*s", (int)n, path);
        return NULL;
    }
    return dir;
}

static bool attach_at(struct mnode *dir, size_t pos, struct mnode *n)
{
    struct mnode **grown = pfs_grown(dir->kids, dir->n_kids, &dir->cap_kids, sizeof *grown);

    if (!grown) {
        return false;
    }
    dir->kids = grown;
    memmove(dir->kids + pos + 1, dir->kids + pos, (dir->n_kids - pos) * sizeof *dir->kids);
    dir->kids[pos] = n;
    dir->n_kids++;
    n->parent = dir;
    return true;
}

bool mnode_attach_locked(struct mnode *dir, struct mnode *n)
{
    bool found;
    size_t pos = kid_position(dir, n->name, strlen(n->name), &found);

    return attach_at(dir, pos, n);
}

void mnode_detach_locked(struct mnode *n)
{
    struct mnode *dir = n->parent;
    bool found;
    size_t pos = kid_position(dir, n->name, strlen(n->name), &found);

    memmove(dir->kids + pos, dir->kids + pos + 1, (dir->n_kids - pos - 1) * sizeof *dir->kids);
    dir->n_kids--;
    n->parent = NULL;
}

struct mnode *mnode_make_locked(struct memfs *m, const char *path, bool is_dir, uint32_t mode,
                                struct pfs_error *err)
{
    struct mnode *dir = mnode_parent_locked(m, path, err);
    const char *name = pfs_path_base(path);
    bool found;

    if (!dir) {
        return NULL;
    }
    size_t pos = kid_position(dir, name, strlen(name), &found);

    if (found || !path[1]) { /* the root, which is in no directory, is there too */
        pfs_refuse(err, PFS_EXISTS, "%s already exists: %s", is_dir ? "directory" : "file", path);
        return NULL;
    }
    if (memfs_check_room_locked(m, mnode_cost(name), err) != PFS_OK) {
        return NULL;
    }
    struct mnode *n = mnode_new(name, is_dir, mode);

    m->n_bytes += n ? mnode_cost(name) : 0;
    if (!n || !attach_at(dir, pos, n)) {
        pfs_nomem(err, path);
        if (n) {
            node_release(m, n);
        }
        return NULL;
    }
    return n;
}

/* Room for `want` bytes in the file. */
static enum pfs_class reserve(struct memfs *m, struct mnode *n, size_t want, struct pfs_error *err)
{
    size_t others = m->n_bytes - n->cap;

    if (want <= n->cap) {
        return PFS_OK;
    }
    if (check_room(m, others, want, err) != PFS_OK) {
        return PFS_NOSPC;
    }
    /* Doubling makes appends cheap; a first write takes just what it needs. */
    size_t cap =
        n->cap && want < 2 * n->cap && others + 2 * n->cap <= m->max_bytes ? 2 * n->cap : want;
    char *grown = pfs_realloc(n->data, cap);

    if (!grown) {
        return pfs_nomem(err, "a file's content");
    }
    n->data = grown;
    m->n_bytes = others + cap;
    n->cap = cap;
    return PFS_OK;
}

/* Gives memory back when most of it is unused: unused room counts against max_bytes. */
static void give_back_locked(struct memfs *m, struct mnode *n)
{
    if (n->len == 0) {
        m->n_bytes -= n->cap;
        pfs_free(n->data);
        n->data = NULL;
        n->cap = 0;
    } else if (n->len < n->cap / 4) {
        char *less = pfs_realloc(n->data, n->len);

        if (less) {
            m->n_bytes -= n->cap - n->len;
            n->data = less;
            n->cap = n->len;
        }
    }
}

enum pfs_class mnode_resize_locked(struct memfs *m, struct mnode *n, int64_t size,
                                   struct pfs_error *err)
{
    enum pfs_class cls = reserve(m, n, (size_t)size, err);

    if (cls != PFS_OK) {
        return cls;
    }
    if ((size_t)size > n->len) {
        memset(n->data + n->len, 0, (size_t)size - n->len);
    }
    n->len = (size_t)size;
    give_back_locked(m, n);
    n->mtime_ns = pfs_wall_now();
    return PFS_OK;
}

enum pfs_class mnode_write_locked(struct memfs *m, struct mnode *n, int64_t at, const void *data,
                                  size_t len, struct pfs_error *err)
{
    size_t end;

    if (__builtin_add_overflow((size_t)at, len, &end)) {
        return pfs_refuse(err, PFS_TOOBIG, "offset %lld is too large", (long long)at);
    }
    if (len > 0) {
        enum pfs_class cls = reserve(m, n, end, err);

        if (cls != PFS_OK) {
            return cls;
        }
        if ((size_t)at > n->len) {
            memset(n->data + n->len, 0, (size_t)at - n->len);
        }
        memcpy(n->data + at, data, len);
        n->len = end > n->len ? end : n->len;
    }
    n->mtime_ns = pfs_wall_now();
    return PFS_OK;
}

void mnode_read_locked(const struct mnode *n, int64_t offset, int64_t size, struct pfs_reply *reply)
{
    size_t at = offset > 0 ? (size_t)offset : 0;
    size_t left = at < n->len ? n->len - at : 0;
    size_t take = size < 0 || (uint64_t)size > left ? left : (size_t)size;

    if (take > 0 && share_take(n->name, take, &reply->err)) {
        reply->data = pfs_malloc(take);
        if (!reply->data) {
            pfs_nomem(&reply->err, "a file's content");
            return;
        }
        memcpy(reply->data, n->data + at, take);
        reply->len = take;
    }
}

bool mnode_stat_locked(const struct mnode *n, struct pfs_stat *st)
{
    st->size = n->is_dir ? 0 : (int64_t)n->len;
    st->mode = n->mode;
    st->is_dir = n->is_dir;
    st->mtime_ns = n->mtime_ns;
    return pfs_stat_fill(st, n->name, "memfs", n->is_dir ? "dir" : "file");
}
