/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "instance.h"
#include "backend.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mutex.h"
#include "config.h"
#include <pthread.h>

/*
 * Two pages, so that a host that reads the instance's address as text or as a file's entry finds
 * zeros (plugin-abi.md section 6.2).
 */
static const char area[8192] __attribute__((aligned(4096)));

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER; /* any of the below; refs went down */
/* Under mu. session != NULL exactly when n_mounts > 0; config is set exactly then. */
static struct session *session;
static struct config config;
static unsigned n_mounts;
static bool changing; /* one thread opens or closes; the others wait for their turn */

void *instance_area(void)
{
    return (void *)(uintptr_t)area;
}

/* Waits until nobody opens or closes. */
static bool take_turn_locked(void)
{
    int64_t deadline = pfs_now() + INSTANCE_TURN_MS * PFS_MS;

    while (changing) {
        if (!pfs_cond_wait_until(&changed, &mu, deadline)) {
            return false;
        }
    }
    changing = true;
    return true;
}

static void end_turn_locked(void)
{
    changing = false;
    pthread_cond_broadcast(&changed);
}

static void session_free(struct session *s)
{
    if (!s) {
        return;
    }
    if (s->driver) {
        s->driver->ops->close(s->driver);
    }
    pfs_pool_free(s->pool);
    pfs_free(s);
}

static enum pfs_class session_new(const struct config *c, struct session **ret,
                                  struct pfs_error *err)
{
    struct session *s = pfs_calloc(1, sizeof *s);
    enum pfs_class cls;

    if (!s || !(s->pool = pfs_pool_new(c->workers, c->queue_depth))) {
        cls = pfs_nomem(err, "the worker pool");
    } else {
        s->timeout_ns = c->timeout_ns;
        s->refs = 1;
        cls = backend_open(c->options, c->n, &s->driver, err);
    }
    if (cls == PFS_OK) {
        *ret = s;
    } else {
        session_free(s);
    }
    return cls;
}

enum pfs_class instance_check(const char *config_json, struct pfs_error *err)
{
    struct config c;
    enum pfs_class cls = config_parse(config_json, &c, err);

    if (cls == PFS_OK) {
        cls = backend_check(c.options, c.n, err);
        config_fini(&c);
    }
    return cls;
}

/* One more mount of the open session. Takes nothing. */
static enum pfs_class share_locked(const struct config *c, struct pfs_error *err)
{
    if (!config_is_same(&config, c)) {
        return pfs_refuse(err, PFS_CONFIG,
                          "this instance already serves another remote, or the same with other "
                          "options: load the library again for an independent instance");
    }
    n_mounts++;
    return PFS_OK;
}

/* Opens with *c, which it takes on success. `changing` is held, mu is not. */
static enum pfs_class open_first(struct config *c, struct pfs_error *err)
{
    struct session *s;
    enum pfs_class cls = session_new(c, &s, err);

    if (cls == PFS_OK) {
        pthread_mutex_lock(&mu);
        session = s;
        config = *c;
        n_mounts = 1;
        pthread_mutex_unlock(&mu);
        *c = (struct config){0};
    }
    return cls;
}

enum pfs_class instance_open(const char *config_json, struct pfs_error *err)
{
    struct config c;
    enum pfs_class cls = config_parse(config_json, &c, err);

    if (cls != PFS_OK) {
        return cls;
    }
    pthread_mutex_lock(&mu);
    if (!take_turn_locked()) {
        pthread_mutex_unlock(&mu);
        config_fini(&c);
        return pfs_refuse(err, PFS_TIMEOUT,
                          "another mount of this instance is still being opened or closed");
    }
    if (session) {
        cls = share_locked(&c, err);
    } else {
        pthread_mutex_unlock(&mu);
        cls = open_first(&c, err);
        pthread_mutex_lock(&mu);
    }
    end_turn_locked();
    pthread_mutex_unlock(&mu);
    config_fini(&c);
    return cls;
}

void instance_close(void)
{
    struct config old = {0};
    struct session *s = NULL;

    pthread_mutex_lock(&mu);
    if (!take_turn_locked()) {
        pthread_mutex_unlock(&mu); /* a mount that hangs: leave it to a later call */
        return;
    }
    if (n_mounts > 0 && --n_mounts == 0) {
        int64_t deadline = pfs_now() + INSTANCE_DRAIN_MS * PFS_MS;

        s = session;
        old = config;
        session = NULL;
        config = (struct config){0};
        atomic_store(&s->closing, true);
        while (s->refs > 1 && pfs_cond_wait_until(&changed, &mu, deadline)) {
        }
    }
    pthread_mutex_unlock(&mu);
    if (s) {
        instance_leave(s);
    }
    config_fini(&old);
    pthread_mutex_lock(&mu);
    end_turn_locked();
    pthread_mutex_unlock(&mu);
}

struct session *instance_enter(const void *plugin, struct pfs_error *err)
{
    if (plugin != area) {
        pfs_refuse(err, PFS_INVALID, "invalid plugin instance");
        return NULL;
    }
    pthread_mutex_lock(&mu);
    struct session *s = session;
    if (s) {
        s->refs++;
    }
    pthread_mutex_unlock(&mu);
    if (!s) {
        pfs_refuse(err, PFS_SHUTDOWN, "the file system is not mounted or was shut down");
    }
    return s;
}

void instance_leave(struct session *s)
{
    pthread_mutex_lock(&mu);
    bool is_last = --s->refs == 0;
    if (atomic_load(&s->closing)) {
        pthread_cond_broadcast(&changed);
    }
    pthread_mutex_unlock(&mu);
    if (is_last) {
        session_free(s);
    }
}
