/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Which connection takes an exchange, when one more is made, and which I/O thread carries it.
 *
 * Replies and wake-ups go in batches, which another connection splits; but its own I/O thread works
 * on another core. Measured with 64 callers on two cores: one connection 128,000 calls a second,
 * two on two threads 177,000, three on one thread 95,000. So there are as many connections as I/O
 * threads for that, and more only when these are nearly full.
 */
#include "conn/generation_internal.h"

/* With so many in flight on each connection one more is made, if it has a core to itself. */
#define PARALLEL_FROM 16
/* Up to so many small exchanges share a connection although another one is there. */
#define TOGETHER 8

bool choose_is_crowded_locked(const struct generation *g, const struct conn *c)
{
    unsigned cap = atomic_load_explicit(&c->capacity, memory_order_relaxed);
    unsigned enough = cap - cap / 4;

    if (g->n_conns < g->n_loops && enough > PARALLEL_FROM) {
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

/* c is better than best, which comes first in the list. */
static bool suits_better(const struct conn *c, const struct conn *best, bool is_stream)
{
    if (!is_stream && (c->n_streams == 0) != (best->n_streams == 0)) {
        return c->n_streams == 0;
    }
    return c->n_picked < best->n_picked && (is_stream || best->n_picked >= TOGETHER);
}

struct conn *choose_conn_locked(struct generation *g, const struct exchange *ex)
{
    bool is_stream = exchange_is_stream(ex);
    struct conn *best = NULL, *spared = is_stream && g->n_conns > 1 ? quiet_locked(g) : NULL;

    list_for_each (n, &g->conns) {
        struct conn *c = list_entry(n, struct conn, gen_node);

        if (c != spared && takes_one_more(c) && (!best || suits_better(c, best, is_stream))) {
            best = c;
        }
    }
    return best;
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
    struct io *best = g->io;
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
