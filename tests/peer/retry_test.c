/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Over loopback: what loses or doubles data. A Q operation is never sent twice without proof. */
#include "world.h"
#include <criterion/criterion.h>
#include <string.h>

/* What the peer does with requests, by their number from 0. */
struct plan {
    void (*fail)(struct h2server *s, struct h2peer *p, const struct h2req *r);
    unsigned from, to; /* these requests fail, the others are answered */
    bool attested;
    unsigned attempts; /* of x-attempt: the highest seen */
    char ids[8][40];   /* x-req-id of each request */
};

static void script(struct h2server *s, struct h2peer *p)
{
    struct plan *plan = s->arg;

    h2peer_hello(p, 0, NULL);
    for (struct h2req *r; (r = h2peer_request(p)) != NULL;) {
        unsigned i = atomic_fetch_add(&s->n_requests, 1);

        if (i < 8) {
            strcpy(plan->ids[i], r->req_id);
        }
        plan->attempts = r->attempt[0] ? (unsigned)(r->attempt[0] - '0') : 1;
        if (i >= plan->from && i < plan->to) {
            plan->fail(s, p, r);
            if (p->eof) {
                return;
            }
        } else if (plan->attested) {
            world_reply_attested(p, r);
        } else {
            world_reply(p, r);
        }
        h2peer_forget(r);
    }
}

static void refuse(struct h2server *s, struct h2peer *p, const struct h2req *r)
{
    h2peer_rst(p, r->stream, H2_REFUSED_STREAM);
}

static void reset(struct h2server *s, struct h2peer *p, const struct h2req *r)
{
    h2peer_rst(p, r->stream, H2_INTERNAL_ERROR);
}

static void goaway_clean(struct h2server *s, struct h2peer *p, const struct h2req *r)
{
    h2peer_goaway(p, 0, H2_NO_ERROR, "");
    h2peer_drain(p);
}

static void goaway_error(struct h2server *s, struct h2peer *p, const struct h2req *r)
{
    h2peer_goaway(p, 0, H2_ENHANCE_YOUR_CALM, "no");
    h2peer_drain(p);
}

static void hang_up(struct h2server *s, struct h2peer *p, const struct h2req *r)
{
    p->eof = true; /* the script ends */
}

static void crash(struct h2server *s, struct h2peer *p, const struct h2req *r)
{
    h2server_reset(p);
    p->eof = true;
}

static void half_a_body(struct h2server *s, struct h2peer *p, const struct h2req *r)
{
    h2peer_headers(p, 0, r->stream,
                   (const char *const[]){":status", "200", "content-length", "7", NULL});
    h2peer_data(p, 0, r->stream, "con");
    h2peer_rst(p, r->stream, H2_INTERNAL_ERROR);
}

static void unavailable(struct h2server *s, struct h2peer *p, const struct h2req *r)
{
    h2peer_reply(p, r->stream, "503", "{\"error\":\"busy\"}");
}

static void too_early(struct h2server *s, struct h2peer *p, const struct h2req *r)
{
    h2peer_reply(p, r->stream, "425", "");
}

static void too_many(struct h2server *s, struct h2peer *p, const struct h2req *r)
{
    h2peer_reply_with(p, r->stream, "429", "retry-after", "0", "{\"error\":\"slow down\"}");
}

static void internal(struct h2server *s, struct h2peer *p, const struct h2req *r)
{
    h2peer_reply(p, r->stream, "500", "{\"error\":\"oops\"}");
}

enum call { STAT, READ, WRITE, MKDIR };

static enum pfs_class call(struct world *w, enum call which)
{
    switch (which) {
    case STAT:
        return world_stat(w);
    case READ:
        return world_read(w);
    case WRITE:
        return world_write(w, "x");
    case MKDIR:
        return world_mkdir(w);
    }
    return PFS_OK;
}

/* One row: the first request fails (or all), then so many requests came and this was the result. */
struct row {
    const char *what;
    void (*fail)(struct h2server *s, struct h2peer *p, const struct h2req *r);
    bool always, attested;
    enum call call;
    unsigned requests;
    enum pfs_class cls;
    enum pfs_outcome outcome;
};

static void check(const struct row *row)
{
    struct plan plan = {.fail = row->fail,
                        .from = row->attested ? 1 : 0,
                        .to = row->always     ? 1000
                              : row->attested ? 2
                                              : 1,
                        .attested = row->attested};
    struct world w = {0};

    world_open(&w, script, &plan, NULL);
    if (row->attested) { /* a reply on this very connection */
        cr_assert_eq(world_stat(&w), PFS_OK, "%s: %s", row->what, w.err.text);
    }
    enum pfs_class cls = call(&w, row->call);
    unsigned n = atomic_load(&w.server.n_requests) - plan.from;

    cr_assert_eq(cls, row->cls, "%s: %s %s", row->what, pfs_class_name(cls), w.err.text);
    if (cls != PFS_OK) {
        cr_assert_eq(w.err.outcome, row->outcome, "%s: %s", row->what, w.err.text);
    }
    cr_assert_eq(n, row->requests, "%s: %u requests", row->what, n);
    cr_assert_eq(plan.attempts, n, "%s: x-attempt %u", row->what, plan.attempts);
    if (n == 2 && row->call != STAT && row->call != READ) {
        cr_assert_str_eq(plan.ids[plan.from], plan.ids[plan.from + 1], "%s: request id", row->what);
        cr_assert_eq(strlen(plan.ids[plan.from]), 32);
    }
    world_close(&w);
}

#define NA PFS_OUTCOME_NA
#define AP PFS_OUTCOME_AP
#define UN PFS_OUTCOME_UN
#define CHECK_ALL(rows)                                                                            \
    for (size_t i = 0; i < sizeof(rows) / sizeof *(rows); i++) {                                   \
        check(&(rows)[i]);                                                                         \
    }

Test(retry, A039_goaway_below)
{
    static const struct row rows[] = {
        {"goaway, stat", goaway_clean, false, false, STAT, 2, PFS_OK, NA},
        {"goaway, mkdir", goaway_clean, false, false, MKDIR, 2, PFS_OK, NA},
        {"goaway, write, attested", goaway_clean, false, true, WRITE, 2, PFS_OK, NA},
        {"goaway, write", goaway_clean, false, false, WRITE, 2, PFS_OK, NA},
        {"goaway, read", goaway_clean, false, false, READ, 2, PFS_OK, NA},
        {"with an error, write, attested", goaway_error, false, true, WRITE, 2, PFS_OK, NA},
        {"with an error, write: a proxy may not know", goaway_error, false, false, WRITE, 1,
         PFS_REFUSED, UN},
        {"always, stat", goaway_clean, true, false, STAT, 3, PFS_REFUSED, NA},
        {"always, read", goaway_clean, true, false, READ, 3, PFS_REFUSED, NA},
    };
    CHECK_ALL(rows);
}

/* Answers one request of each connection, as nginx with keepalive_requests 1. */
static void serve_one(struct h2server *s, struct h2peer *p)
{
    struct h2req *first, *second;

    h2peer_hello(p, 0, NULL);
    if ((first = h2peer_request(p)) == NULL) {
        return;
    }
    atomic_fetch_add(&s->n_requests, 1); /* before the client can tell the test */
    world_reply(p, first);
    if ((second = h2peer_request(p)) != NULL) {
        h2peer_goaway(p, first->stream, H2_NO_ERROR, "");
        h2peer_forget(second);
        h2peer_drain(p);
    }
    h2peer_forget(first);
}

static void on_served(void *arg, struct pfs_reply *r)
{
    cr_expect_eq(r->err.cls, PFS_OK, "%s", r->err.text);
    pfs_reply_fini(r);
    h2server_signal(arg);
}

/* The last of them was refused eleven times: connections that end in order use up no attempts. */
Test(retry, A039_every_connection_serves_one)
{
    struct world w = {0};
    struct pfs_request req = PFS_REQUEST_INIT;
    unsigned n = 12;

    world_open(&w, serve_one, NULL, OPTIONS("max_connections", "1"));
    req.op = PFS_OP_READ; /* nobody may do it twice */
    req.path = "/f";
    for (unsigned i = 0; i < n; i++) {
        pfs_submit(w.c, &req, on_served, &w.server);
    }
    cr_assert(h2server_await(&w.server, n));
    cr_assert_eq(atomic_load(&w.server.n_requests), n);
    world_close(&w);
}

Test(retry, A042_goaway_with_error_on_every_connection)
{
    static const struct row rows[] = {
        {"stat", goaway_error, true, false, STAT, 2, PFS_REFUSED, NA},
        {"mkdir", goaway_error, true, false, MKDIR, 2, PFS_REFUSED, NA},
    };
    CHECK_ALL(rows);
}

Test(retry, A043_refused_stream)
{
    static const struct row rows[] = {
        {"once, stat", refuse, false, false, STAT, 2, PFS_OK, NA},
        {"once, mkdir", refuse, false, false, MKDIR, 2, PFS_OK, NA},
        {"once, write, attested", refuse, false, true, WRITE, 2, PFS_OK, NA},
        {"once, write, not attested", refuse, false, false, WRITE, 1, PFS_REFUSED, UN},
        {"always, stat", refuse, true, false, STAT, 3, PFS_REFUSED, NA},
        {"always, mkdir", refuse, true, false, MKDIR, 3, PFS_REFUSED, NA},
    };
    CHECK_ALL(rows);
}

Test(retry, A044_reset)
{
    static const struct row rows[] = {
        {"stat", reset, false, false, STAT, 2, PFS_OK, NA},
        {"stat, always", reset, true, false, STAT, 3, PFS_RESET, UN},
        {"mkdir", reset, false, false, MKDIR, 1, PFS_RESET, UN},
        {"read", reset, false, false, READ, 1, PFS_RESET, UN},
        {"write", reset, false, false, WRITE, 1, PFS_RESET, UN},
        {"write, attested", reset, false, true, WRITE, 1, PFS_RESET, UN},
    };
    CHECK_ALL(rows);
}

Test(retry, A006_A007_connection_lost)
{
    static const struct row rows[] = {
        {"FIN, stat", hang_up, false, false, STAT, 2, PFS_OK, NA},
        {"FIN, mkdir", hang_up, false, false, MKDIR, 1, PFS_CONN_LOST, UN},
        {"FIN, write", hang_up, false, false, WRITE, 1, PFS_CONN_LOST, UN},
        {"FIN, read", hang_up, false, false, READ, 1, PFS_CONN_LOST, UN},
        {"RST, stat", crash, false, false, STAT, 2, PFS_OK, NA},
        {"RST, mkdir", crash, false, false, MKDIR, 1, PFS_CONN_LOST, UN},
        {"RST, write", crash, false, true, WRITE, 1, PFS_CONN_LOST, UN},
    };
    CHECK_ALL(rows);
}

Test(retry, A045_half_a_body)
{
    static const struct row rows[] = {
        {"stat", half_a_body, false, false, STAT, 2, PFS_OK, NA},
        {"read", half_a_body, false, false, READ, 1, PFS_TRUNCATED, AP},
        {"write", half_a_body, false, false, WRITE, 1, PFS_TRUNCATED, AP},
        {"mkdir", half_a_body, false, false, MKDIR, 1, PFS_TRUNCATED, AP},
    };
    CHECK_ALL(rows);
}

Test(retry, A068_A069_A070_statuses)
{
    static const struct row rows[] = {
        {"503 unmarked, stat", unavailable, false, false, STAT, 2, PFS_OK, NA},
        {"503 unmarked, mkdir", unavailable, false, false, MKDIR, 1, PFS_BUSY, UN},
        {"503 unmarked, write", unavailable, false, false, WRITE, 1, PFS_BUSY, UN},
        {"429, mkdir", too_many, false, false, MKDIR, 2, PFS_OK, NA},
        {"429, write", too_many, false, false, WRITE, 2, PFS_OK, NA},
        {"425, write", too_early, false, false, WRITE, 2, PFS_OK, NA},
        {"425 always, stat", too_early, true, false, STAT, 2, PFS_REFUSED, NA},
        {"500, stat", internal, false, false, STAT, 1, PFS_IO, UN},
        {"500, write", internal, false, false, WRITE, 1, PFS_IO, UN},
    };
    CHECK_ALL(rows);
}

/* The budget is a burst of some 32 retries, then none: 10 % of 400 calls. */
Test(retry, A093_a_server_that_always_fails_is_not_stormed)
{
    struct plan plan = {.fail = unavailable, .to = 100000};
    struct world w = {0};

    world_open(&w, script, &plan, NULL);
    for (unsigned i = 0; i < 400; i++) {
        cr_assert_eq(world_stat(&w), PFS_BUSY);
    }
    unsigned n = atomic_load(&w.server.n_requests);
    cr_assert_leq(n, 440, "%u requests for 400 calls", n);
    world_close(&w);
}

/* What may change something has an id, unless nobody there has ever known what it is for. */
static void count_ids(bool attested, unsigned with_id)
{
    struct plan plan = {.from = 1000, .attested = attested};
    struct world w = {0};
    unsigned n = 0;

    world_open(&w, script, &plan, NULL);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(world_read(&w), PFS_OK, "%s", w.err.text);
        cr_assert_eq(world_mkdir(&w), PFS_OK, "%s", w.err.text);
    }
    for (int i = 0; i < 6; i++) {
        n += strlen(plan.ids[i]) == 32;
    }
    cr_assert_eq(n, with_id, "%u of 6", n);
    world_close(&w);
}

Test(retry, ids_where_they_may_be_remembered)
{
    count_ids(true, 6);
    count_ids(false, 1);
}

/* What answers the repetition of a call whose first attempt may have been carried out. */
struct repetition {
    const char *status, *boot; /* NULL: none, it is a front that answers for the server */
    enum pfs_class cls;
    enum pfs_outcome outcome;
};

#define BOOT "0123456789abcdef"
#define DEDUPE "; features=dedupe"

static void answer_repetition(struct h2server *s, struct h2peer *p)
{
    const struct repetition *row = s->arg;

    h2peer_hello(p, 0, NULL);
    for (struct h2req *r; (r = h2peer_request(p)) != NULL;) {
        unsigned n = atomic_fetch_add(&s->n_requests, 1);

        if (n == 0) {
            h2peer_reply_with(p, r->stream, "200", "agfs-boot", BOOT DEDUPE,
                              "{\"status\":\"healthy\"}");
        } else if (n == 1) {
            reset(s, p, r);
        } else {
            h2peer_reply_with(p, r->stream, row->status, row->boot ? "agfs-boot" : NULL, row->boot,
                              "{\"error\":\"no\"}");
        }
        h2peer_forget(r);
    }
}

Test(retry, only_who_remembers_says_that_nothing_was_done)
{
    static const struct repetition rows[] = {
        {"409", BOOT DEDUPE, PFS_EXISTS, NA},
        {"404", BOOT, PFS_NOTFOUND, NA},
        {"404", NULL, PFS_NOTFOUND, UN},
        {"403", NULL, PFS_DENIED, UN},
        {"400", NULL, PFS_BADARG, UN},
        {"421", NULL, PFS_REFUSED, UN},
        {"425", NULL, PFS_REFUSED, UN},
        {"404", "fedcba9876543210" DEDUPE, PFS_NOTFOUND, UN},
        {"404", BOOT "0" DEDUPE, PFS_NOTFOUND, UN},
        {"404", "0123" DEDUPE, PFS_NOTFOUND, UN},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct world w = {0};

        world_open(&w, answer_repetition, (void *)(uintptr_t)&rows[i], NULL);
        cr_assert_eq(pfs_health(w.c, &w.err), PFS_OK, "%s", w.err.text);
        enum pfs_class cls = world_mkdir(&w);
        cr_expect_eq(cls, rows[i].cls, "row %zu: %s %s", i, pfs_class_name(cls), w.err.text);
        cr_expect_eq(w.err.outcome, rows[i].outcome, "row %zu: %s", i,
                     pfs_outcome_name(w.err.outcome));
        cr_expect_eq(atomic_load(&w.server.n_requests), 3, "row %zu", i);
        world_close(&w);
    }
}
