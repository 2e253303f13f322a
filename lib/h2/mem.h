/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_H2_MEM_H
#define PFS_H2_MEM_H

/*
 * nghttp2's memory for one session: it takes and gives back a dozen small blocks for each request,
 * so freed ones are kept on lists by size and used again, without malloc's locks and searches. Used
 * under the lock of the session's connection.
 */
#include "base/list.h"
#include <nghttp2/nghttp2.h>

#define H2_MEM_CLASSES 5

struct h2_mem {
    nghttp2_mem face; /* what nghttp2 is given */
    struct h2_block *free[H2_MEM_CLASSES];
    unsigned n_free[H2_MEM_CLASSES];
    unsigned kept_max; /* of each size */
    struct list all;   /* blocks, in use or kept */
};

/* m stays where it is while nghttp2 uses it. */
void h2_mem_init(struct h2_mem *m);
/* Frees what is kept; what nghttp2 holds stays, and m can be used on. */
void h2_mem_trim(struct h2_mem *m);
/*
 * Frees all, what nghttp2 holds too. A session ends by this alone: it has nothing but memory, and
 * nghttp2_session_del cannot be relied on after a lack of it (see out_of_memory in h2_internal.h).
 */
void h2_mem_fini(struct h2_mem *m);

#endif
