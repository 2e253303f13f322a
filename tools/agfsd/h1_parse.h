/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_H1_PARSE_H
#define AGFSD_H1_PARSE_H

/*
 * HTTP/1.1 requests as bytes: one complete header block, and the framing of a chunked body. Strict
 * where lenience lets two readers of the same bytes disagree (request smuggling). No fd, no clock,
 * no memory of its own. http_parser is known only in h1_parse.c (its names clash with http.h).
 */
#include "limits.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct h1_span {
    const char *p;
    size_t n;
};

struct h1_field {
    struct h1_span name, value; /* name as sent */
};

struct h1_head {
    struct h1_span method, target; /* target in origin-form: scheme and host are cut off */
    unsigned minor;                /* 0 or 1 */
    bool keep_alive, chunked, expect_continue;
    int64_t content_length; /* -1: none given */
    unsigned n_fields;
    struct h1_field fields[REQ_FIELDS_MAX];
    const char *reason; /* static: why it was refused */
};

/*
 * Looks for the end of the header block that begins at p; *scan is how far earlier calls with the
 * same p have looked (0 at first). Returns the block's length with its empty line, 0: more bytes
 * needed, -status: 414 or 431, over the limits.
 */
int h1_find_head(const char *p, size_t n, size_t *scan);

/*
 * Parses a block found by h1_find_head. The result points into it. Returns 0, or the status to
 * refuse with (400, 414, 431, 501, 505), ret->reason set; the connection must then be closed.
 */
int h1_parse_head(const char *p, size_t n, struct h1_head *ret);

/* "Not Found" for 404. Static string. */
const char *h1_reason(int status);

/* State of a chunked body. Zero-initialised: at its start. */
struct h1_chunks {
    unsigned state;
    uint64_t left;      /* of the current chunk */
    unsigned n_line;    /* of the current size line: digits, then bytes after the size */
    unsigned n_trailer; /* bytes of trailer fields with their ends, which are dropped */
};

/*
 * Reads framing and at most one run of data from n bytes at p. Returns how many bytes were used,
 * -1: malformed. *ret_data, *ret_len: the run (len 0: none, more input is needed or it is the end).
 */
int64_t h1_chunks_next(struct h1_chunks *c, const char *p, size_t n, const char **ret_data,
                       size_t *ret_len);
/* The last chunk and the trailer section have been read. */
bool h1_chunks_done(const struct h1_chunks *c);

#endif
