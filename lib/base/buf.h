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

/* Makes room for n more bytes and returns where they go, or NULL (out of memory, contents kept). */
char *pfs_buf_room(struct pfs_buf *b, size_t n);
/* Says that n of the bytes given by pfs_buf_room were filled. */
static inline void pfs_buf_added(struct pfs_buf *b, size_t n)
{
    b->end += n;
}
/* False: out of memory, the buffer is as before. */
bool pfs_buf_add(struct pfs_buf *b, const void *p, size_t n);
bool pfs_buf_add_str(struct pfs_buf *b, const char *s);
bool pfs_buf_printf(struct pfs_buf *b, const char *format, ...) PFS_PRINTF(2, 3);
/* Drops n bytes from the start (n <= length). Memory is kept for reuse. */
void pfs_buf_consume(struct pfs_buf *b, size_t n);
/* Hands over the bytes (malloc'ed, NUL added after them) and empties the buffer; NULL: no memory.
 */
char *pfs_buf_take(struct pfs_buf *b, size_t *ret_len);
/* Frees the memory; the buffer is empty and usable. */
void pfs_buf_fini(struct pfs_buf *b);

#endif
