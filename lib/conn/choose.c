/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Which connection takes an exchange, when one more is made, and which I/O thread carries it.
 *
 * Replies and wake-ups go in batches, which another connection splits; but its own I/O thread works
 * on another core. Measured with 64 callers on two cores: one connection 128,000 calls a second,
 * two on two threads 177,000, three on one thread 95,000; with 32 callers one 102,000 and two
 * 110,000; with 24, whose I/O thread polls, one 117,000 and two 102,000. So there are as many
 * connections as I/O threads for that, and more only when these are nearly full. A thread that
 * hosts (proxyfs/host.h) uses connections of its own loop, so that no other thread takes part, and
 * makes one where it has none; until that is up, or when there may be no more, those of others do.
 */
#include "conn/generation_internal.h"

/* With so many in flight on each connection one more is made, if it has a core to itself. */
#define PARALLEL_FROM 24
/* Fewer small exchanges than that share a connection although another one is there. */
#define TOGETHER 8
/* A connection that has so many more in flight than another is not taken out of habit. */
#define MUCH_MORE 32

bool choose_is_crowded_locked(const struct generation *g, const struct conn *c,
                              const struct io *hosted)
{
    unsigned cap = atomic_load_explicit(&c->capacity, memory_order_relaxed);
    unsigned enough = cap - cap / 4;

    if (g->n_conns < g->n_loops && enough > PARALLEL_FROM && !hosted) {
        enough = PARALLEL_FROM;
    }
    return c->n_picked >= enough;
}

static bool takes_one_more(const struct conn *c)
{
    return c->n_picked < atomic_load_explicit(&c->capacity, memory_order_relaxed);
}

/*
 * The only connection without streams, when there are others: it is left to the small exchanges,
 * whose replies would wait behind what the streams have in the buffers of a connection (many reads
 * at 600 MB/s: 60 ms and more). NULL: none.
 */
static struct conn *quiet_locked(struct generation *g)
{
    struct conn *quiet = NULL;
    unsigned n_ready = 0, n_quiet = 0;

    list_for_each (n, &g->conns) {
        struct conn *c = list_entry(n, struct conn, gen_node);

        if (takes_one_more(c)) {
            n_ready++;
            n_quiet += c->n_streams == 0;
            quiet = c->n_streams == 0 ? c : quiet;
        }
    }
    return n_quiet == 1 && n_ready > 1 ? quiet : NULL;
}

/* The connections that suit an exchange. */
struct suitable {
    const struct conn *spared;
    const struct io *only; /* on that loop; NULL: any */
    bool quiet_only;
    unsigned n, n_picked; /* how many, and exchanges on them */
    struct conn *first, *least;
};

static bool is_suitable(const struct suitable *s, const struct conn *c)
{
    return c != s->spared && takes_one_more(c) && (!s->quiet_only || c->n_streams == 0) &&
           (!s->only || c->io == s->only);
}

static void survey_locked(const struct generation *g, struct suitable *s)
{
    list_for_each (n, &g->conns) {
        struct conn *c = list_entry(n, struct conn, gen_node);

        if (is_suitable(s, c)) {
            s->first = s->first ? s->first : c;
            s->least = !s->least || c->n_picked < s->least->n_picked ? c : s->least;
            s->n_picked += c->n_picked;
            s->n++;
        }
    }
}

/*
 * A caller comes back to the connection whose other callers sleep on the same futex words, so that
 * a batch is woken by few calls and their threads stay near its I/O thread; unless that connection
 * has much more to do than another.
 */
static struct conn *own_locked(const struct generation *g, const struct suitable *s, unsigned word)
{
    unsigned i = 0;

    list_for_each (n, &g->conns) {
        struct conn *c = list_entry(n, struct conn, gen_node);

        if (is_suitable(s, c) && i++ == word % s->n) {
            return c->n_picked < s->least->n_picked + MUCH_MORE ? c : s->least;
        }
    }
    return s->least;
}

struct conn *choose_conn_locked(struct generation *g, const struct exchange *ex,
                                const struct io *hosted)
{
    if (g->n_conns == 1) { /* whatever it suits, there is no other */
        struct conn *only = list_entry(g->conns.next, struct conn, gen_node);

        return takes_one_more(only) ? only : NULL;
    }
    bool is_stream = exchange_is_stream(ex);
    struct suitable s = {.spared = is_stream && g->n_conns > 1 ? quiet_locked(g) : NULL};

    /* A small exchange looks for one without streams first; then what its caller hosts counts. */
    for (unsigned i = is_stream ? 2 : 0; i < 4 && s.n == 0; i++) {
        s.quiet_only = i < 2;
        s.only = i % 2 == 0 ? hosted : NULL;
        survey_locked(g, &s);
    }
    if (s.n < 2 || (!is_stream && s.n_picked < TOGETHER)) {
        return s.first;
    }
    return is_stream || ex->notify ? s.least : own_locked(g, &s, ex->wake_slot / 32);
}

bool choose_lacks_hosted_locked(const struct generation *g, const struct exchange *ex,
                                const struct io *hosted)
{
    list_for_each (n, &g->conns) {
        const struct conn *c = list_entry(n, struct conn, gen_node);

        if (c->io == hosted && (exchange_is_stream(ex) || c->n_streams == 0)) {
            return false;
        }
    }
    return true;
}

static unsigned n_on(const struct generation *g, const struct io *io)
{
    unsigned n = 0;

    list_for_each (node, &g->conns) {
        n += list_entry(node, struct conn, gen_node)->io == io;
    }
    return n;
}

struct io *choose_io_locked(const struct generation *g)
{
    struct io *best = io_hosted_here();

    if (best) {
        return best;
    }
    best = g->io;
    unsigned fewest = n_on(g, best);

    for (unsigned i = 1; i < g->n_loops && fewest > 0; i++) {
        struct io *io = io_beside(g->io, i);
        unsigned n = io ? n_on(g, io) : fewest;

        if (n < fewest) {
            best = io;
            fewest = n;
        }
    }
    return best;
}
