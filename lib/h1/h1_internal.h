/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_H1_H1_INTERNAL_H
#define PFS_H1_H1_INTERNAL_H

/* What session.c, request.c and reply.c share. */
#include "h1/h1.h"
#include <http_parser.h>

/* As much of a streamed reply may wait for its consumer as in HTTP/2 (its stream window). */
#define H1_UNCONSUMED_MAX (1u << 20)

struct h1_session {
    struct session base;
    struct h1_options options;
    struct exchange *ex; /* the open one, or NULL */

    /* request.c */
    struct pfs_buf out; /* header and chunk framing not yet drained */
    bool is_chunked;    /* the body's length is unknown */
    bool in_chunk;      /* ex->chunk was announced with its size */
    bool end_framed;    /* the last chunk was written to out */
    bool is_mute;       /* nothing more goes out: the peer has answered or failed */

    /* reply.c */
    http_parser parser;
    struct pfs_buf name, value; /* the header field being received, which may come in pieces */
    bool value_begun, status_taken;
    bool has_coding;        /* Transfer-Encoding was seen */
    bool head_ended;        /* of the final reply; what fields follow are trailers */
    bool is_over;           /* the reply is complete, and ... */
    bool keeps_alive;       /* ... allows another exchange */
    const char *framing;    /* in the bytes being fed: where the framing not yet checked begins */
    bool after_cr;          /* the framing byte before was a CR */
    bool after_body;        /* the byte before was of the body */
    struct pfs_error fault; /* why the parser was stopped; cls OK: it was not */
};

static inline struct h1_session *h1_of(struct session *s)
{
    return container_of(s, struct h1_session, base);
}

/* request.c */

/* True when s has no control character and so cannot end its line. */
bool h1_is_line_safe(const char *s);
/* Writes the header of h->ex to h->out. Errors: NOMEM; INVALID: it cannot be written. */
enum pfs_class h1_request_begin(struct h1_session *h, struct pfs_error *err);
/* True when h1_request_drain would write or has to fail the exchange. */
bool h1_request_wants_drain(const struct h1_session *h);
/*
 * Writes up to cap bytes of the request to buf and notes in the exchange how far it has come.
 * Errors: NOMEM; INVALID: the streamed body is not as long as was said.
 */
enum pfs_class h1_request_drain(struct h1_session *h, char *buf, size_t cap, size_t *ret_n,
                                struct pfs_error *err);

/* reply.c */

/* Prepares for the reply to h->ex. */
void h1_reply_begin(struct h1_session *h);
/*
 * Takes n > 0 bytes of the reply to h->ex; *ret_used of them belong to it. It is over when
 * h->ex->reply_ended or has a failure. Errors (PROTOCOL, LIMIT, NOMEM) end the connection.
 */
enum pfs_class h1_reply_feed(struct h1_session *h, const char *data, size_t n, size_t *ret_used,
                             struct pfs_error *err);
/* The peer ended its side: a reply that lasts until then gets reply_ended. */
void h1_reply_eof(struct h1_session *h);

#endif
