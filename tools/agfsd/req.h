/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_REQ_H
#define AGFSD_REQ_H

/*
 * struct http_req, as the protocols (h1.c, h2*.c) see it. Life: req_new, req_add_*, req_start (the
 * API has it from now on); body bytes go in with req_on_body, response bytes come out by req_ready
 * and req_took. It is given back when the protocol has called req_gone (its stream is over) and the
 * API has answered and no operation of a stream is in flight, whichever comes last.
 *
 * All functions belong to the loop's thread.
 */
#include "base/buf.h"
#include "base/cold.h"
#include "base/window.h"
#include "clients.h"
#include "http.h"
#include "limits.h"
#include "loop.h"
#include <sys/types.h>

struct conn;
struct stream_io;

/* The head of a response, valid during the call of `respond`. */
struct resp_head {
    int status;
    const char *content_type; /* NULL: none */
    const struct http_header *extra;
    size_t n_extra;
    int64_t length; /* of the body; -1: unknown */
    bool no_body;   /* HEAD, 204, 304: the length is that of a body which is not sent */
};

/* What a request asks of its protocol. Only called between req_start and req_gone. */
struct req_ops {
    /* The API wants the body: send 100 (Continue) if the client waits for it, go on reading. */
    void (*body_wanted)(struct http_req *r);
    /* n body bytes have left the buffer: give the peer credit for them. */
    void (*body_taken)(struct http_req *r, size_t n);
    /* Take the head; the body is then asked for with req_ready. */
    void (*respond)(struct http_req *r, const struct resp_head *head);
    /* req_ready has more, an end, or a failure. */
    void (*resume)(struct http_req *r);
    /* The request has been given back. Called also after req_gone, while `conn` is not NULL. */
    void (*released)(struct http_req *r);
};

enum body_mode { BODY_UNASKED, BODY_COLLECT, BODY_PUMP, BODY_OVER };
enum resp_state { RESP_NONE, RESP_BLOCK, RESP_STREAM, RESP_END, RESP_FAILED };

#define REQ_ARENA 1024 /* header text that fits without another allocation: nearly all */

struct http_req {
    struct list node; /* of the protocol, or of the loop's dead requests */
    const struct req_ops *ops;
    struct conn *conn; /* NULL: gone */
    struct loop *loop;
    const char *client; /* of identity.h; NULL: anonymous */
    struct client_key address;
    int32_t stream_id;
    unsigned conn_id, number; /* of its connection, and in it: its name in the log */
    enum http_method method;

    bool waiting;     /* complete, but too many are with the API (HTTP/2) */
    bool given;       /* to the API */
    bool answered;    /* by the API */
    bool gone;        /* the stream is over; nothing more goes in or out */
    bool dead;        /* given back */
    bool body_ended;  /* the whole body has come in */
    bool body_broken; /* ... or never will */
    bool over_limit;  /* the header is too large: fields were dropped */
    bool expects;     /* expect: 100-continue, not yet sent */

    void (*on_gone)(void *arg); /* NULL: nobody wants to know */
    void *gone_arg;
    void (*on_doubt)(void *arg); /* likewise */
    void *doubt_arg;
    struct http_sent *sent; /* NULL: as well, or it is the connection's by now */

    /* body */
    enum body_mode body_mode;
    bool sink_busy;
    http_body_fn *on_collected;
    pfs_io_fn *on_pumped;
    void *body_arg;
    int64_t content_length, body_max, body_received, body_moved;
    struct pfs_window window; /* HTTP/2: what the peer may send ahead of the consumer */
    int64_t body_credited;    /* HTTP/2: of body_received, what the peer may send again */
    struct pfs_buf body;      /* came in, not yet taken */
    struct list blocks;       /* the same of a body that is pumped, ... */
    size_t n_blocked;         /* ... so many bytes */
    size_t body_in_sink;      /* taken, not yet written */
    const char *body_why;     /* it is broken; static, NULL: the client ended */
    struct list fed;          /* of the loop: body bytes came in this turn */
    int64_t body_check_ms, body_check_bytes; /* start of the window for the least rate */

    /* response */
    enum resp_state resp;
    bool pulling;         /* a read is in flight */
    bool in_read;         /* req_ready is asking the source: no resume */
    struct stream_io *io; /* sink of the body, then source of the response */
    char *block;          /* RESP_BLOCK: malloc'ed */
    size_t n_block;       /* of it, what counts as memory of bodies */
    const char *ready;    /* bytes to send: in block or in io */
    size_t n_ready;
    int64_t resp_left; /* of the declared length, -1: unknown */
    int64_t progress_ms;
    int64_t rate_ms;     /* as of the body, while bytes are ready; 0: no window has begun */
    uint64_t rate_taken; /* in that window */

    /* header: offsets into the arena, every string with its NUL */
    char *arena;
    uint32_t arena_len, arena_cap, header_size;
    uint16_t path, query;
    unsigned n_fields;
    struct {
        uint16_t name, value;
    } fields[REQ_FIELDS_MAX]; /* from here on not cleared for a new request */
    char small_arena[REQ_ARENA];
};

/* ---- making ---- */

/* NULL: out of memory. */
struct http_req *req_new(struct loop *l, struct conn *c, const struct req_ops *ops);
void req_set_method(struct http_req *r, const char *name, size_t n);
/* Splits at '?'. False: out of memory or over REQ_LINE_MAX. */
bool req_set_target(struct http_req *r, const char *target, size_t n);
/* Name in any case. Over the limits it is dropped and over_limit set. False: out of memory. */
bool req_add_field(struct http_req *r, const char *name, size_t n_name, const char *value,
                   size_t n_value);
/* Hands it to the API. body_ended has been set if there is no body. */
void req_start(struct http_req *r);
/* Its stream is over or its connection ends: callbacks that wait are called, streams closed. */
void req_gone(struct http_req *r);
/* The peer's side has ended: nobody knows whether anybody still waits for the answer. */
void req_doubt(struct http_req *r);
/* As req_gone; `conn` may no longer be used. */
void req_orphan(struct http_req *r);

/* ---- body, from the protocol ---- */

void req_on_body(struct http_req *r, const char *p, size_t n);
void req_on_body_end(struct http_req *r);
/* The rest will not come, or (req_too_slow) too slowly: the API's callback gets TRUNCATED. */
extern const char req_too_slow[];
PFS_COLD void req_body_fail(struct http_req *r, const char *why);
/* The consumer waits for the peer, and the peer has been too slow since the last check. */
bool req_body_is_slow(struct http_req *r, int64_t now_ms);

/* ---- response, to the protocol ---- */

#define RESP_WAIT 0
#define RESP_READ_FAILED (-1)

/*
 * How many bytes of the response are ready at r->ready: > 0; RESP_WAIT: none yet (resume will be
 * called) or, when *ret_end, ever; RESP_READ_FAILED: the source failed.
 */
ssize_t req_ready(struct http_req *r, bool *ret_end);
/* Taking n of the ready bytes would take the last of the response. */
bool req_would_end(const struct http_req *r, size_t n);
/* n of the ready bytes were taken. */
void req_took(struct http_req *r, size_t n);
/* Bytes are ready and have not been taken for that long. */
bool req_is_stalled(const struct http_req *r, int64_t now_ms);

/* The memory of bodies is scarce, and the peer has taken fewer of the ready bytes than it must. */
bool req_is_taken_slowly(struct http_req *r, int64_t now_ms);

/* A header value that may be sent: no control characters. Others are left out. */
bool resp_value_is_safe(const char *value);

/* ---- used by req*.c and loop.c ---- */

/* Gives the request back if nothing holds it any more. */
void req_settle(struct http_req *r);
/* Bytes of the body that wait for their consumer. */
size_t req_body_waiting(const struct http_req *r);
/* Frees what waits of the body. */
void req_body_drop(struct http_req *r);
/* Fails or ends the body's consumer when the stream is over. */
void req_body_gone(struct http_req *r);
void req_resp_gone(struct http_req *r);
/* Frees the block of the response. */
void req_block_drop(struct http_req *r);
/* Pumps what came in during the turn: what came together is written together. */
void req_pump_fed(struct loop *l);
/* Recycles what was given back during the turn. */
void req_bury(struct loop *l);

#endif
