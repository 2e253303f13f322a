/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * nghttp2 holds a buffer of 16 KiB for the frame that it is making, in every session. In one that
 * is idle it holds nothing, but its pages stay resident once they were used, by it or (with TLS) by
 * what the memory held before: 12 of the 40 KiB of an idle connection. They are given back.
 */
#include "h2.h"
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define FRAME_BUFFER_MIN 16384 /* the only block of that size while nothing is sent */

static void *mem_malloc(size_t n, void *arg)
{
    struct h2 *h = arg;
    void *p = malloc(n);

    if (p && n >= FRAME_BUFFER_MIN && !h->frame_buffer) {
        h->frame_buffer = p;
        h->n_frame_buffer = n;
    }
    return p;
}

static void mem_free(void *p, void *arg)
{
    struct h2 *h = arg;

    if (p && p == h->frame_buffer) {
        h->frame_buffer = NULL;
    }
    free(p);
}

static void *mem_calloc(size_t n, size_t size, void *arg)
{
    return calloc(n, size);
}

static void *mem_realloc(void *p, size_t n, void *arg)
{
    struct h2 *h = arg;

    if (!p) {
        return mem_malloc(n, arg); /* so it makes its buffers */
    }
    if (p == h->frame_buffer) {
        h->frame_buffer = NULL;
    }
    return realloc(p, n);
}

void h2_idle_init(struct h2 *h)
{
    h->mem = (nghttp2_mem){h, mem_malloc, mem_free, mem_calloc, mem_realloc};
}

void h2_cool(struct conn *c)
{
    struct h2 *h = c->session;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)h->frame_buffer;
    uintptr_t first = (begin + page - 1) & ~(page - 1),
              end = (begin + h->n_frame_buffer) & ~(page - 1);

    if (h->frame_buffer && first < end && !nghttp2_session_want_write(h->s)) {
        madvise((void *)first, end - first, MADV_DONTNEED);
    }
}
