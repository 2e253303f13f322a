/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_BASE_BUF_H
#define PFS_BASE_BUF_H

/*
 * A growing byte buffer with a read position: bytes are appended at the end and consumed at the
 * start. Zero-initialised is empty. Not for sharing between threads.
 */
#include <proxyfs/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct pfs_buf {
    char *mem;    /* cap bytes */
    size_t start; /* first unconsumed byte */
    size_t end;   /* one past the last byte */
    size_t cap;
};

static inline char *pfs_buf_data(const struct pfs_buf *b)
{
    return b->mem ? b->mem + b->start : NULL;
}

static inline size_t pfs_buf_len(const struct pfs_buf *b)
{
    return b->end - b->start;
}

/* pfs_buf_room when there is none yet. */
char *pfs_buf_grow(struct pfs_buf *b, size_t n);
/* Makes room for n more bytes and returns where they go, or NULL (out of memory, contents kept). */
static inline char *pfs_buf_room(struct pfs_buf *b, size_t n)
{
    return b->mem && b->cap - b->end >= n ? b->mem + b->end : pfs_buf_grow(b, n);
}
/* Says that n of the bytes given by pfs_buf_room were filled. */
static inline void pfs_buf_added(struct pfs_buf *b, size_t n)
{
    b->end += n;
}
/* False: out of memory, the buffer is as before. */
static inline bool pfs_buf_add(struct pfs_buf *b, const void *p, size_t n)
{
    char *to = pfs_buf_room(b, n);

    if (!to) {
        return false;
    }
    if (n) {
        memcpy(to, p, n);
    }
    pfs_buf_added(b, n);
    return true;
}
bool pfs_buf_add_str(struct pfs_buf *b, const char *s);
bool pfs_buf_printf(struct pfs_buf *b, const char *format, ...) PFS_PRINTF(2, 3);
/* Drops n bytes from the start (n <= length). Memory is kept for reuse. */
void pfs_buf_consume(struct pfs_buf *b, size_t n);
/* Hands over the bytes (malloc'ed, a NUL after them) and empties the buffer; NULL: no memory. */
char *pfs_buf_take(struct pfs_buf *b, size_t *ret_len);
/* Frees the memory; the buffer is empty and usable. */
void pfs_buf_fini(struct pfs_buf *b);

#endif
