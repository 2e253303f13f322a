/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * A client session and a hostile server in memory, with a clock that the test moves: what happens
 * is chosen by a seed, and the same seed is the same story again, byte by byte. The server knows
 * which requests it carried out; what the client says of each at the end is held against that:
 *
 *   each exchange is DONE exactly once; "not applied" was never carried out; "applied" was; a reply
 *   is the one that was sent, whole; a request above GOAWAY's last stream is not carried out.
 *
 * usage: simulation [stories [first seed]]          a failure names the seed
 */
#include "base/err.h"
#include "stress.h"
#include "support/h2peer.h"
#include <string.h>

#define EXCHANGES 16
#define STEPS 120
#define BODY_MAX 70000 /* more than the first window */
#define REPLY_MAX 400

struct call {
    struct exchange ex;
    bool taken, done, canceled;
    bool executed; /* the server carried it out */
    bool answered; /* its final header was sent */
    bool complete; /* and all of the reply */
    size_t reply_len;
    struct h2req *req; /* at the server; NULL: not there, or over */
};

struct story {
    struct h2mem m;
    unsigned long seed;
    unsigned random;
    struct call calls[EXCHANGES];
    unsigned n_calls;
    uint32_t last_stream; /* promised by GOAWAY */
    bool lost;            /* the connection */
};

static char body[BODY_MAX], reply[REPLY_MAX + 1];

static unsigned below(struct story *s, unsigned n)
{
    return stress_random(&s->random) % n;
}

/* The connection takes over what the session noted. */
static void collect(struct story *s)
{
    for (unsigned i = 0; i < s->n_calls; i++) {
        struct call *c = &s->calls[i];

        if (c->taken && h2mem_done(&s->m, &c->ex)) {
            REQUIRE(!c->done, "seed %lu: call %u ended twice", s->seed, i);
            c->done = true;
        }
    }
}

static void lose(struct story *s, const char *why)
{
    struct pfs_error err;

    pfs_fail(&err, PFS_CONN_LOST, PFS_OUTCOME_UN, PFS_PHASE_WAIT, "%s", why);
    s->m.s->ops->fail_all(s->m.s, s->m.fed != PFS_OK ? &s->m.error : &err);
    s->lost = true;
}

/* ---- the client ---- */

static void submit(struct story *s)
{
    struct pfs_error err;

    if (s->n_calls == EXCHANGES) {
        return;
    }
    struct call *c = &s->calls[s->n_calls++];
    exchange_init(&c->ex);
    c->ex.method = below(s, 2) ? "PUT" : "GET";
    c->ex.target = "/x";
    c->ex.reply_max = REPLY_MAX;
    if (c->ex.method[0] == 'P') {
        c->ex.body = body;
        c->ex.body_len = below(s, 3) ? below(s, 300) : below(s, BODY_MAX);
    }
    c->taken = s->m.s->ops->submit(s->m.s, &c->ex, &err) == PFS_OK;
}

static void give_up(struct story *s)
{
    struct call *c = s->n_calls ? &s->calls[below(s, s->n_calls)] : NULL;
    struct pfs_error err;

    if (c && c->taken && c->ex.in_session) {
        pfs_fail(&err, PFS_TIMEOUT, PFS_OUTCOME_UN, PFS_PHASE_WAIT, "the deadline passed");
        c->canceled = true;
        s->m.s->ops->cancel(s->m.s, &c->ex, &err);
    }
}

/* ---- the server ---- */

/* Reads what the client sent, and finds the requests that are new. */
static void take_in(struct story *s)
{
    struct h2frame f;

    while (s->m.fed == PFS_OK && h2peer_next(&s->m.peer, &f)) {
    }
    for (unsigned i = 0; i < s->n_calls; i++) {
        struct call *c = &s->calls[i];
        uint32_t id = (uint32_t)c->ex.stream_id;

        c->req = NULL;
        for (unsigned k = 0; id && k < H2PEER_STREAMS; k++) {
            if (s->m.peer.streams[k].stream == id) {
                c->req = &s->m.peer.streams[k];
            }
        }
    }
}

/* A call whose request is at the server and not answered to its end, or NULL. */
static struct call *pick(struct story *s)
{
    for (unsigned i = 0, at = below(s, EXCHANGES); i < EXCHANGES; i++) {
        struct call *c = &s->calls[(at + i) % EXCHANGES];

        if (c->taken && c->req && !c->complete) {
            return c;
        }
    }
    return NULL;
}

/* Some servers begin before the request is complete. */
static bool may_execute(struct story *s, const struct call *c)
{
    return (c->req->ended || below(s, 4) == 0) && (uint32_t)c->ex.stream_id <= s->last_stream;
}

static void answer(struct story *s, struct call *c)
{
    const char *const hints[] = {":status", "103", NULL};
    const char *const ok[] = {":status", "200", "content-type", "application/json", NULL};
    struct h2peer *p = &s->m.peer;
    uint32_t id = (uint32_t)c->ex.stream_id;

    if (!c->executed && may_execute(s, c)) {
        c->executed = true;
    }
    if (!c->executed) {
        return;
    }
    if (!c->answered) {
        if (below(s, 4) == 0) {
            h2peer_headers(p, 0, id, hints);
        }
        h2peer_headers(p, 0, id, ok);
        c->answered = true;
    }
    for (unsigned n = below(s, 3); n > 0 && c->reply_len < REPLY_MAX / 2; n--) {
        size_t len = below(s, REPLY_MAX / 4);

        h2peer_frame(p, H2_DATA, 0, id, reply + c->reply_len, len);
        c->reply_len += len;
    }
    if (below(s, 3)) {
        h2peer_frame(p, H2_DATA, H2_END_STREAM, id, NULL, 0);
        c->complete = true;
        h2peer_forget(c->req);
    }
}

static void reset(struct story *s, struct call *c)
{
    static const uint32_t codes[] = {H2_CANCEL, H2_INTERNAL_ERROR, H2_PROTOCOL_ERROR, H2_NO_ERROR};
    uint32_t id = (uint32_t)c->ex.stream_id;

    if (!c->executed && below(s, 2)) {
        h2peer_rst(&s->m.peer, id, H2_REFUSED_STREAM); /* honest: it never will be */
    } else {
        c->executed |= may_execute(s, c) && below(s, 2);
        h2peer_rst(&s->m.peer, id, codes[below(s, sizeof codes / sizeof *codes)]);
    }
    h2peer_forget(c->req);
    c->req = NULL;
}

/* Nothing above `last` was carried out, and nothing will be. */
static void say_goodbye(struct story *s)
{
    static const uint32_t codes[] = {H2_NO_ERROR, H2_ENHANCE_YOUR_CALM, H2_INTERNAL_ERROR};
    uint32_t last = 2 * below(s, EXCHANGES + 1);

    last = last ? last - 1 : 0;
    for (unsigned i = 0; i < s->n_calls; i++) {
        uint32_t id = (uint32_t)s->calls[i].ex.stream_id;

        last = s->calls[i].executed && id > last ? id : last;
    }
    s->last_stream = last < s->last_stream ? last : s->last_stream;
    h2peer_goaway(&s->m.peer, s->last_stream, codes[below(s, 3)], "bye");
}

static void chatter(struct story *s)
{
    const uint32_t window[] = {H2_SET_WINDOW, below(s, 100000)};
    const uint32_t streams[] = {H2_SET_MAX_STREAMS, below(s, 10)};

    switch (below(s, 5)) {
    case 0:
        h2peer_ping(&s->m.peer);
        break;
    case 1:
        h2peer_settings(&s->m.peer, 1, window);
        break;
    case 2:
        h2peer_settings(&s->m.peer, 1, streams);
        break;
    case 3:
        h2peer_frame(&s->m.peer, 0x77, 0, 0, "what is this", 12);
        break;
    default:
        h2peer_window(&s->m.peer, 0, 1 + below(s, 70000));
    }
}

/* ---- stories ---- */

static void step(struct story *s)
{
    struct call *c;
    unsigned what = below(s, 100);

    s->m.now_ns += (int64_t)below(s, 50) * PFS_MS;
    s->m.slice = below(s, 3) ? 0 : 1 + below(s, 20);
    take_in(s);
    c = pick(s);
    if (what < 35) {
        submit(s);
    } else if (what < 75 && c) {
        answer(s, c);
    } else if (what < 82 && c) {
        reset(s, c);
    } else if (what < 86) {
        give_up(s);
    } else if (what < 96) {
        chatter(s);
    } else if (what == 96) {
        say_goodbye(s);
    } else if (what == 97) {
        h2peer_raw(&s->m.peer, reply, 1 + below(s, 40)); /* no frame at all */
    } else if (what == 98 && below(s, 4) == 0) {
        lose(s, "cut");
    }
    if (s->m.fed != PFS_OK && !s->lost) { /* as the connection does */
        lose(s, "");
    }
    collect(s);
}

static void judge(const struct story *s, unsigned i)
{
    const struct call *c = &s->calls[i];
    const struct exchange *ex = &c->ex;
    enum pfs_outcome outcome = ex->err.outcome;

    REQUIRE(c->done, "seed %lu: call %u is forgotten", s->seed, i);
    if (ex->failure == FAILURE_NONE) {
        REQUIRE(c->executed && c->complete, "seed %lu: call %u succeeded by itself", s->seed, i);
        REQUIRE(
            ex->head.status == 200 && pfs_buf_len(&ex->reply) == c->reply_len &&
                (c->reply_len == 0 || memcmp(pfs_buf_data(&ex->reply), reply, c->reply_len) == 0),
            "seed %lu: call %u has another reply", s->seed, i);
        return;
    }
    REQUIRE(outcome != PFS_OUTCOME_NA || !c->executed,
            "seed %lu: call %u was carried out, and not applied: %s", s->seed, i, ex->err.text);
    REQUIRE(outcome != PFS_OUTCOME_AP || c->executed,
            "seed %lu: call %u was not carried out, and applied: %s", s->seed, i, ex->err.text);
    REQUIRE(ex->failure != FAILURE_BODY || c->answered,
            "seed %lu: call %u had no header to lose a body after", s->seed, i);
}

struct totals {
    unsigned long calls, succeeded, not_applied, applied, unknown, lost;
};

static void count(struct totals *t, const struct call *c)
{
    t->calls++;
    if (c->ex.failure == FAILURE_NONE) {
        t->succeeded++;
    } else if (c->ex.err.outcome == PFS_OUTCOME_NA) {
        t->not_applied++;
    } else if (c->ex.err.outcome == PFS_OUTCOME_AP) {
        t->applied++;
    } else {
        t->unknown++;
    }
}

static void tell(struct story *s, unsigned long seed, struct totals *t)
{
    *s = (struct story){.seed = seed, .last_stream = INT32_MAX};
    s->random = (unsigned)(seed * 2654435761u) ^ (unsigned)(seed >> 32);
    h2mem_open(&s->m, 1 + below(s, EXCHANGES), 0, NULL);
    s->m.peer.gives_credit = below(s, 3) != 0; /* else large requests stay on their way */
    for (unsigned n = below(s, STEPS); n > 0 && !s->lost; n--) {
        step(s);
    }
    t->lost += s->lost;
    if (!s->lost) {
        lose(s, "the end");
    }
    collect(s);
    REQUIRE(s->m.s->state.n_open == 0, "seed %lu: %u open", seed, s->m.s->state.n_open);
    for (unsigned i = 0; i < s->n_calls; i++) {
        if (s->calls[i].taken) {
            judge(s, i);
            count(t, &s->calls[i]);
        }
        exchange_fini(&s->calls[i].ex);
    }
    h2mem_close(&s->m);
}

int main(int argc, char **argv)
{
    static struct story s;
    unsigned long n = argc > 1 ? strtoul(argv[1], NULL, 10) : 20000;
    unsigned long first = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;
    struct totals t = {0};

    for (size_t i = 0; i < REPLY_MAX; i++) {
        reply[i] = (char)('a' + i % 23);
    }
    for (unsigned long i = 0; i < n; i++) {
        tell(&s, first + i, &t);
    }
    printf("%lu stories, %lu of them broken off: %lu calls, OK %lu, NA %lu, AP %lu, UN %lu\n", n,
           t.lost, t.calls, t.succeeded, t.not_applied, t.applied, t.unknown);
    REQUIRE(n < 1000 || (t.succeeded && t.not_applied && t.applied && t.unknown && t.lost),
            "some ends never came: the stories are poor");
    return 0;
}
