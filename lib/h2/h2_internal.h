/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_H2_H2_INTERNAL_H
#define PFS_H2_H2_INTERNAL_H

/* What session.c, session_cb.c, guard.c and credit.c share. */
#include "base/cold.h"
#include "h2/h2.h"
#include "h2/mem.h"
#include <nghttp2/nghttp2.h>

/*
 * Flow control (reliability bar C). The connection's window is given back on receipt, so that one
 * unread reply cannot stop the others; a stream's only when its consumer took the bytes.
 */
#define H2_STREAM_WINDOW (256u << 10)    /* at first: what 100 streams hold when nobody takes it */
#define H2_STREAM_WINDOW_MAX (16u << 20) /* grown: 320 MB/s over 50 ms */
#define H2_WINDOW_SUM (32u << 20)        /* of a connection's streams, as far as they grow */
#define H2_CONN_WINDOW (16u << 20)
/* Before the peer's SETTINGS come: what Go and gRPC-go assume. */
#define H2_STREAMS_ASSUMED 100
/* A connection whose stream ids are three quarters used up is replaced. */
#define H2_LAST_STREAM_ID 0x60000000
/* Frames without use: a burst, then so many a second; beyond, the peer is attacking or broken. */
#define H2_GLITCH_BURST 1000
#define H2_GLITCHES_PER_SEC 100
#define H2_UNKNOWN (-1)
/* Empty DATA frames in a row (CVE-2019-9518). */
#define H2_EMPTY_DATA_MAX 100

/* Frames that cost us work and bring nothing, counted against a bucket that refills with time. */
struct h2_guard {
    int64_t refilled_ns;
    unsigned level; /* glitches in the bucket */
    unsigned empty_data;
    uint64_t n_window_updates, n_streams, n_data_sent;
    uint64_t n_late_resets; /* of streams without an exchange */
    uint64_t n_goaways;
};

/* Where output of nghttp2 goes: into the piece being drained, and what does not fit into `rest`. */
struct h2_out {
    char *piece;
    size_t cap, len;
    struct pfs_buf rest;
};

struct h2_session {
    struct session base;
    struct h2_options options;
    nghttp2_nv scheme, authority; /* fields of all requests */
    nghttp2_session *ng;
    struct h2_mem mem;
    struct h2_guard guard;
    struct pfs_rtt rtt;
    int64_t now_ns;          /* of the feed that runs */
    size_t n_received;       /* bytes of DATA in it: the connection's credit */
    size_t n_untold;         /* of earlier ones, too few to tell */
    struct exchange *latest; /* that h2_exchange found; NULL: look it up */
    bool goaway_seen;
    int32_t goaway_last;
    uint32_t goaway_code;
    char goaway_debug[64];
    bool said_goodbye;     /* our GOAWAY of an orderly end was queued */
    bool gave_up;          /* nghttp2 sent GOAWAY with an error: the peer broke the protocol */
    bool gave_up_reported; /* feed has said so */
    char gave_up_why[96];
    /*
     * What nghttp2 has to send, which to ask makes it look through all its queues: so many requests
     * without a body and nothing else (0: nothing); H2_UNKNOWN: whatever it is.
     */
    int n_to_send;
    struct h2_out out;
    struct pfs_error fatal; /* why the feed must end the connection; cls OK: nothing */
    /*
     * nghttp2 had no memory half-way: it sends and receives nothing any more. 1.52 leaves a stream
     * the body that it has freed, and frees it again when the stream or the session ends; and of
     * credit that could not be queued the peer is never told.
     */
    bool out_of_memory;
};

static inline struct h2_session *h2_of(struct session *s)
{
    return container_of(s, struct h2_session, base);
}

/* What nghttp2 answered to a call that must not be half done. */
static inline void h2_done(struct h2_session *h, int rc)
{
    h->out_of_memory |= rc == NGHTTP2_ERR_NOMEM;
}

/* Ends the connection with an error of ours; returns what a callback must return for that. */
PFS_COLD int h2_fatal(struct h2_session *h, enum pfs_class cls, const char *text);
/* session_cb.c: the exchange of a stream; NULL: it has none any more. */
struct exchange *h2_exchange(struct h2_session *h, int32_t id);
/* ex ends: its stream, if there is one still, has no exchange from now on. */
void h2_forget(struct h2_session *h, struct exchange *ex);
/* credit.c: the connection's credit for all DATA of the feed is given back. */
void h2_credit_received(struct h2_session *h);
/* An answer to a PING; true: it measured a round trip and was not asked for as a sign of life. */
bool h2_credit_pong(struct h2_session *h, const uint8_t *opaque);
/* ex was sent: its window is opened as far as there is room already. */
void h2_credit_begin(struct h2_session *h, struct exchange *ex);
/* The consumer of ex, which is in the session, took n bytes. */
void h2_credit_taken(struct h2_session *h, struct exchange *ex, size_t n);
/* Counts a frame; false: the peer overdoes it and h->fatal is set. */
bool h2_guard_frame(struct h2_session *h, const nghttp2_frame_hd *hd);
/* Registers all callbacks of session_cb.c. */
void h2_set_callbacks(nghttp2_session_callbacks *cbs);
/* Adds to the output; false: out_of_memory was set. */
bool h2_emit(struct h2_session *h, const void *bytes, size_t n);
/* Says how much of the request body of the stream's exchange the next DATA takes. */
ssize_t h2_read_body_cb(nghttp2_session *ng, int32_t id, uint8_t *buf, size_t cap, uint32_t *flags,
                        nghttp2_data_source *source, void *arg);

#endif
