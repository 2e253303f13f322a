/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "links.h"
#include "base/alloc.h"
#include "base/err.h"
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

struct link {
    char *path, *target;
};

struct links {
    pthread_rwlock_t lock; /* of everything below */
    struct link *rows;     /* sorted by path */
    size_t n, cap;
    atomic_bool any; /* n > 0, for looks without the lock: each call asks twice */
};

struct links *links_new(void)
{
    struct links *l = pfs_calloc(1, sizeof *l);

    if (l) {
        pthread_rwlock_init(&l->lock, NULL);
    }
    return l;
}

void links_free(struct links *l)
{
    if (!l) {
        return;
    }
    for (size_t i = 0; i < l->n; i++) {
        pfs_free(l->rows[i].path);
        pfs_free(l->rows[i].target);
    }
    pfs_free(l->rows);
    pthread_rwlock_destroy(&l->lock);
    pfs_free(l);
}

/* Index of the row for path, or of the first row after it. */
static size_t position(const struct links *l, const char *path, bool *ret_found)
{
    size_t lo = 0, hi = l->n;

    *ret_found = false;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int order = strcmp(l->rows[mid].path, path);

        if (order == 0) {
            *ret_found = true;
            return mid;
        }
        if (order < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

static enum pfs_class add_locked(struct links *l, struct link row, struct pfs_error *err)
{
    bool found;
    size_t at = position(l, row.path, &found);

    if (found) {
        return pfs_refuse(err, PFS_EXISTS, "symlink already exists: %s", row.path);
    }
    if (l->n >= LINKS_MAX) {
        return pfs_refuse(err, PFS_OVERLOAD, "too many symbolic links: %d are allowed", LINKS_MAX);
    }
    struct link *grown = pfs_grown(l->rows, l->n, &l->cap, sizeof *grown);

    if (!grown) {
        return pfs_nomem(err, "a symbolic link");
    }
    l->rows = grown;
    memmove(l->rows + at + 1, l->rows + at, (l->n - at) * sizeof *l->rows);
    l->rows[at] = row;
    l->n++;
    return PFS_OK;
}

enum pfs_class links_add(struct links *l, const char *path, const char *target,
                         struct pfs_error *err)
{
    struct link row = {pfs_strdup(path), pfs_strdup(target)};
    enum pfs_class cls = PFS_NOMEM;

    if (!row.path || !row.target) {
        pfs_nomem(err, "a symbolic link");
    } else {
        pthread_rwlock_wrlock(&l->lock);
        cls = add_locked(l, row, err);
        atomic_store(&l->any, l->n > 0);
        pthread_rwlock_unlock(&l->lock);
    }
    if (cls != PFS_OK) {
        pfs_free(row.path);
        pfs_free(row.target);
    }
    return cls;
}

static void drop_locked(struct links *l, size_t at)
{
    memmove(l->rows + at, l->rows + at + 1, (l->n - at - 1) * sizeof *l->rows);
    l->n--;
}

bool links_remove(struct links *l, const char *path)
{
    struct link gone = {NULL, NULL};
    bool found;

    pthread_rwlock_wrlock(&l->lock);
    size_t at = position(l, path, &found);

    if (found) {
        gone = l->rows[at];
        drop_locked(l, at);
        atomic_store(&l->any, l->n > 0);
    }
    pthread_rwlock_unlock(&l->lock);
    pfs_free(gone.path);
    pfs_free(gone.target);
    return found;
}

enum pfs_class links_rename(struct links *l, const char *from, const char *to,
                            struct pfs_error *err)
{
    char *name = pfs_strdup(to);
    bool found, taken;

    if (!name) {
        return pfs_nomem(err, "a link");
    }
    pthread_rwlock_wrlock(&l->lock);
    size_t at = position(l, from, &found);

    position(l, to, &taken);
    if (found && !taken) {
        struct link row = l->rows[at];
        char *old = row.path;

        drop_locked(l, at); /* which leaves room, so that adding cannot fail */
        row.path = name;
        add_locked(l, row, NULL);
        name = old;
    }
    pthread_rwlock_unlock(&l->lock);
    pfs_free(name);
    return !found  ? pfs_refuse(err, PFS_NOTFOUND, "no such link: %s", from)
           : taken ? pfs_refuse(err, PFS_EXISTS, "symlink already exists: %s", to)
                   : PFS_OK;
}

char *links_target(struct links *l, const char *path, struct pfs_error *err)
{
    bool found;
    char *copy = NULL;

    if (!atomic_load(&l->any)) {
        return NULL;
    }
    pthread_rwlock_rdlock(&l->lock);
    size_t at = position(l, path, &found);

    if (found) {
        copy = pfs_strdup(l->rows[at].target);
        if (!copy) {
            pfs_nomem(err, "a link");
        }
    }
    pthread_rwlock_unlock(&l->lock);
    return copy;
}

/* Replaces the first link on the way of path (in place). *ret_hit: there was one. */
static enum pfs_class step_locked(const struct links *l, char path[PFS_PATH_MAX + 1],
                                  bool follow_last, bool *ret_hit, struct pfs_error *err)
{
    char whole[2 * PFS_PATH_MAX + 2];
    size_t n = strlen(path);

    *ret_hit = false;
    for (size_t i = 1; i < n; i++) {
        bool found;

        i += strcspn(path + i, "/");
        if (i == n && !follow_last) {
            break;
        }
        char rest[PFS_PATH_MAX + 1];

        memcpy(rest, path + i, n - i + 1);
        path[i] = '\0';
        size_t at = position(l, path, &found);

        if (!found) {
            memcpy(path + i, rest, n - i + 1);
            continue;
        }
        const char *target = l->rows[at].target;
        size_t n_dir = *target == '/' ? 0 : (size_t)(pfs_path_base(path) - path);
        size_t n_target = strlen(target);

        if (n_dir + n_target + strlen(rest) > sizeof whole - 1) {
            return pfs_refuse(err, PFS_INVALID, "link target: file name too long");
        }
        memcpy(whole, path, n_dir);
        memcpy(whole + n_dir, target, n_target);
        memcpy(whole + n_dir + n_target, rest, strlen(rest) + 1);
        *ret_hit = true;
        return pfs_path_normalize(whole, strlen(whole), path, err);
    }
    return PFS_OK;
}

enum pfs_class links_resolve(struct links *l, const char *path, bool follow_last,
                             char dst[PFS_PATH_MAX + 1], struct pfs_error *err)
{
    enum pfs_class cls = PFS_OK;
    bool hit = true;

    memmove(dst, path, strlen(path) + 1);
    if (!atomic_load(&l->any)) {
        return PFS_OK;
    }
    pthread_rwlock_rdlock(&l->lock);
    for (unsigned i = 0; l->n > 0 && hit && cls == PFS_OK; i++) {
        cls = step_locked(l, dst, follow_last, &hit, err);
        if (cls == PFS_OK && hit && i >= LINKS_NESTING_MAX) {
            cls = pfs_refuse(err, PFS_BADARG, "too many levels of symbolic links: %s", path);
        }
    }
    pthread_rwlock_unlock(&l->lock);
    return cls;
}

void links_each(struct links *l, const char *dir, bool (*fn)(void *arg, const char *name),
                void *arg)
{
    char first[PFS_PATH_MAX + 2];
    size_t n = strlen(dir);
    bool found;

    memcpy(first, dir, n);
    if (n > 1) {
        first[n++] = '/';
    }
    first[n] = '\0';
    pthread_rwlock_rdlock(&l->lock);
    for (size_t i = position(l, first, &found); i < l->n; i++) {
        const char *path = l->rows[i].path;

        if (strncmp(path, first, n) != 0) {
            break;
        }
        if (path[n] && !strchr(path + n, '/') && !fn(arg, path + n)) {
            break;
        }
    }
    pthread_rwlock_unlock(&l->lock);
}
