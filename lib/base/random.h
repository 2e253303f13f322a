/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_BASE_RANDOM_H
#define PFS_BASE_RANDOM_H

/*
 * Numbers that differ between threads, processes and machines, so that many clients do not act in
 * step. Not for secrets. Any thread; also in a forked child.
 */
#include <stdint.h>

uint32_t pfs_random(void);

#endif
