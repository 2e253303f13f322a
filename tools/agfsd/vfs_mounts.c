/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * The mount table. A mount goes reserved (PENDING) -> MOUNTED -> UNMOUNTING -> gone; one from the
 * configuration goes PENDING -> FAILED -> PENDING ... until it is up. Opening and closing drivers,
 * which may take seconds, happens without the lock.
 */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mutex.h"
#include "vfs_internal.h"
#include <string.h>

const char *mount_state_name(enum mount_state s)
{
    switch (s) {
    case MOUNT_PENDING:
        return "pending";
    case MOUNT_FAILED:
        return "failed";
    case MOUNT_MOUNTED:
    case MOUNT_UNMOUNTING:
        break;
    }
    return "mounted";
}

static void mount_free(struct mount *m)
{
    pfs_pool_free(m->pool);
    pfs_free(m->path);
    pfs_free(m->type);
    pfs_free(m->instance);
    pfs_free(m->config);
    pfs_free(m->error);
    pfs_free(m);
}

static struct mount *mount_new(struct vfs *v, const struct mount_spec *spec)
{
    struct mount *m = pfs_calloc(1, sizeof *m);

    if (!m) {
        return NULL;
    }
    m->vfs = v;
    m->builtin = spec->builtin;
    m->path = pfs_strdup(spec->path);
    m->type = pfs_strdup(spec->type);
    m->instance = spec->instance ? pfs_strdup(spec->instance) : NULL;
    m->config = spec->config ? pfs_strdup(spec->config) : NULL;
    if (!m->path || !m->type || (spec->instance && !m->instance) || (spec->config && !m->config)) {
        mount_free(m);
        return NULL;
    }
    return m;
}

/* Index of the mount whose path is the n bytes at path, or of the first one after it. */
static size_t position(const struct vfs *v, const char *path, size_t n, bool *ret_found)
{
    size_t lo = 0, hi = v->n_mounts;

    *ret_found = false;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const char *have = v->mounts[mid]->path;
        int order = strncmp(have, path, n);

        if (order == 0 && have[n] == '\0') {
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

static void drop_locked(struct vfs *v, const struct mount *m)
{
    bool found;
    size_t at = position(v, m->path, strlen(m->path), &found);

    memmove(v->mounts + at, v->mounts + at + 1, (v->n_mounts - at - 1) * sizeof *v->mounts);
    v->n_mounts--;
}

/* *ret_old: a failed mount that gave way. */
static enum pfs_class insert_locked(struct vfs *v, struct mount *m, struct mount **ret_old,
                                    struct pfs_error *err)
{
    bool found;
    size_t at = position(v, m->path, strlen(m->path), &found);

    if (found && v->mounts[at]->state == MOUNT_FAILED) {
        *ret_old = v->mounts[at];
        v->mounts[at] = m;
        return PFS_OK;
    }
    if (found) {
        return pfs_refuse(err, PFS_EXISTS, "mount already exists: %s", m->path);
    }
    if (v->n_mounts >= MOUNTS_MAX) {
        return pfs_refuse(err, PFS_OVERLOAD, "too many mounts: %d are allowed", MOUNTS_MAX);
    }
    struct mount **grown = pfs_grown(v->mounts, v->n_mounts, &v->cap_mounts, sizeof *grown);

    if (!grown) {
        return pfs_nomem(err, "a mount");
    }
    v->mounts = grown;
    memmove(v->mounts + at + 1, v->mounts + at, (v->n_mounts - at) * sizeof *v->mounts);
    v->mounts[at] = m;
    v->n_mounts++;
    return PFS_OK;
}

enum pfs_class vfs_reserve(struct vfs *v, const struct mount_spec *spec, struct mount **ret,
                           struct pfs_error *err)
{
    struct mount *m = mount_new(v, spec);
    struct mount *old = NULL;

    if (!m) {
        return pfs_nomem(err, "a mount");
    }
    m->state = MOUNT_PENDING;
    pthread_rwlock_wrlock(&v->lock);
    enum pfs_class cls = insert_locked(v, m, &old, err);

    pthread_rwlock_unlock(&v->lock);
    if (old) {
        mount_free(old);
    }
    if (cls != PFS_OK) {
        mount_free(m);
        return cls;
    }
    *ret = m;
    return PFS_OK;
}

enum pfs_class vfs_publish(struct vfs *v, struct mount *m, struct pfs_driver *d,
                           struct pfs_error *err)
{
    struct pfs_pool *pool = pfs_pool_new(MOUNT_WORKERS, MOUNT_QUEUE);

    if (!pool) {
        struct pfs_error why;

        pfs_nomem(&why, "a mount's workers");
        d->ops->close(d);
        vfs_fail(v, m, &why);
        if (err) {
            *err = why;
        }
        return PFS_NOMEM;
    }
    pthread_rwlock_wrlock(&v->lock);
    m->pool = pool;
    m->driver = d;
    m->state = MOUNT_MOUNTED;
    pfs_free(m->error);
    m->error = NULL;
    pthread_rwlock_unlock(&v->lock);
    return PFS_OK;
}

void vfs_fail(struct vfs *v, struct mount *m, const struct pfs_error *why)
{
    pthread_rwlock_wrlock(&v->lock);
    if (m->instance) {
        pfs_free(m->error);
        m->error = pfs_strdup(why->text);
        m->state = MOUNT_FAILED;
        m = NULL;
    } else {
        drop_locked(v, m);
    }
    pthread_rwlock_unlock(&v->lock);
    if (m) {
        mount_free(m);
    }
}

bool vfs_retry(struct vfs *v, const char *path, struct mount **ret)
{
    bool found;

    pthread_rwlock_wrlock(&v->lock);
    size_t at = position(v, path, strlen(path), &found);

    found = found && v->mounts[at]->state == MOUNT_FAILED;
    if (found) {
        v->mounts[at]->state = MOUNT_PENDING;
        *ret = v->mounts[at];
    }
    pthread_rwlock_unlock(&v->lock);
    return found;
}

/* The length of what path[0..n) is in, 1 for the root. */
static size_t parent_len(const char *path, size_t n)
{
    while (n > 1 && path[n - 1] != '/') {
        n--;
    }
    return n > 1 ? n - 1 : 1;
}

/*
 * The longest mount that the first *io_n bytes of path are in, whatever its state, and its length;
 * NULL: none. The last mount up to path in the order of the table shares more with it than any
 * other does: it is the one, or says how long that can be at most.
 */
static struct mount *longest_locked(const struct vfs *v, const char *path, size_t *io_n)
{
    for (;;) {
        bool found;
        size_t at = position(v, path, *io_n, &found), same = 0;

        if (found || at == 0 || *io_n == 1) {
            return found ? v->mounts[at] : NULL;
        }
        const char *have = v->mounts[at - 1]->path;

        while (same < *io_n && have[same] == path[same]) {
            same++;
        }
        *io_n = path[same] == '/' ? same : parent_len(path, same);
        if (path[same] == '/' && have[same] == '\0') {
            return v->mounts[at - 1];
        }
    }
}

struct mount *vfs_take(struct vfs *v, const char *path, const char **ret_rest,
                       struct pfs_error *err)
{
    struct mount *m = NULL;
    size_t n = strlen(path);
    bool down = false;

    pthread_rwlock_rdlock(&v->lock);
    while ((m = longest_locked(v, path, &n)) && m->state != MOUNT_MOUNTED) {
        bool ends = m->state == MOUNT_UNMOUNTING; /* or stays, should it not get idle */

        down = m->instance || ends;
        if (down) { /* a shorter mount would take what is meant for this one */
            pfs_refuse(err, PFS_BUSY, "mount %s is not up: %s", m->path,
                       ends       ? "being unmounted"
                       : m->error ? m->error
                                  : "still starting");
        }
        m = NULL;
        if (down || n == 1) {
            break;
        }
        n = parent_len(path, n);
    }
    if (m) {
        atomic_fetch_add(&m->in_flight, 1);
    }
    pthread_rwlock_unlock(&v->lock);
    if (m) {
        *ret_rest = n == 1 ? path : path[n] ? path + n : "/";
    } else if (!down) {
        pfs_refuse(err, PFS_NOTFOUND, "%s: not found", path);
    }
    return m;
}

bool vfs_hold(struct mount *m)
{
    struct vfs *v = m->vfs;

    pthread_rwlock_rdlock(&v->lock);
    bool up = m->state == MOUNT_MOUNTED;

    if (up) {
        atomic_fetch_add(&m->in_flight, 1);
    }
    pthread_rwlock_unlock(&v->lock);
    return up;
}

void vfs_release(struct mount *m)
{
    struct vfs *v = m->vfs;

    /* From zero on the mount may be freed by vfs_unmount, so only v is looked at. */
    if (atomic_fetch_sub(&m->in_flight, 1) == 1 && atomic_load(&v->n_waiting) > 0) {
        pthread_mutex_lock(&v->idle_mu);
        pthread_cond_broadcast(&v->idle);
        pthread_mutex_unlock(&v->idle_mu);
    }
}

/* Those who wait in the driver for what may never come are to leave, or may stay again. */
static void tell_driver(const struct mount *m, bool unmounting)
{
    if (m->driver && m->driver->ops->unmounting) {
        m->driver->ops->unmounting(m->driver, unmounting);
    }
}

void vfs_end_live(struct vfs *v)
{
    size_t n = 0;

    pthread_rwlock_rdlock(&v->lock);
    struct mount **up = pfs_malloc((v->n_mounts + 1) * sizeof(struct mount *));

    for (size_t i = 0; up && i < v->n_mounts; i++) {
        if (v->mounts[i]->state == MOUNT_MOUNTED) {
            atomic_fetch_add(&v->mounts[i]->in_flight, 1);
            up[n++] = v->mounts[i];
        }
    }
    pthread_rwlock_unlock(&v->lock);
    for (size_t i = 0; i < n; i++) {
        tell_driver(up[i], true);
        vfs_release(up[i]);
    }
    pfs_free(up);
}

/* Waits until no call is in flight; false: UNMOUNT_WAIT_MS passed. */
static bool wait_idle(struct vfs *v, struct mount *m)
{
    int64_t end = pfs_after(pfs_now(), UNMOUNT_WAIT_MS * PFS_MS);

    atomic_fetch_add(&v->n_waiting, 1);
    pthread_mutex_lock(&v->idle_mu);
    while (atomic_load(&m->in_flight) > 0 && pfs_cond_wait_until(&v->idle, &v->idle_mu, end)) {
    }
    pthread_mutex_unlock(&v->idle_mu);
    atomic_fetch_sub(&v->n_waiting, 1);
    return atomic_load(&m->in_flight) == 0;
}

/* Takes an idle mount out of the table and closes its driver. */
static void retire(struct vfs *v, struct mount *m)
{
    vfs_handles_drop(m);
    if (m->driver) {
        pfs_pool_free(m->pool); /* its threads may still be leaving their last job */
        m->pool = NULL;
        m->driver->ops->close(m->driver);
    }
    pthread_rwlock_wrlock(&v->lock);
    drop_locked(v, m);
    pthread_rwlock_unlock(&v->lock);
    mount_free(m);
}

enum pfs_class vfs_unmount(struct vfs *v, const char *path, struct pfs_error *err)
{
    struct mount *m = NULL;
    bool found, pending = false;

    pthread_rwlock_wrlock(&v->lock);
    size_t at = position(v, path, strlen(path), &found);

    if (found) {
        pending = v->mounts[at]->state == MOUNT_PENDING;
    }
    if (found && !pending && v->mounts[at]->state != MOUNT_UNMOUNTING) {
        m = v->mounts[at];
        m->state = MOUNT_UNMOUNTING;
    }
    pthread_rwlock_unlock(&v->lock);
    if (!m) {
        return pending ? pfs_refuse(err, PFS_BUSY, "mount %s is still starting", path)
                       : pfs_refuse(err, PFS_NOTFOUND, "no mount at path: %s (not found)", path);
    }
    tell_driver(m, true);
    if (!wait_idle(v, m)) {
        tell_driver(m, false);
        pthread_rwlock_wrlock(&v->lock);
        m->state = MOUNT_MOUNTED;
        pthread_rwlock_unlock(&v->lock);
        return pfs_refuse(err, PFS_BUSY, "mount %s is busy: calls are still in flight", path);
    }
    retire(v, m);
    return PFS_OK;
}

void vfs_each_mount(struct vfs *v, void (*fn)(void *arg, const struct mount_info *info), void *arg)
{
    pthread_rwlock_rdlock(&v->lock);
    for (size_t i = 0; i < v->n_mounts; i++) {
        const struct mount *m = v->mounts[i];
        const struct mount_info info = {.path = m->path,
                                        .type = m->type,
                                        .instance = m->instance,
                                        .config = m->config,
                                        .error = m->error,
                                        .state = m->state,
                                        .builtin = m->builtin};

        fn(arg, &info);
    }
    pthread_rwlock_unlock(&v->lock);
}

void vfs_each_child(struct vfs *v, const char *dir, bool (*fn)(void *arg, const char *name),
                    void *arg)
{
    char first[PFS_PATH_MAX + 2], name[PFS_PATH_MAX + 1];
    size_t n = strlen(dir);
    bool found;

    memcpy(first, dir, n);
    if (n > 1) {
        first[n++] = '/';
    }
    first[n] = '\0';
    pthread_rwlock_rdlock(&v->lock);
    for (size_t i = position(v, first, n, &found); i < v->n_mounts; i++) {
        const char *path = v->mounts[i]->path;
        size_t part = strcspn(path + (strncmp(path, first, n) == 0 ? n : 0), "/");

        if (strncmp(path, first, n) != 0) {
            break;
        }
        if (part == 0 || v->mounts[i]->state == MOUNT_UNMOUNTING) {
            continue; /* the mount at the root itself */
        }
        memcpy(name, path + n, part);
        name[part] = '\0';
        if (!fn(arg, name)) {
            break;
        }
    }
    pthread_rwlock_unlock(&v->lock);
}

struct vfs *vfs_new(void)
{
    struct vfs *v = pfs_calloc(1, sizeof *v);

    if (!v) {
        return NULL;
    }
    v->links = links_new();
    v->pool = pfs_pool_new(MOUNT_WORKERS, MOUNT_QUEUE);
    pthread_rwlock_init(&v->lock, NULL);
    pthread_mutex_init(&v->idle_mu, NULL);
    pthread_cond_init(&v->idle, NULL);
    pthread_mutex_init(&v->handle_mu, NULL);
    v->last_handle = vfs_first_handle();
    list_init(&v->holders);
    pthread_mutex_init(&v->orphan_mu, NULL);
    list_init(&v->orphans);
    v->deadlines = (struct alarms){.mu = &v->orphan_mu,
                                   .owner = v,
                                   .take_locked = vfs_fate_take_locked,
                                   .ring = vfs_fate_ring};
    alarms_init(&v->deadlines);
    for (size_t i = 0; i < HANDLE_BUCKETS; i++) {
        list_init(&v->handles[i]);
    }
    if (!v->links || !v->pool) {
        vfs_free(v);
        return NULL;
    }
    return v;
}

void vfs_free(struct vfs *v)
{
    if (!v) {
        return;
    }
    vfs_stop(v);
    pfs_pool_free(v->pool); /* its jobs look at mounts */
    while (v->n_mounts > 0) {
        retire(v, v->mounts[v->n_mounts - 1]);
    }
    alarms_fini(&v->deadlines);
    links_free(v->links);
    pfs_free(v->mounts);
    pthread_mutex_destroy(&v->orphan_mu);
    pthread_mutex_destroy(&v->handle_mu);
    pthread_cond_destroy(&v->idle);
    pthread_mutex_destroy(&v->idle_mu);
    pthread_rwlock_destroy(&v->lock);
    pfs_free(v);
}
