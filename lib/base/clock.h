/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_BASE_CLOCK_H
#define PFS_BASE_CLOCK_H

/* Monotonic time in nanoseconds and arithmetic with deadlines that cannot overflow. */
#include <stdint.h>

#define PFS_MS 1000000LL
#define PFS_SEC 1000000000LL
#define PFS_NEVER INT64_MAX

/* CLOCK_MONOTONIC now. */
int64_t pfs_now(void);
/* CLOCK_REALTIME now, since 1970 UTC. */
int64_t pfs_wall_now(void);

/* now + ns, PFS_NEVER when that does not fit or ns is PFS_NEVER. ns >= 0. */
static inline int64_t pfs_after(int64_t now, int64_t ns)
{
    return ns >= PFS_NEVER - now ? PFS_NEVER : now + ns;
}

static inline int64_t pfs_earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Milliseconds from now to deadline, rounded up, 0 when passed, at most max_ms: for poll(). */
static inline int pfs_ms_until(int64_t now, int64_t deadline, int max_ms)
{
    if (deadline <= now) {
        return 0;
    }
    if (deadline - now >= (int64_t)max_ms * PFS_MS) {
        return max_ms;
    }
    return (int)((deadline - now + PFS_MS - 1) / PFS_MS);
}

#endif
