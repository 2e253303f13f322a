/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/random.h"
#include "base/clock.h"
#include <stdatomic.h>
#include <unistd.h>

uint32_t pfs_random(void)
{
    static atomic_ullong n;
    uint64_t x = atomic_fetch_add_explicit(&n, 0x9e3779b97f4a7c15u, memory_order_relaxed);

    x ^= (uint64_t)pfs_now() ^ (uint64_t)getpid() << 40;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u; /* splitmix64 */
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return (uint32_t)(x >> 32);
}
