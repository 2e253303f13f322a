/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_BASE_BLOCKS_H
#define PFS_BASE_BLOCKS_H

/*
 * Memory of one owner that takes and gives back the same sizes again and again: freed blocks are
 * kept on lists by size and used again, the last one first, without malloc's searches. One thread
 * at a time.
 */
#include "base/list.h"
#include <stddef.h>

#define BLOCKS_CLASSES 7

struct blocks {
    struct block *free[BLOCKS_CLASSES];
    unsigned n_free[BLOCKS_CLASSES];
    unsigned kept_max; /* of each size */
    struct list all;   /* blocks, in use or kept */
};

/* Of each size kept_max are kept; none under AddressSanitizer, which is blind to their use. */
void blocks_init(struct blocks *m, unsigned kept_max);
/* n bytes, aligned for everything, not zeroed. NULL: out of memory. To be given to blocks_put. */
void *blocks_get(struct blocks *m, size_t n);
/* p is from the same m, or NULL. */
void blocks_put(struct blocks *m, void *p);
/* As realloc, for what blocks_get gave. */
void *blocks_resize(struct blocks *m, void *p, size_t n);
/* Frees what is kept; what is in use stays, and m can be used on. */
void blocks_trim(struct blocks *m);
/* Frees all, what is in use too. */
void blocks_fini(struct blocks *m);

#endif
