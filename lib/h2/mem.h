/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_H2_MEM_H
#define PFS_H2_MEM_H

/*
 * nghttp2's memory for one session: it takes and gives back a dozen small blocks for each request.
 * Used under the lock of the session's connection, or on its loop.
 */
#include "base/blocks.h"
#include <nghttp2/nghttp2.h>

struct h2_mem {
    nghttp2_mem face; /* what nghttp2 is given */
    struct blocks blocks;
    bool lacked;        /* once nghttp2 was refused a block: what it holds may be half done */
    void *frame_buffer; /* that nghttp2 makes frames in; NULL: not known */
    size_t n_frame_buffer;
};

/* m stays where it is while nghttp2 uses it. */
void h2_mem_init(struct h2_mem *m);
/*
 * The session is idle: frees what is kept, and unless nghttp2 has something to send gives back the
 * pages of the frame buffer, whose content is lost.
 */
void h2_mem_rest(struct h2_mem *m, bool has_to_send);
/*
 * Frees all, what nghttp2 holds too. A session ends by this alone: it has nothing but memory, and
 * nghttp2_session_del cannot be relied on after a lack of it.
 */
void h2_mem_fini(struct h2_mem *m);

#endif
