/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFS_CROWD_H
#define AGFS_CROWD_H

/* Work on several things at a time, when each of them mostly waits for a server. */
#include <stddef.h>

#define CROWD_MAX 64 /* at a time */

/* Does one of the things; on several threads at once, in any order. */
typedef void crowd_fn(void *arg, size_t i);

/*
 * Calls work(arg, i) for each i below n, up to `width` (1 to CROWD_MAX) at a time, also on the
 * caller's thread. Returns when all are done. Where a thread cannot be made there are fewer.
 */
void crowd_run(size_t n, unsigned width, crowd_fn *work, void *arg);

#endif
