/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "mounter.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/pool.h"
#include "base/thread.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS 500      /* how exactly leases and retries are kept */
#define MOUNTS_AT_ONCE 8 /* a remote that does not answer must not delay the others */

static enum pfs_class bring_up(struct vfs *v, struct registry *r, struct mount *m, const char *type,
                               const char *path, const char *config, struct pfs_error *err)
{
    struct pfs_driver *d = NULL;
    enum pfs_class cls = registry_open(r, type, config, path, &d, err);

    if (cls != PFS_OK) {
        vfs_fail(v, m, err);
        return cls;
    }
    return vfs_publish(v, m, d, err);
}

enum pfs_class mounter_mount(struct vfs *v, struct registry *r, const struct mount_spec *spec,
                             struct pfs_error *err)
{
    struct mount *m = NULL;
    enum pfs_class cls = vfs_reserve(v, spec, &m, err);

    return cls != PFS_OK ? cls : bring_up(v, r, m, spec->type, spec->path, spec->config, err);
}

/* One mount of the configuration. */
struct wanted {
    struct mounter *mounter;
    char *path, *type, *config;
    struct mount *mount; /* reserved: to be tried now; NULL: failed before, or up */
    bool tried;          /* once; under mounter.mu, as are: */
    bool busy, up;
    bool given_up; /* the configuration is wrong: until mounter_retry */
    int64_t retry_at;
    int64_t delay_ms;
};

struct mounter {
    struct vfs *vfs; /* fixed after start, as are: */
    struct registry *registry;
    struct pfs_pool *pool;
    pthread_t thread;
    struct wanted *wanted;
    size_t n_wanted;

    pthread_mutex_t mu;  /* of what follows and the wanted's states */
    pthread_cond_t wake; /* `stopping` was set, or a `tried` */
    bool stopping;
};

/* What is not there, a directory or a file, may come; a wrong option stays one. */
static bool is_hopeless(const struct pfs_error *err)
{
    return err->cls == PFS_CONFIG && err->sys_errno == 0;
}

static void try_job(void *arg)
{
    struct wanted *w = arg;
    struct mounter *m = w->mounter;
    struct pfs_error err = {.cls = PFS_OK};
    enum pfs_class cls = PFS_OK;
    bool mine = w->mount || vfs_retry(m->vfs, w->path, &w->mount);

    if (mine) {
        cls = bring_up(m->vfs, m->registry, w->mount, w->type, w->path, w->config, &err);
    }
    if (is_hopeless(&err)) {
        log_error("mount %s (%s) cannot be as it is configured, and it is not tried again before "
                  "SIGHUP: %s",
                  w->path, w->type, err.text);
    } else if (cls != PFS_OK) {
        log_warn("mount %s (%s) failed, will be tried again: %s", w->path, w->type, err.text);
    } else if (mine) {
        log_info("mount %s (%s) is up", w->path, w->type);
    }
    w->mount = NULL;
    pthread_mutex_lock(&m->mu);
    w->busy = false;
    w->tried = true;
    pthread_cond_broadcast(&m->wake);
    w->given_up = is_hopeless(&err);
    w->up = cls == PFS_OK; /* or somebody unmounted it: then it is not wanted any more */
    w->retry_at = pfs_after(pfs_now(), w->delay_ms * PFS_MS);
    w->delay_ms = w->delay_ms * 16 / 10 < RETRY_MAX_MS ? w->delay_ms * 16 / 10 : RETRY_MAX_MS;
    pthread_mutex_unlock(&m->mu);
}

static void start_if_due(struct wanted *w, int64_t now)
{
    struct mounter *m = w->mounter;

    pthread_mutex_lock(&m->mu);
    bool due = !w->busy && !w->up && !w->given_up && w->retry_at <= now;

    w->busy |= due;
    pthread_mutex_unlock(&m->mu);
    if (due && pfs_pool_submit(m->pool, try_job, w, NULL) != PFS_OK) {
        pthread_mutex_lock(&m->mu);
        w->busy = false; /* at the next tick */
        pthread_mutex_unlock(&m->mu);
    }
}

/* The server's own first: remotes that say nothing may have all threads for a while. */
static void start_due(struct mounter *m)
{
    int64_t now = pfs_now();

    for (int own = 1; own >= 0; own--) {
        for (size_t i = 0; i < m->n_wanted; i++) {
            if (registry_is_own(m->wanted[i].type) == own) {
                start_if_due(&m->wanted[i], now);
            }
        }
    }
}

static void *run(void *arg)
{
    struct mounter *m = arg;
    bool stop = false;

    while (!stop) {
        start_due(m);
        vfs_sweep_handles(m->vfs);
        int64_t end = pfs_after(pfs_now(), TICK_MS * PFS_MS);

        pthread_mutex_lock(&m->mu);
        while (!m->stopping && pfs_cond_wait_until(&m->wake, &m->mu, end)) {
        }
        stop = m->stopping;
        pthread_mutex_unlock(&m->mu);
    }
    return NULL;
}

static void mounter_free(struct mounter *m)
{
    pfs_pool_free(m->pool);
    for (size_t i = 0; i < m->n_wanted; i++) {
        pfs_free(m->wanted[i].path);
        pfs_free(m->wanted[i].type);
        pfs_free(m->wanted[i].config);
    }
    pthread_cond_destroy(&m->wake);
    pthread_mutex_destroy(&m->mu);
    pfs_free(m->wanted);
    pfs_free(m);
}

static enum pfs_class want(struct mounter *m, const struct mount_spec *spec, struct pfs_error *err)
{
    struct wanted *w = &m->wanted[m->n_wanted++];

    *w = (struct wanted){.mounter = m, .delay_ms = RETRY_FIRST_MS};
    w->path = pfs_strdup(spec->path);
    w->type = pfs_strdup(spec->type);
    w->config = spec->config ? pfs_strdup(spec->config) : NULL;
    if (!w->path || !w->type || (spec->config && !w->config)) {
        return pfs_nomem(err, "a mount");
    }
    enum pfs_class cls = vfs_reserve(m->vfs, spec, &w->mount, err);

    if (cls == PFS_EXISTS) {
        cls = err->cls = PFS_CONFIG;
    }
    return cls;
}

static bool start_thread(struct mounter *m)
{
    m->pool = pfs_pool_new(MOUNTS_AT_ONCE, MOUNTS_MAX);
    return m->pool && pfs_thread_start(run, m, &m->thread) == 0;
}

enum pfs_class mounter_start(struct vfs *v, struct registry *r, const struct mount_spec *specs,
                             size_t n, struct mounter **ret, struct pfs_error *err)
{
    struct mounter *m = pfs_calloc(1, sizeof *m);
    enum pfs_class cls = PFS_OK;

    if (!m) {
        return pfs_nomem(err, "mounts");
    }
    m->vfs = v;
    m->registry = r;
    pthread_mutex_init(&m->mu, NULL);
    pthread_cond_init(&m->wake, NULL);
    m->wanted = pfs_calloc(n + 1, sizeof *m->wanted);
    if (!m->wanted) {
        cls = pfs_nomem(err, "mounts");
    }
    for (size_t i = 0; i < n && cls == PFS_OK; i++) {
        cls = want(m, &specs[i], err);
    }
    if (cls == PFS_OK && !start_thread(m)) {
        cls = pfs_refuse(err, PFS_NOMEM, "the thread for mounts cannot be started");
    }
    if (cls != PFS_OK) {
        mounter_free(m);
        return cls;
    }
    *ret = m;
    return PFS_OK;
}

static bool awaits_own_locked(const struct mounter *m)
{
    for (size_t i = 0; i < m->n_wanted; i++) {
        if (!m->wanted[i].tried && registry_is_own(m->wanted[i].type)) {
            return true;
        }
    }
    return false;
}

void mounter_await_own(struct mounter *m)
{
    int64_t end = pfs_after(pfs_now(), OWN_MOUNTS_MAX_MS * PFS_MS);

    pthread_mutex_lock(&m->mu);
    while (awaits_own_locked(m) && pfs_cond_wait_until(&m->wake, &m->mu, end)) {
    }
    pthread_mutex_unlock(&m->mu);
}

void mounter_retry(struct mounter *m)
{
    pthread_mutex_lock(&m->mu);
    for (size_t i = 0; i < m->n_wanted; i++) {
        m->wanted[i].given_up = false;
    }
    pthread_mutex_unlock(&m->mu);
}

void mounter_stop(struct mounter *m)
{
    if (!m) {
        return;
    }
    pthread_mutex_lock(&m->mu);
    m->stopping = true;
    pthread_cond_broadcast(&m->wake);
    pthread_mutex_unlock(&m->mu);
    pthread_join(m->thread, NULL);
    mounter_free(m);
}
