/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/buf.h"
#include "base/alloc.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Enough for a number or a short line, so that most are printed once. */
#define PRINTF_ROOM 64

char *pfs_buf_grow(struct pfs_buf *b, size_t n)
{
    size_t len = pfs_buf_len(b);

    if (b->cap - len >= n && b->start >= len && b->mem) { /* moving costs less than was consumed */
        memcpy(b->mem, b->mem + b->start, len);
    } else {
        if (n > SIZE_MAX / 4 || len > SIZE_MAX / 4) {
            return NULL;
        }
        size_t cap = b->cap < 128 ? 256 : 2 * b->cap;

        if (cap < len + n) { /* who knows how much it will be asks for no more */
            cap = len + n;
        }
        char *mem = pfs_malloc(cap);
        if (!mem) {
            return NULL;
        }
        if (len) {
            memcpy(mem, b->mem + b->start, len);
        }
        pfs_free(b->mem);
        b->mem = mem;
        b->cap = cap;
    }
    b->start = 0;
    b->end = len;
    return b->mem + b->end;
}

bool pfs_buf_add_str(struct pfs_buf *b, const char *s)
{
    return pfs_buf_add(b, s, strlen(s));
}

bool pfs_buf_printf(struct pfs_buf *b, const char *format, ...)
{
    va_list args, again;
    char *to = pfs_buf_room(b, PRINTF_ROOM);
    int n = -1;

    va_start(args, format);
    va_copy(again, args);
    if (to) {
        n = vsnprintf(to, PRINTF_ROOM, format, args);
    }
    if (n >= PRINTF_ROOM) {
        to = pfs_buf_room(b, (size_t)n + 1);
        n = to ? vsnprintf(to, (size_t)n + 1, format, again) : -1;
    }
    pfs_buf_added(b, n > 0 ? (size_t)n : 0);
    va_end(again);
    va_end(args);
    return n >= 0;
}

void pfs_buf_consume(struct pfs_buf *b, size_t n)
{
    b->start += n;
    if (b->start == b->end) {
        b->start = b->end = 0;
    }
}

char *pfs_buf_take(struct pfs_buf *b, size_t *ret_len)
{
    char *end = pfs_buf_room(b, 1);

    if (!end) {
        return NULL;
    }
    *end = '\0';
    size_t len = pfs_buf_len(b);
    if (b->start) {
        memmove(b->mem, b->mem + b->start, len + 1);
    }
    char *mem = b->mem;

    *b = (struct pfs_buf){0};
    if (ret_len) {
        *ret_len = len;
    }
    return mem;
}

void pfs_buf_fini(struct pfs_buf *b)
{
    pfs_free(b->mem);
    *b = (struct pfs_buf){0};
}
