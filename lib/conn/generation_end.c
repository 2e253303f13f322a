/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* How a generation ends: retired in favour of an heir, or closed at once. */
#include "base/alloc.h"
#include "base/err.h"
#include "conn/generation_internal.h"

static struct conn **add_all(struct conn **to, const struct list *conns)
{
    for (const struct list *n = conns->next; n != conns; n = n->next) {
        *to++ = conn_ref(list_entry(n, struct conn, gen_node));
    }
    return to;
}

/* References to all living connections, *ret_n of them. NULL: none, or out of memory. */
static struct conn **snapshot_locked(struct generation *g, unsigned *ret_n)
{
    struct conn **all = pfs_calloc(g->n_alive, sizeof *all), **end = all;

    if (all) {
        end = add_all(add_all(all, &g->conns), &g->draining);
    }
    *ret_n = (unsigned)(end - all);
    return all;
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

static void end_all(struct conn **all, unsigned n, const struct pfs_error *why)
{
    for (unsigned i = 0; i < n; i++) {
        end_conn(all[i], why);
        conn_unref(all[i]);
    }
    pfs_free(all);
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
    unsigned n;

    pthread_mutex_lock(&g->mu);
    g->heir = generation_ref(heir);
    generation_take_queue_locked(g, &g->moving);
    struct conn **all = snapshot_locked(g, &n);
    pthread_mutex_unlock(&g->mu);
    generation_disarm(g);
    g->move_task.run = move_on;
    generation_ref(g);
    io_post(g->io, &g->move_task);
    end_all(all, n, NULL);
}

void generation_close(struct generation *g)
{
    struct list waiting;
    struct pfs_error why;
    unsigned n;

    list_init(&waiting);
    pfs_refuse(&why, PFS_SHUTDOWN, "the remote is being closed");
    pthread_mutex_lock(&g->mu);
    g->closing = true;
    generation_take_queue_locked(g, &waiting);
    struct conn **all = snapshot_locked(g, &n);
    pthread_mutex_unlock(&g->mu);
    generation_fail_list(&waiting, &why);
    end_all(all, n, &why);
    pthread_mutex_lock(&g->mu);
    while (g->n_alive > 0) {
        pthread_cond_wait(&g->freed, &g->mu);
    }
    pthread_mutex_unlock(&g->mu);
    generation_disarm(g);
}
