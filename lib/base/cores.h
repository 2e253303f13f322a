/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_BASE_CORES_H
#define PFS_BASE_CORES_H

#include <sched.h>

/* How many cores the calling thread may run on; 1 where that cannot be found out. */
static inline unsigned pfs_n_cores(void)
{
    cpu_set_t cores;

    return sched_getaffinity(0, sizeof cores, &cores) == 0 ? (unsigned)CPU_COUNT(&cores) : 1;
}

#endif
