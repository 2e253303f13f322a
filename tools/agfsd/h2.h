/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_H2_H
#define AGFSD_H2_H

/*
 * The HTTP/2 side of a connection. h2.c: session and its time; h2_in.c: what comes in, which
 * requests run, wait, or are refused; h2_out.c: responses. All behind h2_proto.
 *
 * "Open" counts streams, "running" requests that the API has: a reset ends the first, not the
 * second, so that resetting streams does not make room for more work.
 */
#include "base/cold.h"
#include "conn.h"
#include "h2/mem.h"
#include "h2_guard.h"
#include "req.h"
#include <nghttp2/nghttp2.h>

struct h2 {
    struct conn *c;
    nghttp2_session *s;
    struct http_req *current; /* the last that nghttp2 named; NULL: none, or its stream is closed */
    struct list reqs;         /* all that are not given back and not waiting */
    struct list waiting;      /* complete, for a place among the running */
    unsigned n_open, n_running, n_waiting;
    bool got_settings, got_ack;
    bool terminated; /* GOAWAY with an error, or the last one, is on its way: read no more */
    bool last;       /* no new streams: close when those in progress are done */
    int32_t last_id; /* with `last`: that of the last GOAWAY, which may still wait to be sent */
    int64_t opened_ms, idle_ms, tick_at_ms;
    struct h2_guard guard;
    struct pfs_rtt rtt;
    uint32_t first_window; /* what further streams begin with */
    char *dst;             /* during h2_drain: cap bytes, n used */
    size_t cap, n;
    struct h2_mem mem; /* all that nghttp2 has */
};

extern const struct req_ops h2_req_ops;

/* The request of a stream, for the callbacks: most of them are about the one of the callback
 * before. NULL: none. */
static inline struct http_req *h2_req_of(struct h2 *h, int32_t stream_id)
{
    if (!h->current || h->current->stream_id != stream_id) {
        h->current = nghttp2_session_get_stream_user_data(h->s, stream_id);
    }
    return h->current;
}
/* Sets the callbacks of one direction. */
void h2_set_in_callbacks(nghttp2_session_callbacks *cb);
void h2_set_out_callbacks(nghttp2_session_callbacks *cb);
/* GOAWAY with that code; nothing more is read. */
void h2_terminate(struct h2 *h, uint32_t code);
PFS_COLD void h2_reset(struct http_req *r, uint32_t code);
/* Counts an event, terminates when it was one too many. */
void h2_note(struct h2 *h, enum h2_event ev);
/* A response of that status without a body, for a request that the API never sees. */
void h2_answer_bare(struct http_req *r, int status);
size_t h2_drain(struct conn *c, char *dst, size_t cap);
/* h2_window.c: the API wants the body. */
void h2_window_wanted(struct h2 *h, struct http_req *r);
/* n bytes of a body came. */
void h2_window_received(struct h2 *h, size_t n);
/* True: the answer to a PING of ours. */
bool h2_window_pong(struct h2 *h, const uint8_t *opaque);
/* The consumer of r's body took n bytes. */
void h2_window_taken(struct h2 *h, struct http_req *r, size_t n);
/* The connection's window as it is now. */
int32_t h2_conn_window(const struct h2 *h);
/* A request was given back: a waiting one may have its place. */
void h2_on_released(struct http_req *r);

#endif
