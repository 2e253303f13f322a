/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "h1_parse.h"

#define CHUNK_DIGITS_MAX 16 /* of 64 bits; further ones are zeros that say nothing */

/*
 * The chunked coding. Ours because http_parser, as distributions build it, accepts anything in
 * place of the CR LF after a chunk and of the LF after a size, which is what smuggling needs.
 */
enum {
    SIZE_FIRST,
    SIZE,
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_FIRST,
    TRAILER,
    TRAILER_LF,
    END_LF,
    DONE
};

static int hex(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool step_size(struct h1_chunks *c, char ch)
{
    int digit = hex(ch);

    if (digit >= 0) {
        /* The next digit could overflow, or only pads it. */
        if (c->left >> 58 || c->n_line++ == CHUNK_DIGITS_MAX) {
            return false;
        }
        c->left = c->left * 16 + (unsigned)digit;
        c->state = SIZE;
        return true;
    }
    if (c->state == SIZE_FIRST) {
        return false;
    }
    c->n_line = 0;
    c->state = ch == '\r' ? SIZE_LF : EXTENSION;
    return ch == '\r' || ch == ';';
}

/* One byte more of the trailer section. */
static bool add_trailer(struct h1_chunks *c)
{
    return ++c->n_trailer <= H1_CHUNK_TRAILER_MAX;
}

/* One byte of framing. False: malformed. */
static bool step(struct h1_chunks *c, char ch)
{
    switch (c->state) {
    case SIZE_FIRST:
    case SIZE:
        return step_size(c, ch);
    case EXTENSION:
        if (ch == '\r') {
            c->state = SIZE_LF;
            return true;
        }
        return ((unsigned char)ch >= ' ' || ch == '\t') && ch != 0x7f &&
               ++c->n_line <= H1_CHUNK_EXT_MAX;
    case SIZE_LF:
        c->state = c->left ? DATA : TRAILER_FIRST;
        return ch == '\n';
    case DATA_CR:
        c->state = DATA_LF;
        return ch == '\r';
    case DATA_LF:
        c->n_line = 0;
        c->state = SIZE_FIRST;
        return ch == '\n';
    case TRAILER_FIRST:
        if (ch == '\r') {
            c->state = END_LF;
            return true;
        }
        c->state = TRAILER;
        return (unsigned char)ch > ' ' && add_trailer(c);
    case TRAILER:
        if (ch == '\r') {
            c->state = TRAILER_LF;
            return add_trailer(c);
        }
        return ((unsigned char)ch >= ' ' || ch == '\t') && add_trailer(c);
    case TRAILER_LF:
        c->state = TRAILER_FIRST;
        return ch == '\n' && add_trailer(c);
    case END_LF:
        c->state = DONE;
        return ch == '\n';
    }
    return false;
}

int64_t h1_chunks_next(struct h1_chunks *c, const char *p, size_t n, const char **ret_data,
                       size_t *ret_len)
{
    size_t i = 0;

    *ret_len = 0;
    while (i < n && c->state != DONE) {
        if (c->state == DATA) {
            *ret_data = p + i;
            *ret_len = c->left < n - i ? (size_t)c->left : n - i;
            c->left -= *ret_len;
            if (c->left == 0) {
                c->state = DATA_CR;
            }
            return (int64_t)(i + *ret_len);
        }
        if (!step(c, p[i++])) {
            return -1;
        }
    }
    return (int64_t)i;
}

bool h1_chunks_done(const struct h1_chunks *c)
{
    return c->state == DONE;
}
