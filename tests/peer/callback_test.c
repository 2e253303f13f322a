/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Over loopback: a blocking call carries the connection, on which somebody else's request is in
 * flight. That one's `done` is not called by the thread of the call, which may be inside a lock.
 */
#include "world.h"
#include <criterion/criterion.h>
#include <string.h>
#include <time.h>

enum end { END_REPLY, END_RESET, END_GOAWAY };

struct call {
    pthread_t thread;
    struct world w; /* shares the client */
    enum pfs_class cls;
};

struct scene {
    enum end end;
    struct world w;
    pthread_mutex_t mu; /* held during the call, and taken by `done` */
    struct call call;
    /* under the server's signals */
    bool got_lock, on_thread_of_call;
    enum pfs_class cls;
};

/* The request of the call is answered when `done` of the other one has begun, and waits. */
static void serve(struct h2server *s, struct h2peer *p)
{
    const struct scene *scene = s->arg;
    struct h2req *call = NULL;

    h2peer_hello(p, 0, NULL);
    for (struct h2req *r; (r = h2peer_request(p)) != NULL;) {
        if (strcmp(r->method, "POST") == 0) {
            call = r;
            h2server_signal(s);
            continue;
        }
        if (!call || scene->end == END_REPLY) {
            world_reply(p, r);
        } else if (scene->end == END_RESET) {
            h2peer_rst(p, r->stream, H2_INTERNAL_ERROR);
        } else { /* not taken: it goes to another connection */
            h2peer_goaway(p, call->stream, H2_NO_ERROR, "");
        }
        h2peer_forget(r);
        if (call) {
            cr_expect(h2server_await(s, 2));
            world_reply(p, call);
            h2peer_forget(call);
            call = NULL;
        }
    }
}

static void *call(void *arg)
{
    struct scene *s = arg;

    pthread_mutex_lock(&s->mu);
    s->call.cls = world_mkdir(&s->call.w);
    pthread_mutex_unlock(&s->mu);
    return NULL;
}

static void done(void *arg, struct pfs_reply *reply)
{
    struct scene *s = arg;
    struct timespec until;

    s->on_thread_of_call = pthread_equal(pthread_self(), s->call.thread);
    h2server_signal(&s->w.server);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 10;
    s->got_lock = pthread_mutex_timedlock(&s->mu, &until) == 0;
    if (s->got_lock) {
        pthread_mutex_unlock(&s->mu);
    }
    s->cls = reply->err.cls;
    pfs_reply_fini(reply);
    h2server_signal(&s->w.server);
}

static void play(enum end end, enum pfs_class cls)
{
    static struct scene s;
    struct pfs_request req = PFS_REQUEST_INIT;

    s = (struct scene){.end = end, .mu = PTHREAD_MUTEX_INITIALIZER};
    world_open(&s.w, serve, &s, OPTIONS("timeout", "20s", "retries", "1"));
    for (unsigned i = 0; i < 20; i++) { /* from now on a lone caller drives */
        cr_assert_eq(world_stat(&s.w), PFS_OK, "%s", s.w.err.text);
    }
    s.call.w.c = s.w.c;
    pthread_create(&s.call.thread, NULL, call, &s);
    cr_assert(h2server_await(&s.w.server, 1));
    req.op = PFS_OP_STAT;
    req.path = "/f";
    pfs_submit(s.w.c, &req, done, &s);
    cr_assert(h2server_await(&s.w.server, 3));
    pthread_join(s.call.thread, NULL);
    cr_expect_eq(s.call.cls, PFS_OK, "%d: %s", (int)end, s.call.w.err.text);
    cr_expect(s.got_lock, "%d: the lock of the call was not given up", (int)end);
    cr_expect_not(s.on_thread_of_call, "%d", (int)end);
    cr_expect_eq(s.cls, cls, "%d: %s", (int)end, pfs_class_name(s.cls));
    world_close(&s.w);
}

Test(callback, done_does_not_run_inside_the_call_of_another)
{
    play(END_REPLY, PFS_OK);
    play(END_RESET, PFS_RESET);
    play(END_GOAWAY, PFS_OK);
}
