/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_FS_CLIENT_H
#define PFS_FS_CLIENT_H

/*
 * A client: its remote, its options, and what is in flight for it, so that all of that can be given
 * up and pfs_client_free can wait for its end.
 */
#include "base/list.h"
#include "conn/io.h"
#include "fs/options.h"
#include <pthread.h>
#include <stdatomic.h>

struct op;
struct pfs_pool;
struct remote;

/* As many threads may call without sharing a slot; others use the list. */
#define CLIENT_SLOTS 64

struct pfs_client {
    unsigned n_forks; /* io_n_forks when it was made */
    atomic_uint refs; /* the user's, and reads in parts that go on asking for more */
    struct remote *remote;
    struct options options;
    /* operations and streams in flight, so that pfs_client_free can end them */
    pthread_mutex_t mu;
    pthread_cond_t changed;   /* something was given up, or ops became empty while closing */
    struct list ops;          /* by op.node */
    uint64_t n_entered;       /* into ops so far */
    struct pfs_pool *decoder; /* NULL: not needed so far */
    atomic_bool closing;      /* set under mu */
    /* Blocking calls come and go here, without mu; from closing on they are in ops. */
    _Atomic(struct op *) slots[CLIENT_SLOTS];
    atomic_uint n_inside; /* threads in pfs_submit, whose operation may be over already */
};

/* True: c was made before a fork, by the parent; nothing of it may be touched. */
static inline bool client_is_inherited(const struct pfs_client *c)
{
    return c->n_forks != io_n_forks();
}

/* Keeps the memory of a client, not its connections: those are gone after pfs_client_free. */
struct pfs_client *client_ref(struct pfs_client *c);
void client_unref(struct pfs_client *c);
/* Adds to and takes from the client's operations in flight; false: the client is closing. */
bool client_enter(struct pfs_client *c, struct op *op);
void client_leave(struct pfs_client *c, struct op *op);
/*
 * Where long replies of calls that nobody waits for are decoded, one at a time; NULL: no memory.
 * For an operation that has entered: the client waits for its end, then for the decoder's.
 */
struct pfs_pool *client_decoder(struct pfs_client *c);
/* Sleeps until until_ns; false: op_is_ended. */
bool client_pause(struct op *op, int64_t until_ns);

#endif
