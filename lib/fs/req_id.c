/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "fs/req_id.h"
#include "base/clock.h"
#include <endian.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static uint64_t seed;
static atomic_ullong next;

static void plant(void)
{
    uint64_t bytes[2];

    if (getrandom(bytes, sizeof bytes, GRND_NONBLOCK) != (ssize_t)sizeof bytes) {
        bytes[0] = (uint64_t)pfs_wall_now() ^ (uint64_t)getpid()
                                                  << 48; /* the machine has just booted */
        bytes[1] = (uint64_t)pfs_now();
    }
    seed = bytes[0];
    atomic_store(&next, bytes[1]);
}

static void start(void)
{
    plant();
    pthread_atfork(NULL, NULL, plant);
}

static void put_hex(char *dst, uint64_t v)
{
    /* Eight digits at a time, a nibble in each byte: made for every call that is no pure read. */
    for (int half = 0; half < 2; half++) {
        uint64_t x = half == 0 ? v >> 32 : v & UINT32_MAX;

        x = (x << 16 | x) & 0x0000ffff0000ffff;
        x = (x << 8 | x) & 0x00ff00ff00ff00ff;
        x = (x << 4 | x) & 0x0f0f0f0f0f0f0f0f;
        uint64_t letters = ((x + 0x0606060606060606) >> 4) & 0x0101010101010101;
        x = htobe64(x + 0x3030303030303030 + letters * ('a' - '0' - 10));
        memcpy(dst + 8 * half, &x, sizeof x);
    }
}

void req_id_make(char id[33])
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, start);
    put_hex(id, seed);
    put_hex(id + 16, atomic_fetch_add_explicit(&next, 1, memory_order_relaxed));
    id[32] = '\0';
}
