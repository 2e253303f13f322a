/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_H1_H
#define AGFSD_H1_H

/*
 * The HTTP/1.1 side of a connection: one request at a time, in the order they came. h1.c reads
 * requests, h1_out.c writes responses; both are behind h1_proto.
 */
#include "conn.h"
#include "h1_parse.h"
#include "req.h"

enum h1_state {
    H1_HEAD, /* waiting for, or inside of, a header */
    H1_BODY, /* its body comes in */
    H1_BUSY, /* request complete, response not */
    H1_CLOSE /* no further request is read */
};

struct h1 {
    enum h1_state state;
    struct http_req *r; /* NULL: no request, or answered in full already */
    unsigned minor;
    bool keep_alive, shutting;
    bool in_head;    /* some of the header is there */
    bool responding; /* the response's body comes from r */
    bool asked;      /* the peer, which has ended, whether it is still there */
    bool chunked_in, chunked_out;
    size_t scan;             /* of an incomplete header */
    int64_t left;            /* of a body with a length */
    struct h1_chunks chunks; /* of one without */
    size_t discarded;
    int64_t since_ms;   /* begin of idling, of the header, or of discarding */
    int64_t tick_at_ms; /* next look at an exchange in progress */
    struct pfs_buf out; /* status line and header of the response, 100 (Continue) */
};

extern const struct req_ops h1_req_ops;

/* Answers without a request and closes. `reason` static. */
void h1_refuse(struct conn *c, int status, const char *reason);
size_t h1_drain(struct conn *c, char *dst, size_t cap);

#endif
