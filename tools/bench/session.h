/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef BENCH_SESSION_H
#define BENCH_SESSION_H

/* What one caller calls through: it makes the call ready, then makes it. */
#include "target.h"

#define SESSION_PATH_MAX 512
#define SESSION_ID_MAX 64

struct session {
    struct target *target;
    const struct setup *setup;
    unsigned caller;
    uint64_t bytes_read, bytes_written; /* content; counted by session_call */
    /* the rest is session.c's */
    const struct remote *remote;
    struct rng rng;
    bool created;    /* create and remove take turns */
    bool enqueued;   /* so do enqueue and dequeue */
    uint64_t serial; /* of messages and created files */
    uint64_t own;    /* the serial of the file that was created */
    char path[SESSION_PATH_MAX];
    char *message;
    size_t n_message;
    void *tls;    /* connection to a limit */
    char *buffer; /* of streams */
    /* from session_call to session_check: */
    struct pfs_stat stat;
    struct pfs_data data;
    struct pfs_list list;
    int64_t streamed; /* bytes read from a stream */
};

/* PFS_OK, or what is wrong; session_close in any case. */
enum pfs_class session_open(struct session *s, struct target *t, const struct setup *setup,
                            unsigned caller, struct pfs_error *err);
void session_close(struct session *s);
/* The operation that is next in a part of the workload; makes path and content ready. */
enum bench_op session_next(struct session *s, const struct workload_part *part);
/*
 * Makes the call, and nothing else: this is what is timed. When it succeeded session_check must
 * follow, which frees what it returned and says whether that is what was stored.
 */
enum pfs_class session_call(struct session *s, enum bench_op op, struct pfs_error *err);
enum pfs_class session_check(struct session *s, enum bench_op op, struct pfs_error *err);

/* Messages of queues, also for target_clean. Notes a reply of "dequeue"; false: it was empty. */
bool account_message(struct queue_account *a, const struct pfs_data *reply);

#endif
