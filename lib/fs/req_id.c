/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "fs/req_id.h"
#include "base/clock.h"
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
    static const char digits[] = "0123456789abcdef";

    for (int i = 15; i >= 0; i--) {
        dst[i] = digits[v & 15];
        v >>= 4;
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
