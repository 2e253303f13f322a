/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_TESTS_PEER_WORLD_H
#define PFS_TESTS_PEER_WORLD_H

/* A client in front of a scripted peer on a loopback socket, and what every test checks. */
#include "support/h2server.h"
#include <proxyfs/proxyfs.h>
#include <pthread.h>

#define WORLD_OPTIONS_MAX 12
/* Names and values, for world_open and world_client. */
#define OPTIONS(...)                                                                               \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

struct world {
    struct h2server server;
    struct pfs_client *c;
    struct pfs_error err; /* for the calls of a test */
    struct leaks before;
    int64_t t0; /* see world_mark */
};

/*
 * Starts the peer (server.tls and server.slice may be set before) and makes a client of it:
 * protocol=h2, timeout 5s, and `options`: pairs of name and value, NULL at the end.
 */
void world_open(struct world *w, h2script_fn *script, void *arg, const char *const *options);
/* Only the client, for server.url. */
void world_client(struct world *w, const char *const *options);
/* Frees both; nothing may be left behind. */
void world_close(struct world *w);

/* Bounds are generous on purpose: they tell a hang from an answer, not fast from slow. */
void world_mark(struct world *w);
/* Milliseconds since world_mark. */
int64_t world_ms(const struct world *w);

#define assert_err(w, cls_, outcome_, phase_)                                                      \
    do {                                                                                           \
        const struct pfs_error *e_ = &(w)->err;                                                    \
        cr_assert_eq(e_->cls, cls_, "%s: %s", pfs_class_name(e_->cls), e_->text);                  \
        cr_assert_eq(e_->outcome, outcome_, "%s: %s", pfs_outcome_name(e_->outcome), e_->text);    \
        cr_assert_eq(e_->phase, phase_, "%s: %s", pfs_phase_name(e_->phase), e_->text);            \
    } while (0)

/* Calls whose class the tests look at. */
enum pfs_class world_stat(struct world *w);                 /* R: GET /stat?path=/f */
enum pfs_class world_read(struct world *w);                 /* Q: GET /files?path=/f */
enum pfs_class world_write(struct world *w, const char *s); /* Q: PUT /files?path=/q */
enum pfs_class world_mkdir(struct world *w);                /* M: POST /directories?path=/d */

typedef enum pfs_class world_call_fn(struct world *w);
/* One call on a thread of its own. */
struct world_call {
    pthread_t thread;
    struct world w; /* shares the client */
    world_call_fn *fn;
    enum pfs_class cls;
};
void world_call_begin(struct world_call *c, const struct world *w, world_call_fn *fn);
/* Waits for its end; cls and w.err tell it. */
void world_call_join(struct world_call *c);

/* A reply that each of them understands, with or without the mark of our own server. */
void world_reply(struct h2peer *p, const struct h2req *r);
void world_reply_attested(struct h2peer *p, const struct h2req *r);
/* Script: counts requests and signals each, answers none. */
void world_deaf(struct h2server *s, struct h2peer *p);
/* Script: answers each with 429 and a wish of 30 s, counting and signalling. */
void world_try_later(struct h2server *s, struct h2peer *p);
/* Script: answers everything, counting. */
void world_serve(struct h2server *s, struct h2peer *p);

#endif
