/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "queue.h"
#include "base/clock.h"
#include "base/err.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define VERSION 7u
#define VARIANT 0x8000u

void queue_make_id(char id[37], int64_t time_ns)
{
    static _Atomic uint64_t counter; /* instead of random bits, should there be none */
    uint64_t ms = (uint64_t)time_ns / PFS_MS;
    /* RFC 9562 6.2 method 3: the 12 bits after the version are the fraction of the millisecond. */
    unsigned fraction = (unsigned)((uint64_t)time_ns % PFS_MS * 4096 / PFS_MS);
    uint64_t random;

    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random) {
        random = ++counter;
    }
    snprintf(id, 37, "%08" PRIx32 "-%04x-%04x-%04x-%012" PRIx64, (uint32_t)(ms >> 16),
             (unsigned)(ms & 0xffff), VERSION << 12 | fraction,
             VARIANT | (unsigned)(random >> 48 & 0x3fff), random & 0xffffffffffffu);
}

enum pfs_class queue_check_room(const struct queue_limits *limits, uint64_t total, size_t len,
                                uint64_t cost, struct pfs_error *err)
{
    if (len > limits->max_message_bytes) {
        return pfs_refuse(err, PFS_TOOBIG, "message too large: %zu bytes, %" PRIu64 " are allowed",
                          len, limits->max_message_bytes);
    }
    if (cost > limits->max_bytes || total > limits->max_bytes - cost) {
        return pfs_refuse(err, PFS_NOSPC,
                          "no space left for messages: %" PRIu64 " of %" PRIu64 " bytes are taken",
                          total, limits->max_bytes);
    }
    return PFS_OK;
}

int queue_compare(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    /* The end of a name comes first of all, then '/'. */
    int left = *a == '/' ? 1 : *a ? (unsigned char)*a + 2 : 0;
    int right = *b == '/' ? 1 : *b ? (unsigned char)*b + 2 : 0;

    return left - right;
}

bool queue_child_of(const char *name, const char *dir, char *child, size_t cap)
{
    size_t n = strlen(dir);

    if (n > 0 && (strncmp(name, dir, n) != 0 || name[n] != '/')) {
        return false;
    }
    name += n > 0 ? n + 1 : 0;
    snprintf(child, cap, "%.*s", (int)strcspn(name, "/"), name);
    return true;
}
