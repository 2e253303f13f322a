/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Clients: create, count what is in flight, end. */
#include "fs/client.h"
#include "base/alloc.h"
#include "base/err.h"
#include "base/mutex.h"
#include "base/pool.h"
#include "base/thread.h"
#include "fs/async.h"
#include <sched.h>

/* Replies that wait for the decoder, each of 32 MiB at most; further ones are decoded at once. */
#define DECODER_QUEUE 16

struct pfs_client *client_ref(struct pfs_client *c)
{
    atomic_fetch_add(&c->refs, 1);
    return c;
}

void client_unref(struct pfs_client *c)
{
    if (atomic_fetch_sub(&c->refs, 1) == 1) {
        pthread_cond_destroy(&c->changed);
        pthread_mutex_destroy(&c->mu);
        pfs_free(c);
    }
}

static void init_waiting(struct pfs_client *c)
{
    atomic_init(&c->refs, 1);
    c->n_forks = io_n_forks();
    pfs_mutex_init_short(&c->mu);
    pthread_cond_init(&c->changed, NULL);
}

enum pfs_class pfs_client_new(const struct pfs_option *list, size_t n, struct pfs_client **ret,
                              struct pfs_error *err)
{
    struct pfs_client *c = pfs_calloc(1, sizeof *c);

    if (!c) {
        return pfs_nomem(err, "a client");
    }
    enum pfs_class cls = client_options_parse(list, n, &c->options, err);
    if (cls == PFS_OK) {
        int before = pfs_cancel_not(); /* files are read, under a lock */

        cls = remote_get(&c->options, &c->remote, err);
        pfs_cancel_again(before);
    }
    if (cls != PFS_OK) {
        client_options_fini(&c->options);
        pfs_free(c);
        return cls;
    }
    init_waiting(c);
    list_init(&c->ops);
    *ret = c;
    return PFS_OK;
}

/* What stands in all slots once the client is closing: no call comes in any more. */
static char slot_closed;
#define SLOT_CLOSED ((struct op *)(void *)&slot_closed)

static void add_locked(struct pfs_client *c, struct op *op)
{
    op->serial = ++c->n_entered;
    list_append(&c->ops, &op->node);
}

bool client_enter(struct pfs_client *c, struct op *op)
{
    _Atomic(struct op *) *slot = &c->slots[caller_number() % CLIENT_SLOTS];
    struct op *none = NULL;

    if (!op->async && atomic_compare_exchange_strong(slot, &none, op)) {
        op->slot = slot;
        return true;
    }
    pthread_mutex_lock(&c->mu);
    bool open = !c->closing;
    if (open) {
        add_locked(c, op);
    }
    pthread_mutex_unlock(&c->mu);
    return open;
}

void client_leave(struct pfs_client *c, struct op *op)
{
    struct op *expected = op;

    if (op->slot && atomic_compare_exchange_strong(op->slot, &expected, NULL)) {
        return; /* c may be gone from here on */
    }
    pthread_mutex_lock(&c->mu);
    list_remove(&op->node);
    if (c->closing && list_is_empty(&c->ops)) {
        pthread_cond_broadcast(&c->changed);
    }
    pthread_mutex_unlock(&c->mu);
}

bool client_pause(struct op *op, int64_t until_ns)
{
    struct pfs_client *c = op->client;

    pthread_mutex_lock(&c->mu);
    while (!op_is_ended(op) && pfs_cond_wait_until(&c->changed, &c->mu, until_ns)) {
    }
    pthread_mutex_unlock(&c->mu);
    return !op_is_ended(op);
}

/* From now on the calls in the slots are in ops as all others; what the slots hold then: `left`. */
static void empty_slots_locked(struct pfs_client *c, struct op *left)
{
    for (unsigned i = 0; i < CLIENT_SLOTS; i++) {
        struct op *op = atomic_exchange(&c->slots[i], left);

        if (op) {
            add_locked(c, op);
        }
    }
}

/*
 * The next operation in flight that was not given up yet, of the first n_first that came into ops,
 * pinned or referenced; NULL: none.
 */
static struct op *take_victim_locked(struct pfs_client *c, enum pfs_class cls, uint64_t n_first)
{
    list_for_each (n, &c->ops) {
        struct op *op = list_entry(n, struct op, node);
        int live = OP_PIN_LIVE;

        if (op->serial > n_first || atomic_load(&op->cancelled) != PFS_OK) {
            continue;
        }
        atomic_store(&op->cancelled, (int)cls);
        if (op->async) {
            async_ref(op->async);
            return op;
        }
        if (atomic_compare_exchange_strong(&op->pin, &live, OP_PIN_PINNED)) {
            return op;
        } /* else between two attempts: it sees it itself */
    }
    return NULL;
}

static void cancel_all_locked(struct pfs_client *c, enum pfs_class cls)
{
    uint64_t n_first = c->n_entered; /* callbacks may begin others */
    struct op *op;

    while ((op = take_victim_locked(c, cls, n_first)) != NULL) {
        pthread_mutex_unlock(&c->mu);
        if (op->async) {
            struct async_op *a = op->async;

            async_cancel(a, cls);
            async_unref(a);
        } else {
            exchange_cancel(&op->ex, cls);
            atomic_store(&op->pin, OP_PIN_LIVE);
        }
        pthread_mutex_lock(&c->mu);
    }
    pthread_cond_broadcast(&c->changed);
}

void pfs_cancel_all(struct pfs_client *c)
{
    if (client_is_inherited(c)) {
        return;
    }
    pthread_mutex_lock(&c->mu);
    empty_slots_locked(c, NULL);
    cancel_all_locked(c, PFS_CANCELLED);
    pthread_mutex_unlock(&c->mu);
}

/* The operation in flight that has this ticket, referenced; NULL: none. */
static struct async_op *find_ticket(struct pfs_client *c, const void *ticket)
{
    struct async_op *found = NULL;

    pthread_mutex_lock(&c->mu);
    list_for_each (n, &c->ops) {
        struct async_op *a = list_entry(n, struct op, node)->async;

        if (a && atomic_load(&a->ticket) == ticket) {
            found = async_ref(a);
            break;
        }
    }
    pthread_mutex_unlock(&c->mu);
    return found;
}

void pfs_cancel(struct pfs_client *c, const void *ticket)
{
    struct async_op *a = ticket && !client_is_inherited(c) ? find_ticket(c, ticket) : NULL;

    if (a) {
        async_cancel(a, PFS_CANCELLED);
        async_unref(a);
    }
}

struct pfs_pool *client_decoder(struct pfs_client *c)
{
    pthread_mutex_lock(&c->mu);
    if (!c->decoder) {
        c->decoder = pfs_pool_new(1, DECODER_QUEUE);
    }
    struct pfs_pool *decoder = c->decoder;

    pthread_mutex_unlock(&c->mu);
    return decoder;
}

void pfs_client_free(struct pfs_client *c)
{
    if (!c || client_is_inherited(c)) { /* what a forked child inherited is left alone */
        return;
    }
    int before = pfs_cancel_not();

    pthread_mutex_lock(&c->mu);
    atomic_store(&c->closing, true);
    empty_slots_locked(c, SLOT_CLOSED);
    cancel_all_locked(c, PFS_SHUTDOWN);
    while (!list_is_empty(&c->ops)) {
        pthread_cond_wait(&c->changed, &c->mu);
    }
    pthread_mutex_unlock(&c->mu);
    while (atomic_load(&c->n_inside) > 0) { /* on their way out: they wait for nothing */
        sched_yield();
    }
    pfs_pool_free(c->decoder); /* its thread may still be leaving its last job */
    remote_put(c->remote);
    client_options_fini(&c->options);
    client_unref(c);
    pfs_cancel_again(before);
}

void pfs_client_stats(struct pfs_client *c, struct pfs_stats *ret)
{
    if (client_is_inherited(c)) {
        *ret = (struct pfs_stats){0};
    } else {
        remote_stats(c->remote, ret);
    }
}
