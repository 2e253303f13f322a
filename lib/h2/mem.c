/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "h2/mem.h"
#include "base/alloc.h"
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Blocks of 64, 128 ... 1024 bytes; larger ones come from malloc each time. */
#define SMALLEST 64u
/*
 * Kept at most, of each size: max_streams requests in flight use them all; h2_mem_trim gives them
 * back when the session is at rest.
 * AddressSanitizer finds the use of a freed block only when it has the block.
 */
#if defined(__SANITIZE_ADDRESS__)
#define KEPT_MAX 0u
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEPT_MAX 0u
#endif
#endif
#ifndef KEPT_MAX
#define KEPT_MAX 100u
#endif

struct h2_block {
    struct list node;      /* among all of the session */
    struct h2_block *next; /* while it is kept */
    size_t cap;            /* of what follows */
    _Alignas(max_align_t) unsigned char bytes[];
};

/* Index of the list whose blocks hold n bytes; H2_MEM_CLASSES: none. */
static unsigned class_of(size_t n)
{
    unsigned long over = n ? (n - 1) / SMALLEST : 0;
    unsigned i = over ? (unsigned)sizeof over * 8 - (unsigned)__builtin_clzl(over) : 0;

    return i < H2_MEM_CLASSES ? i : H2_MEM_CLASSES;
}

static struct h2_block *block_of(void *p)
{
    return (struct h2_block *)((unsigned char *)p - offsetof(struct h2_block, bytes));
}

static void *mem_malloc(size_t n, void *arg)
{
    struct h2_mem *m = arg;
    unsigned i = class_of(n);
    struct h2_block *b = i < H2_MEM_CLASSES ? m->free[i] : NULL;

    if (b) {
        m->free[i] = b->next;
        m->n_free[i]--;
        return b->bytes;
    }
    size_t cap = i < H2_MEM_CLASSES ? (size_t)SMALLEST << i : n;
    b = cap > SIZE_MAX - sizeof *b ? NULL : pfs_malloc(sizeof *b + cap);
    if (!b) {
        return NULL;
    }
    b->cap = cap;
    list_append(&m->all, &b->node);
    return b->bytes;
}

static void give_back(struct h2_block *b)
{
    list_remove(&b->node);
    pfs_free(b);
}

static void mem_free(void *p, void *arg)
{
    struct h2_mem *m = arg;

    if (!p) {
        return;
    }
    struct h2_block *b = block_of(p);
    unsigned i = class_of(b->cap);

    if (i == H2_MEM_CLASSES || m->n_free[i] >= m->kept_max) {
        give_back(b);
        return;
    }
    b->next = m->free[i];
    m->free[i] = b;
    m->n_free[i]++;
}

static void *mem_calloc(size_t n, size_t size, void *arg)
{
    void *p = size && n > SIZE_MAX / size ? NULL : mem_malloc(n * size, arg);

    return p ? memset(p, 0, n * size) : NULL;
}

static void *mem_realloc(void *p, size_t n, void *arg)
{
    if (p && block_of(p)->cap >= n) {
        return p;
    }
    void *fresh = mem_malloc(n, arg);

    if (fresh && p) {
        memcpy(fresh, p, block_of(p)->cap);
        mem_free(p, arg);
    }
    return fresh;
}

void h2_mem_init(struct h2_mem *m)
{
    *m = (struct h2_mem){.face = {m, mem_malloc, mem_free, mem_calloc, mem_realloc},
                         .kept_max = KEPT_MAX};
    list_init(&m->all);
}

void h2_mem_trim(struct h2_mem *m)
{
    for (unsigned i = 0; i < H2_MEM_CLASSES; i++) {
        while (m->free[i]) {
            struct h2_block *b = m->free[i];

            m->free[i] = b->next;
            give_back(b);
        }
        m->n_free[i] = 0;
    }
}

void h2_mem_fini(struct h2_mem *m)
{
    list_for_each (n, &m->all) {
        give_back(list_entry(n, struct h2_block, node));
    }
}
