/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PLUGIN_RESULTS_H
#define PLUGIN_RESULTS_H

/*
 * Memory of results. The host copies a result some time after the call has returned, perhaps on
 * another thread, never frees it and never says that it is done. So each result is one block that
 * waits in a queue for a grace period after it was returned and is freed on some later call.
 * One queue for the whole library; all functions: any thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A host copies within microseconds; only a host that was stopped this long is let down. */
#define RESULTS_GRACE_MS 60000
/* All waiting results together: the stock host's machine can spare this, and 8 MiB/s of results. */
#define RESULTS_MAX_BYTES (512ul << 20)
/* Zero bytes behind each result, for hosts that read past the end (plugin-abi.md section 6.2). */
#define RESULTS_SLACK 256

/*
 * Sets both limits (tests; instance start). grace_ms >= 0. Blocks that wait already are judged by
 * the new grace period.
 */
void results_limit(int64_t grace_ms, size_t max_bytes);
/* The grace period in nanoseconds. */
int64_t results_grace_ns(void);
/*
 * Frees what is over its grace period (some blocks: constant work per call) and tells whether a
 * call whose result takes about n bytes may start. False: it must fail; nothing is freed early.
 * Calls that were let in may go over the limit by what they return, never by more.
 */
bool results_have_room(size_t n);

/* A zeroed block for a payload of n bytes, to be filled and published or freed with pfs_free;
 * NULL: out of memory. */
void *results_alloc(size_t n);
/* Turns a malloc'ed block of n bytes into one of results_alloc, contents kept. Takes mem (freed
 * when NULL, out of memory, is returned). */
void *results_adopt(void *mem, size_t n);
/*
 * Takes a block of results_alloc or results_adopt with n bytes of payload: it stays valid for the
 * grace period from now on. Called right before the payload is handed to the host.
 */
void results_publish(void *mem, size_t n);

/* Bytes that wait now, overhead included. */
size_t results_waiting(void);
/* Frees everything that is over its grace period. */
void results_reap(void);

#endif
