/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PROXYFS_HOST_H
#define PROXYFS_HOST_H

/*
 * For programs with event loops of their own. Requests that are submitted (pfs_submit, a proxyfs
 * driver) on the thread of a loop that hosts are sent over connections which that loop carries, and
 * `done` and the callbacks of streams come on that thread, out of the functions marked below,
 * without another thread taking part, unless a listing or the like is so long (over 128 KiB) that
 * decoding it would hold up the loop. Everything else stays as it is: calls of other threads use
 * the library's I/O thread, and either may use the connections of the other where it has none.
 *
 *     on the loop's thread, first:      pfs_host_enter
 *     its descriptor is readable:       pfs_host_turn
 *     at the end of each turn:          pfs_host_work, so that what was submitted in it is sent
 *     before the loop sleeps:           pfs_host_before_sleep says for how long it may
 *     when the loop ends:               pfs_host_run on its thread, until all clients are freed and
 *                                       pfs_host_stop is called by another one
 *
 * All functions but new, stop and free belong to the loop's thread. That must not free a client,
 * nor call a function that blocks: both wait for turns that only it can take.
 */
#include <proxyfs/error.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pfs_host;

/* *ret: pfs_host_free. Any thread. Errors: NOMEM, NOFILE. */
PFS_API PFS_MUST_CHECK enum pfs_class pfs_host_new(struct pfs_host **ret, struct pfs_error *err);
/* The calling thread is the host from now on; a thread hosts for one at most. */
PFS_API void pfs_host_enter(struct pfs_host *h);
/* Readable (poll, epoll) when there is something to do. */
PFS_API int pfs_host_fd(const struct pfs_host *h);
/* Does what there is to do, and what it is time for. Callbacks come from here. */
PFS_API void pfs_host_turn(struct pfs_host *h);
/* Does what was put off in this turn of the loop. Callbacks come from here. */
PFS_API void pfs_host_work(struct pfs_host *h);
/*
 * The loop is about to sleep: until when it may (CLOCK_MONOTONIC, in ns; 0: not at all), unless the
 * descriptor becomes readable. Then pfs_host_turn is due.
 */
PFS_API int64_t pfs_host_before_sleep(struct pfs_host *h);
/* Takes turns until pfs_host_stop: for a loop that has ended before its connections. */
PFS_API void pfs_host_run(struct pfs_host *h);
/* All clients are freed. Once, any thread. */
PFS_API void pfs_host_stop(struct pfs_host *h);
/* No client is left, and the thread has left pfs_host_run or never called it. NULL allowed. */
PFS_API void pfs_host_free(struct pfs_host *h);

#ifdef __cplusplus
}
#endif
#endif
