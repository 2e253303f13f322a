/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Clients that end while calls are in flight, blocking and not, on a shared remote and alone, with
 * a peer that answers some and not others, with reloads meanwhile, and with a thread that gives
 * reads up which others are just being answered. Every completion comes exactly once and before
 * pfs_client_free returns; nothing is left behind.
 */
#include "stress.h"
#include "support/h2server.h"
#include <proxyfs/proxyfs.h>
#include <string.h>

#define CALLERS 3

#define LIVES 2

/* Calls that came to the peer and are never answered, by the life that makes them. */
static atomic_uint n_waiting[LIVES];

static void answer(struct h2peer *p, uint32_t stream, const char *type)
{
    const char *fields[] = {":status", "200", "content-type", type, NULL};

    h2peer_headers(p, 0, stream, fields);
    h2peer_data(p, H2_END_STREAM, stream, "{\"message\":\"ok\"}");
}

/* Answers three of four requests; the others wait for ever. */
static void script(struct h2server *s, struct h2peer *p)
{
    unsigned n = 0;

    h2peer_hello(p, 0, NULL);
    for (struct h2req *r; (r = h2peer_request(p)) != NULL;) {
        if (strstr(r->path, "/health")) {
            h2peer_reply(p, r->stream, "200", "{\"status\":\"healthy\"}");
        } else if (strstr(r->path, "wait")) {
            atomic_fetch_add(&n_waiting[strstr(r->path, "wait")[4] - '0'], 1);
        } else if (strstr(r->path, "never")) {
            /* until it is given up */
        } else if (strstr(r->path, "/directories") && strcmp(r->method, "GET") == 0) {
            h2peer_reply(p, r->stream, "200", "{\"files\":[]}");
        } else if (n++ % 4 != 3) {
            bool is_read = strstr(r->path, "/files") && strcmp(r->method, "GET") == 0;

            answer(p, r->stream, is_read ? "application/octet-stream" : "application/json");
        }
        h2peer_forget(r);
    }
}

#define READS 24

/* A read that somebody gives up, whatever has become of it meanwhile. */
struct ticket {
    struct life *l;
    atomic_uint completed;
};

struct life {
    struct ticket reads[READS];
    unsigned seed; /* of the thread that gives them up */
    struct pfs_client *c;
    unsigned slot; /* of n_waiting */
    atomic_uint completed, n_given_up;
    atomic_bool freeing, freed;
};

static void on_done(void *arg, struct pfs_reply *r)
{
    struct life *l = arg;

    REQUIRE(!atomic_load(&l->freed), "a completion after pfs_client_free");
    REQUIRE(r->err.cls == PFS_OK || r->err.cls == PFS_SHUTDOWN, "%s", r->err.text);
    pfs_reply_fini(r);
    atomic_fetch_add(&l->completed, 1);
}

static void on_read(void *arg, struct pfs_reply *r)
{
    struct ticket *t = arg;

    REQUIRE(!atomic_load(&t->l->freed), "a completion after pfs_client_free");
    REQUIRE(atomic_fetch_add(&t->completed, 1) == 0, "completed twice");
    REQUIRE(r->err.cls == PFS_OK || r->err.cls == PFS_SHUTDOWN || r->err.cls == PFS_CANCELLED, "%s",
            r->err.text);
    pfs_reply_fini(r); /* closes a stream */
}

static void *canceller(void *arg)
{
    struct life *l = arg;

    for (unsigned i = 0; i < 3 * READS; i++) {
        pfs_cancel(l->c, &l->reads[stress_random(&l->seed) % READS]);
    }
    return NULL;
}

/* Reads of each kind that has a way of its own, given up while they are submitted and answered. */
static void reads_given_up(struct life *l, unsigned seed)
{
    static const enum pfs_op ops[] = {PFS_OP_OPEN_READ, PFS_OP_READDIR, PFS_OP_HEALTH};
    pthread_t thread;

    l->seed = seed;
    pthread_create(&thread, NULL, canceller, l);
    for (unsigned i = 0; i < READS; i++) {
        struct pfs_request req = PFS_REQUEST_INIT;

        l->reads[i].l = l;
        req.op = ops[i % 3];
        req.path = i % 2 ? "/f" : "/never";
        req.ticket = &l->reads[i];
        pfs_submit(l->c, &req, on_read, &l->reads[i]);
    }
    pthread_join(thread, NULL);
    for (unsigned i = 0; i < READS; i += 2) { /* these nobody else ends, but health */
        pfs_cancel(l->c, &l->reads[i]);
    }
}

#define GIVEN_UP_CALLERS 2
#define GIVEN_UP_CALLS 6 /* of each */

static void *caller_given_up(void *arg)
{
    struct life *l = arg;
    struct pfs_error err;

    for (unsigned i = 0; i < GIVEN_UP_CALLS; i++) {
        enum pfs_class cls = pfs_touch(l->c, "/never", &err);

        REQUIRE(cls == PFS_CANCELLED, "%s: %s", pfs_class_name(cls), err.text);
        atomic_fetch_add(&l->n_given_up, 1);
    }
    return NULL;
}

/* Blocking calls, given up at every moment of their lives. */
static void calls_given_up(struct life *l)
{
    pthread_t threads[GIVEN_UP_CALLERS];

    for (unsigned i = 0; i < GIVEN_UP_CALLERS; i++) {
        pthread_create(&threads[i], NULL, caller_given_up, l);
    }
    while (atomic_load(&l->n_given_up) < GIVEN_UP_CALLERS * GIVEN_UP_CALLS) {
        pfs_cancel_all(l->c);
        sched_yield();
    }
    for (unsigned i = 0; i < GIVEN_UP_CALLERS; i++) {
        pthread_join(threads[i], NULL);
    }
}

/* A call that only the client's end ends. */
static void *caller(void *arg)
{
    struct life *l = arg;
    struct pfs_error err;
    enum pfs_class cls = pfs_touch(l->c, l->slot ? "/wait1" : "/wait0", &err);

    REQUIRE(cls == PFS_SHUTDOWN && atomic_load(&l->freeing), "%s: %s", pfs_class_name(cls),
            err.text);
    return NULL;
}

static void *reloader(void *arg)
{
    struct life *l = arg;
    struct pfs_error err;

    if (pfs_reload(l->c, &err) != PFS_OK) {
        REQUIRE(err.cls != PFS_OK, "no reason");
    }
    return NULL;
}

static void one_life(struct h2server *server, unsigned slot, unsigned *seed, bool with_reload)
{
    struct pfs_option o[] = {{"base_url", server->url},
                             {"protocol", "h2"},
                             {"timeout", "60s"},
                             {"max_connections", "1"}};
    struct life l = {.slot = slot};
    pthread_t threads[CALLERS], reload_thread;
    struct pfs_error err;
    unsigned n_callers = stress_random(seed) % (CALLERS + 1), n = stress_random(seed) % 30;

    atomic_store(&n_waiting[slot], 0);
    REQUIRE(pfs_client_new(o, 4, &l.c, &err) == PFS_OK, "%s", err.text);
    calls_given_up(&l);
    for (unsigned i = 0; i < n_callers; i++) {
        pthread_create(&threads[i], NULL, caller, &l);
    }
    if (with_reload) {
        pthread_create(&reload_thread, NULL, reloader, &l);
    }
    for (unsigned i = 0; i < n; i++) {
        struct pfs_request req = PFS_REQUEST_INIT;

        req.op = i % 2 ? PFS_OP_TOUCH : PFS_OP_MKDIR;
        req.path = "/f";
        pfs_submit(l.c, &req, on_done, &l);
    }
    reads_given_up(&l, *seed);
    for (unsigned i = 0; i < READS; i += 2) {
        int64_t end = pfs_now() + 10 * PFS_SEC;

        while (atomic_load(&l.reads[i].completed) == 0) {
            REQUIRE(pfs_now() < end, "a read was not given up");
            sched_yield();
        }
    }
    while (atomic_load(&n_waiting[slot]) < n_callers) { /* all are inside */
        sched_yield();
    }
    if (with_reload) { /* it is not a call that pfs_client_free ends */
        pthread_join(reload_thread, NULL);
    }
    int64_t t0 = pfs_now();
    atomic_store(&l.freeing, true);
    pfs_client_free(l.c);
    atomic_store(&l.freed, true);
    REQUIRE(pfs_now() - t0 < 10 * PFS_SEC, "pfs_client_free hung");
    REQUIRE(atomic_load(&l.completed) == n, "%u of %u completed", atomic_load(&l.completed), n);
    for (unsigned i = 0; i < READS; i++) {
        REQUIRE(atomic_load(&l.reads[i].completed) == 1, "a read completed %u times",
                atomic_load(&l.reads[i].completed));
    }
    for (unsigned i = 0; i < n_callers; i++) {
        pthread_join(threads[i], NULL);
    }
}

struct lives {
    struct h2server *server;
    unsigned slot, seed;
    int64_t stop_at;
};

static void *live(void *arg)
{
    struct lives *l = arg;

    while (pfs_now() < l->stop_at && atomic_load(&l->server->n_conns) < H2SERVER_CONNS - 32) {
        one_life(l->server, l->slot, &l->seed, stress_random(&l->seed) % 4 == 0);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    struct leaks before = leaks_now();
    int64_t stop_at = stress_until(argc, argv, 3);

    do { /* a server takes so many connections in its life */
        struct h2server server = {.script = script};
        struct lives lives[LIVES];
        pthread_t threads[LIVES];

        h2server_start(&server);
        for (unsigned i = 0; i < LIVES;
             i++) { /* two at a time share the remote and its connections */
            lives[i] = (struct lives){&server, i, i * 100 + (unsigned)stop_at % 1000, stop_at};
            pthread_create(&threads[i], NULL, live, &lives[i]);
        }
        for (unsigned i = 0; i < LIVES; i++) {
            pthread_join(threads[i], NULL);
        }
        h2server_stop(&server);
    } while (pfs_now() < stop_at);
    REQUIRE(leaks_none(&before), "left behind");
    return 0;
}
