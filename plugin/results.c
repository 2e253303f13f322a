/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * The queue of results, oldest first. A block is payload, slack and the queue's tail record in one
 * allocation, so that publishing cannot fail. Nothing drains the queue at shutdown: results may be
 * on their way then as at any other time.
 */
#include "results.h"
#include "base/alloc.h"
#include "base/clock.h"
#include <pthread.h>
#include <string.h>

/* Two would keep up with one block added per call; more get rid of a burst sooner. */
#define REAP_PER_CALL 16

struct tail {
    struct tail *next;
    void *mem;
    size_t bytes; /* of the whole block */
    int64_t published_ns;
};

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
/* Under mu; waiting = sum of bytes in the queue. */
static struct tail *first, *last;
static size_t waiting;
static size_t max_bytes = RESULTS_MAX_BYTES;
static int64_t grace_ns = RESULTS_GRACE_MS * PFS_MS;

static size_t tail_offset(size_t n)
{
    size_t align = _Alignof(struct tail);

    return (n + RESULTS_SLACK + align - 1) / align * align;
}

void results_limit(int64_t grace_ms, size_t max)
{
    pthread_mutex_lock(&mu);
    grace_ns = grace_ms * PFS_MS;
    max_bytes = max;
    pthread_mutex_unlock(&mu);
}

int64_t results_grace_ns(void)
{
    pthread_mutex_lock(&mu);
    int64_t ns = grace_ns;
    pthread_mutex_unlock(&mu);
    return ns;
}

/* Unlinks at most n blocks that are over their grace period. */
static struct tail *take_expired_locked(size_t n)
{
    int64_t now = pfs_now();
    struct tail *taken = first, *t = NULL;

    for (; n > 0 && first && now - first->published_ns >= grace_ns; n--) {
        t = first;
        waiting -= t->bytes;
        first = t->next;
    }
    if (!t) {
        return NULL;
    }
    t->next = NULL;
    if (!first) {
        last = NULL;
    }
    return taken;
}

static void free_all(struct tail *t)
{
    while (t) {
        struct tail *next = t->next;

        pfs_free(t->mem);
        t = next;
    }
}

bool results_have_room(size_t n)
{
    pthread_mutex_lock(&mu);
    struct tail *expired = take_expired_locked(REAP_PER_CALL);
    bool room = waiting < max_bytes && n <= max_bytes - waiting;
    pthread_mutex_unlock(&mu);
    free_all(expired);
    return room;
}

void *results_alloc(size_t n)
{
    return pfs_calloc(1, tail_offset(n) + sizeof(struct tail));
}

void *results_adopt(void *mem, size_t n)
{
    char *p = pfs_realloc(mem, tail_offset(n) + sizeof(struct tail));

    if (!p) {
        pfs_free(mem);
        return NULL;
    }
    memset(p + n, 0, tail_offset(n) + sizeof(struct tail) - n);
    return p;
}

void results_publish(void *mem, size_t n)
{
    struct tail *t = (void *)((char *)mem + tail_offset(n));

    t->mem = mem;
    t->bytes = tail_offset(n) + sizeof *t;
    pthread_mutex_lock(&mu);
    t->published_ns = pfs_now();
    if (last) {
        last->next = t;
    } else {
        first = t;
    }
    last = t;
    waiting += t->bytes;
    pthread_mutex_unlock(&mu);
}

size_t results_waiting(void)
{
    pthread_mutex_lock(&mu);
    size_t n = waiting;
    pthread_mutex_unlock(&mu);
    return n;
}

void results_reap(void)
{
    pthread_mutex_lock(&mu);
    struct tail *expired = take_expired_locked(SIZE_MAX);
    pthread_mutex_unlock(&mu);
    free_all(expired);
}
