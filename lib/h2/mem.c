/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "h2/mem.h"
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * Of every session nghttp2 holds a buffer of 16 KiB for the frame that it is making. While the
 * session is idle it holds nothing, but its pages stay resident once they were used, by it or (with
 * TLS) by what the memory held before. It is the first block of that size.
 */
#define FRAME_BUFFER_MIN 16384
#define KEPT_MAX 100 /* of each size: as many requests are in flight */

static void *mem_malloc(size_t n, void *arg)
{
    struct h2_mem *m = arg;
    void *p = blocks_get(&m->blocks, n);

    m->lacked |= !p;
    if (n >= FRAME_BUFFER_MIN && !m->frame_buffer) {
        m->frame_buffer = p;
        m->n_frame_buffer = n;
    }
    return p;
}

static void mem_free(void *p, void *arg)
{
    struct h2_mem *m = arg;

    if (p == m->frame_buffer) {
        m->frame_buffer = NULL;
    }
    blocks_put(&m->blocks, p);
}

static void *mem_calloc(size_t n, size_t size, void *arg)
{
    void *p = size && n > SIZE_MAX / size ? NULL : mem_malloc(n * size, arg);

    return p ? memset(p, 0, n * size) : NULL;
}

static void *mem_realloc(void *p, size_t n, void *arg)
{
    struct h2_mem *m = arg;

    if (!p) {
        return mem_malloc(n, arg); /* so it makes its buffers */
    }
    void *grown = blocks_resize(&m->blocks, p, n);

    m->lacked |= !grown;
    if (grown && grown != p && p == m->frame_buffer) {
        m->frame_buffer = NULL;
    }
    return grown;
}

void h2_mem_init(struct h2_mem *m)
{
    *m = (struct h2_mem){.face = {m, mem_malloc, mem_free, mem_calloc, mem_realloc}};
    blocks_init(&m->blocks, KEPT_MAX);
}

void h2_mem_rest(struct h2_mem *m, bool has_to_send)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)m->frame_buffer;
    uintptr_t first = (begin + page - 1) & ~(page - 1),
              end = (begin + m->n_frame_buffer) & ~(page - 1);

    blocks_trim(&m->blocks);
    if (m->frame_buffer && !has_to_send && first < end) {
        madvise((void *)first, end - first, MADV_DONTNEED);
    }
}

void h2_mem_fini(struct h2_mem *m)
{
    blocks_fini(&m->blocks);
}
