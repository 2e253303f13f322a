/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* How a generation ends: retired in favour of an heir, or closed at once. */
#include "base/err.h"
#include "conn/generation_internal.h"

/* The next connection that was not told of this end yet, with a reference; NULL: none. */
static struct conn *take_untold_locked(struct generation *g)
{
    const struct list *both[] = {&g->conns, &g->draining};

    for (unsigned i = 0; i < 2; i++) {
        list_for_each (n, both[i]) {
            struct conn *c = list_entry(n, struct conn, gen_node);

            if (c->n_ends_told < g->n_ends) {
                c->n_ends_told = g->n_ends;
                return conn_ref(c);
            }
        }
    }
    return NULL;
}

static void end_conn(struct conn *c, const struct pfs_error *why)
{
    pthread_mutex_lock(&c->mu);
    if (!why && (c->state == CONN_READY || c->state == CONN_DRAINING)) {
        conn_drain_locked(c, "the generation is retired"); /* or goes on with that */
    } else {
        struct pfs_error retired;

        pfs_refuse(&retired, PFS_SHUTDOWN, "the generation is retired");
        conn_die_locked(c, why ? why : &retired);
    }
    conn_unlock(c, NULL);
    conn_ask_for_turn(c); /* where names or addresses are still tried */
}

/* Those that there are; none is made any more. Needs no memory: who ends may be short of it. */
static void end_all(struct generation *g, const struct pfs_error *why)
{
    struct conn *c;

    do {
        pthread_mutex_lock(&g->mu);
        c = take_untold_locked(g);
        pthread_mutex_unlock(&g->mu);
        if (c) {
            end_conn(c, why);
            conn_unref(c);
        }
    } while (c);
}

/* On an I/O thread: an exchange that goes no further ends here, and its user is told. */
static void move_on(struct io_task *t)
{
    struct generation *g = container_of(t, struct generation, move_task);

    for (struct list *node; (node = list_take_first(&g->moving)) != NULL;) {
        generation_resubmit(g, list_entry(node, struct exchange, node));
    }
    generation_unref(g);
}

void generation_retire(struct generation *g, struct generation *heir)
{
    pthread_mutex_lock(&g->mu);
    g->heir = generation_ref(heir);
    g->n_ends++;
    generation_take_queue_locked(g, &g->moving);
    pthread_mutex_unlock(&g->mu);
    generation_disarm(g);
    g->move_task.run = move_on;
    generation_ref(g);
    io_post(g->io, &g->move_task);
    end_all(g, NULL);
}

void generation_close(struct generation *g)
{
    struct list waiting;
    struct pfs_error why;

    list_init(&waiting);
    pfs_refuse(&why, PFS_SHUTDOWN, "the remote is being closed");
    pthread_mutex_lock(&g->mu);
    g->closing = true;
    g->n_ends++;
    generation_take_queue_locked(g, &waiting);
    pthread_mutex_unlock(&g->mu);
    generation_fail_list(&waiting, &why);
    end_all(g, &why);
    pthread_mutex_lock(&g->mu);
    while (g->n_alive > 0) {
        pthread_cond_wait(&g->freed, &g->mu);
    }
    pthread_mutex_unlock(&g->mu);
    generation_disarm(g);
}
