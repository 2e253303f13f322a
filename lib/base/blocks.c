/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/blocks.h"
#include "base/alloc.h"
#include "base/container.h"
#include <stdint.h>
#include <string.h>

/* Blocks of 64, 128 ... 4096 bytes; larger ones come from malloc each time. */
#define SMALLEST 64u

struct block {
    struct list node;   /* among all of the owner */
    struct block *next; /* while it is kept */
    size_t cap;         /* of what follows */
    _Alignas(max_align_t) unsigned char bytes[];
};

/* Index of the list whose blocks hold n bytes; BLOCKS_CLASSES: none. */
static unsigned class_of(size_t n)
{
    unsigned long over = n ? (n - 1) / SMALLEST : 0;
    unsigned i = over ? (unsigned)sizeof over * 8 - (unsigned)__builtin_clzl(over) : 0;

    return i < BLOCKS_CLASSES ? i : BLOCKS_CLASSES;
}

static struct block *block_of(void *p)
{
    return container_of(p, struct block, bytes);
}

void blocks_init(struct blocks *m, unsigned kept_max)
{
    *m = (struct blocks){.kept_max = PFS_KEEPS_FREED ? kept_max : 0};
    list_init(&m->all);
}

void *blocks_get(struct blocks *m, size_t n)
{
    unsigned i = class_of(n);
    struct block *b = i < BLOCKS_CLASSES ? m->free[i] : NULL;

    if (b) {
        m->free[i] = b->next;
        m->n_free[i]--;
        return b->bytes;
    }
    size_t cap = i < BLOCKS_CLASSES ? (size_t)SMALLEST << i : n;

    b = cap > SIZE_MAX - sizeof *b ? NULL : pfs_malloc(sizeof *b + cap);
    if (!b) {
        return NULL;
    }
    b->cap = cap;
    list_append(&m->all, &b->node);
    return b->bytes;
}

static void give_back(struct block *b)
{
    list_remove(&b->node);
    pfs_free(b);
}

void blocks_put(struct blocks *m, void *p)
{
    if (!p) {
        return;
    }
    struct block *b = block_of(p);
    unsigned i = class_of(b->cap);

    if (i == BLOCKS_CLASSES || m->n_free[i] >= m->kept_max) {
        give_back(b);
        return;
    }
    b->next = m->free[i];
    m->free[i] = b;
    m->n_free[i]++;
}

void *blocks_resize(struct blocks *m, void *p, size_t n)
{
    if (p && block_of(p)->cap >= n) {
        return p;
    }
    void *fresh = blocks_get(m, n);

    if (fresh && p) {
        memcpy(fresh, p, block_of(p)->cap);
        blocks_put(m, p);
    }
    return fresh;
}

void blocks_trim(struct blocks *m)
{
    for (unsigned i = 0; i < BLOCKS_CLASSES; i++) {
        while (m->free[i]) {
            struct block *b = m->free[i];

            m->free[i] = b->next;
            give_back(b);
        }
        m->n_free[i] = 0;
    }
}

void blocks_fini(struct blocks *m)
{
    list_for_each (n, &m->all) {
        give_back(list_entry(n, struct block, node));
    }
}
