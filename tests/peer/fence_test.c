/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Zombie writes (reliability bar B4): after a write of unknown outcome the next one to that path
 * waits until the peer has answered a PING sent behind the reset; other calls do not.
 */
#include "world.h"
#include <criterion/criterion.h>
#include <semaphore.h>
#include <string.h>
#include <time.h>

/* What the peer saw, a letter a request: P for PUT, G for GET. */
struct fence_case {
    pthread_mutex_t mu;
    char seen[16];
    sem_t answered; /* a later write's completion */
    enum pfs_class cls;
    enum pfs_outcome outcome;
};

static void note(struct fence_case *f, const struct h2req *r)
{
    pthread_mutex_lock(&f->mu);
    size_t n = strlen(f->seen);
    if (n + 1 < sizeof f->seen) {
        f->seen[n] = r->method[0];
    }
    pthread_mutex_unlock(&f->mu);
}

/* The first connection: takes the write, never answers it, keeps the PINGs until it is told. */
static void hold_back(struct h2server *s, struct h2peer *p)
{
    unsigned char pings[8][8];
    unsigned n = 0;
    struct h2frame fr;
    struct h2req *r = h2peer_request(p);

    if (!r) {
        return;
    }
    note(s->arg, r);
    while ((p->n_rst == 0 || n < 2) && h2peer_next(p, &fr)) {
        if (fr.type == H2_PING && !(fr.flags & H2_ACK) && n < 8) {
            memcpy(pings[n++], fr.payload, 8);
        }
    }
    h2server_signal(s); /* 1: the reset and the PING behind it are here */
    h2server_await(s, 2);
    for (unsigned i = 0; i < n; i++) {
        h2peer_frame(p, H2_PING, H2_ACK, 0, pings[i], 8);
    }
    p->answers_pings = true;
}

static void script(struct h2server *s, struct h2peer *p)
{
    p->answers_pings = p->index != 0;
    h2peer_hello(p, 0, NULL);
    if (p->index == 0) {
        hold_back(s, p); /* then it serves like the others */
    }
    for (struct h2req *r; (r = h2peer_request(p)) != NULL;) {
        note(s->arg, r);
        world_reply(p, r);
        h2peer_forget(r);
    }
}

static void on_written(void *arg, struct pfs_reply *reply)
{
    struct fence_case *f = arg;

    f->cls = reply->err.cls;
    f->outcome = reply->err.outcome;
    pfs_reply_fini(reply);
    sem_post(&f->answered);
}

static bool wait_for_answer(struct fence_case *f)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += 10;
    return sem_clockwait(&f->answered, CLOCK_MONOTONIC, &until) == 0;
}

static void submit_write(struct world *w, struct fence_case *f, int64_t ms)
{
    struct pfs_request req = {.op = PFS_OP_WRITE,
                              .path = "/q",
                              .data = "new",
                              .len = 3,
                              .offset = -1,
                              .size = -1,
                              .deadline_ns = pfs_now() + ms * PFS_MS};

    pfs_submit(w->c, &req, on_written, f);
}

/* A first write is in doubt, and the PING behind its reset came and is not answered. */
static void open_fenced(struct world *w, struct fence_case *f)
{
    sem_init(&f->answered, 0, 0);
    world_open(w, script, f,
               (const char *const[]){"timeout", "3s", "keepalive_timeout", "30s", NULL});
    cr_assert_eq(world_write(w, "old"), PFS_TIMEOUT);
    cr_assert_eq(w->err.outcome, PFS_OUTCOME_UN);
    cr_assert(h2server_await(&w->server, 1), "no PING came behind the reset");
}

Test(fence, B4_a_write_waits_for_the_end_of_the_one_before)
{
    struct world w = {0};
    struct fence_case f = {.mu = PTHREAD_MUTEX_INITIALIZER};

    open_fenced(&w, &f);
    submit_write(&w, &f, 10000);
    cr_assert_eq(world_stat(&w), PFS_OK, "another call is not held up: %s", w.err.text);
    pthread_mutex_lock(&f.mu);
    cr_assert_str_eq(f.seen, "PG", "the second write overtook: %s", f.seen);
    pthread_mutex_unlock(&f.mu);
    h2server_signal(&w.server); /* 2: the PINGs may be answered */
    cr_assert(wait_for_answer(&f), "the second write never came");
    cr_assert_eq(f.cls, PFS_OK);
    cr_assert_str_eq(f.seen, "PGP");
    world_close(&w);
    sem_destroy(&f.answered);
}

Test(fence, B4_a_write_that_waits_for_ever_is_not_sent)
{
    struct world w = {0};
    struct fence_case f = {.mu = PTHREAD_MUTEX_INITIALIZER};
    struct pfs_stream *s;

    open_fenced(&w, &f);
    for (int i = 0; i < 8; i++) { /* deadlines anywhere between two looks at the fence */
        f.outcome = PFS_OUTCOME_UN;
        submit_write(&w, &f, 20 + i);
        cr_assert(wait_for_answer(&f), "write %d never ends", i);
        cr_assert_eq(f.cls, PFS_TIMEOUT, "%s", pfs_class_name(f.cls));
        cr_assert_eq(f.outcome, PFS_OUTCOME_NA);
    }
    cr_assert_eq(pfs_open_write(w.c, "/q", -1, 0, &s, &w.err), PFS_TIMEOUT);
    assert_err(&w, PFS_TIMEOUT, PFS_OUTCOME_NA, PFS_PHASE_QUEUE);
    cr_assert_eq(world_write(&w, "new"), PFS_TIMEOUT, "a blocking one neither");
    assert_err(&w, PFS_TIMEOUT, PFS_OUTCOME_NA, PFS_PHASE_QUEUE);
    cr_assert_eq(world_stat(&w), PFS_OK, "%s", w.err.text);
    cr_assert_str_eq(f.seen, "PG", "a write passed the fence: %s", f.seen);
    h2server_signal(&w.server);
    world_close(&w);
    sem_destroy(&f.answered);
}
