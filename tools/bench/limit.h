/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef BENCH_LIMIT_H
#define BENCH_LIMIT_H

/*
 * What this machine can do at best: a bare TLS 1.3 connection with AES-128-GCM over loopback, one
 * process at each end. A round trip is 120 bytes there and 250 back, the size of a small request
 * and its reply; the pipe sends records of 16 KiB as fast as they are taken.
 */
#include "workload.h"
#include <proxyfs/error.h>
#include <sys/types.h>

#define LIMIT_PIECE (1 << 20) /* bytes that one call of the pipe reads */

struct limit;

/*
 * Starts the other end as a child process; call it before the process has threads. The child ends
 * with limit_stop, or with this process.
 */
enum pfs_class limit_start(struct limit **ret, struct pfs_error *err);
void limit_stop(struct limit *l); /* NULL is allowed */
pid_t limit_pid(const struct limit *l);

/* A connection for OP_PING or OP_PIPE; NULL: *err says why. */
void *limit_connect(struct limit *l, enum bench_op op, struct pfs_error *err);
void limit_disconnect(void *tls);
/* One round trip; one piece of the pipe. */
enum pfs_class limit_call(void *tls, enum bench_op op, struct pfs_error *err);

#endif
