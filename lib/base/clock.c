/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/clock.h"
#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * PFS_SEC + t.tv_nsec;
}

int64_t pfs_now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t pfs_wall_now(void)
{
    return read_clock(CLOCK_REALTIME);
}
