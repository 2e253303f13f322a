/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "server.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/pool.h"
#include "clients.h"
#include "listen.h"
#include "loop.h"
#include "meters.h"
#include <signal.h>
#include <unistd.h>

struct server {
    struct server_limits limits;
    struct pfs_pool *workers;
    struct clients *clients;
    struct endpoint *endpoints;
    struct loop *loops; /* n_loops of them have been made, n_started run */
    unsigned n_loops, n_started;
    bool hung; /* a handler never answered */
};

static enum pfs_class make_loops(struct server *s, unsigned n, struct pfs_error *err)
{
    s->loops = pfs_calloc(n, sizeof(*s->loops));
    if (!s->loops) {
        return pfs_nomem(err, "event loops");
    }
    for (unsigned i = 0; i < n; i++) {
        struct loop *l = &s->loops[i];
        enum pfs_class cls = loop_init(l, i, err);

        if (cls != PFS_OK) {
            return cls;
        }
        l->limits = &s->limits;
        l->clients = s->clients;
        l->workers = s->workers;
        s->n_loops++;
    }
    return PFS_OK;
}

static unsigned cores(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    return n < 1 ? 1 : (unsigned)n;
}

enum pfs_class server_new(const struct server_options *o, struct server **ret,
                          struct pfs_error *err)
{
    struct server *s = pfs_calloc(1, sizeof(*s));

    if (!s) {
        return pfs_nomem(err, "server");
    }
    signal(SIGPIPE, SIG_IGN); /* TLS libraries and drivers write too */
    s->limits = o->limits;
    gauge_set_limit(GAUGE_BODY_MEMORY, (int64_t)s->limits.body_memory);
    s->workers = pfs_pool_new(o->stream_workers ? o->stream_workers : STREAM_WORKERS, STREAM_QUEUE);
    s->clients = clients_new(&s->limits);
    enum pfs_class cls = s->workers && s->clients ? PFS_OK : pfs_nomem(err, "server");

    if (cls == PFS_OK) {
        cls = make_loops(s, o->loops ? o->loops : cores(), err);
    }
    if (cls != PFS_OK) {
        server_free(s);
        return cls;
    }
    *ret = s;
    return PFS_OK;
}

enum pfs_class server_listen(struct server *s, const char *host, unsigned port, struct tls_ctx *tls,
                             unsigned *ret_port, struct pfs_error *err)
{
    struct endpoint *e;
    int fd;
    enum pfs_class cls = endpoint_new(host, port, tls, &e, &fd, err);

    if (cls != PFS_OK) {
        return cls;
    }
    e->next = s->endpoints;
    s->endpoints = e;
    for (unsigned i = 0; i < s->n_loops && cls == PFS_OK; i++) {
        if (i > 0) {
            cls = endpoint_socket(e, &fd, err);
        }
        if (cls == PFS_OK) {
            cls = listener_add(&s->loops[i], e, fd, err);
        }
    }
    if (cls == PFS_OK && ret_port) {
        *ret_port = endpoint_port(e);
    }
    return cls;
}

void server_set_tls(struct server *s, struct tls_ctx *tls)
{
    for (struct endpoint *e = s->endpoints; e; e = e->next) {
        if (e->is_tls) {
            endpoint_set_tls(e, tls);
        }
    }
}

enum pfs_class server_start(struct server *s, struct pfs_error *err)
{
    for (unsigned i = 0; i < s->n_loops; i++) {
        enum pfs_class cls = loop_start(&s->loops[i], err);

        if (cls != PFS_OK) {
            server_stop(s, 0);
            server_join(s);
            return cls;
        }
        s->n_started++;
    }
    return PFS_OK;
}

static void on_watched(struct post *p)
{
    struct loop *l = list_entry(p, struct loop, watch_post);

    atomic_store(&l->watched_ms, 0);
}

void server_watch(struct server *s)
{
    int64_t now = pfs_now() / PFS_MS;

    for (unsigned i = 0; i < s->n_started; i++) {
        struct loop *l = &s->loops[i];
        int64_t since = atomic_load(&l->watched_ms);

        if (since == 0) {
            if (l->stuck) {
                log_warn("loop %u goes on", i);
            }
            l->stuck = false;
            l->watch_post.fn = on_watched;
            atomic_store(&l->watched_ms, now);
            http_post(l, &l->watch_post);
        } else if (now - since >= WATCH_MS && !l->stuck) {
            l->stuck = true;
            log_error("loop %u is stuck: it has not come round for %d s", i, WATCH_MS / 1000);
        }
    }
}

void server_stop(struct server *s, int64_t grace_ms)
{
    for (unsigned i = 0; i < s->n_started; i++) {
        loop_stop(&s->loops[i], grace_ms);
    }
}

bool server_join(struct server *s)
{
    bool clean = true;

    for (unsigned i = 0; i < s->n_started; i++) {
        if (!loop_await(&s->loops[i])) {
            s->hung = true;
        }
        clean = clean && !s->loops[i].cut;
    }
    return clean && !s->hung;
}

bool server_hangs(const struct server *s)
{
    return s->hung;
}

void server_free(struct server *s)
{
    if (!s || s->hung) {
        return;
    }
    pfs_pool_free(s->workers);
    for (unsigned i = 0; i < s->n_loops; i++) {
        loop_fini(&s->loops[i]);
    }
    while (s->endpoints) {
        struct endpoint *e = s->endpoints;

        s->endpoints = e->next;
        endpoint_free(e);
    }
    clients_free(s->clients);
    pfs_free(s->loops);
    pfs_free(s);
}
