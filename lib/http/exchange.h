/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_HTTP_EXCHANGE_H
#define PFS_HTTP_EXCHANGE_H

/*
 * An exchange: one HTTP request and its reply, on one HTTP/2 stream or one HTTP/1.1 connection.
 *
 * Life: exchange_init -> request members set -> submitted to a session -> events -> EXCHANGE_DONE,
 * exactly once -> exchange_fini. In between it belongs to whoever carries it on; the groups of
 * struct exchange say who may touch what.
 *
 * The failure point is what the retry decision needs to know (reliability bar B2); whoever finds
 * the failure (session, connection, pool) sets it together with `err`.
 */
#include "base/buf.h"
#include "base/cold.h"
#include "base/list.h"
#include "base/window.h"
#include <proxyfs/error.h>
#include <stdatomic.h>

/* Failure points of table B2; the statuses P7 to P10 and payloads P12 are found by lib/fs. */
enum failure_point {
    FAILURE_NONE,
    FAILURE_NOT_SENT,  /* P0: nothing reached the transport */
    FAILURE_REFUSED,   /* P1: RST_STREAM(REFUSED_STREAM) */
    FAILURE_GOAWAY,    /* P2: above GOAWAY's last stream id */
    FAILURE_TLS_ALERT, /* P3 */
    FAILURE_SENDING,   /* P4: lost or reset before END_STREAM was sent */
    FAILURE_WAITING,   /* P5: lost or reset after the whole request was sent */
    FAILURE_DEADLINE,  /* P6: deadline passed or cancelled */
    FAILURE_BODY,      /* P11: lost after a final header */
    FAILURE_LOCAL      /* P13 */
};

/* The peer ended the connection in order, without a look at the request (RFC 9113 section 6.8). */
static inline bool failure_is_orderly(enum failure_point failure, uint32_t h2_code)
{
    return failure == FAILURE_GOAWAY && h2_code == 0;
}

enum exchange_event {
    EXCHANGE_HEAD = 1,     /* the final reply header is there (reply_stream only) */
    EXCHANGE_DATA = 2,     /* more reply body in `reply` (reply_stream only) */
    EXCHANGE_WRITABLE = 4, /* the chunk given to a streamed request body was taken */
    EXCHANGE_DONE = 8      /* the end: err.cls says how; nothing follows */
};

#define EXCHANGE_MAX_FIELDS 6
/* So much of a body is read that only explains a status (reliability bar C: error body). */
#define EXCHANGE_ERROR_BODY_MAX (64u << 10)
#define REPLY_FIELD_MAX 96

/* What HPACK's table may keep of a field. */
enum hpack_use {
    HPACK_FIELD,  /* name and value: the same in many requests */
    HPACK_NAME,   /* the value is different each time */
    HPACK_NOTHING /* a secret, or rare */
};

/* Request header field besides the pseudo-header ones; both borrowed, name in lower case. */
struct http_field {
    const char *name, *value;
    enum hpack_use hpack;
};

/* The reply header: what any operation needs of it. Strings are "" when absent or too long; of the
 * two of the content the beginning is kept then. */
struct reply_head {
    int status;             /* 0: none yet */
    int64_t content_length; /* -1: not said */
    char content_type[REPLY_FIELD_MAX];
    char content_encoding[32];
    char retry_after[48];
    char boot[REPLY_FIELD_MAX]; /* agfs-boot: which of our servers answered, and its features */
    char etag[REPLY_FIELD_MAX]; /* of a 206, with its quotes */
    /* content-range of a 206; -1: none, or not understood */
    int64_t range_first, range_last, range_total;
};

struct conn;
struct generation;
struct exchange;

/*
 * Called after the lock of the connection was given up, on the I/O thread or inside a call that is
 * about this exchange (submitted, cancelled, taken from, given to, driven); DONE is the last. For
 * one exchange at most one call runs at a time. Must not block.
 */
typedef void exchange_notify_fn(struct exchange *ex, unsigned events);

/* A piece of a streamed request body, borrowed until WRITABLE. */
struct http_chunk {
    const char *at;
    size_t n;
    bool last; /* none follows this one */
};

struct exchange {
    /* request: fixed from submission on; what is pointed to is borrowed until DONE */
    const char *method, *target, *content_type; /* content_type NULL: no such field */
    unsigned n_fields;                          /* of `fields` */
    bool body_stream;  /* body comes in chunks (exchange_give), length body_stream_len or -1 */
    bool reply_stream; /* 200: hand the body over as it comes, of any length */
    bool is_bulk;      /* one of several that share the work: better on a connection of its own */
    const void *body;  /* whole body in memory, or NULL */
    size_t body_len;
    int64_t body_stream_len;
    size_t reply_max; /* longer results are LIMIT */
    /* first >= 0: that part was asked for, and a 206 of as much as there is of it is as good */
    int64_t range_first, range_last;
    size_t room; /* reply_stream: so much of the body is taken at once; 0: who knows when */
    exchange_notify_fn *notify; /* NULL: a blocked caller waits for DONE (conn/wait.c) */
    int64_t deadline_ns;

    /* pfs_now() when it was made ready, of whoever submits it: spares others a look at the clock */
    int64_t ready_ns;

    /* waking a blocked caller (conn/wait.c) */
    unsigned wake_slot; /* 32 times the word, plus the bit; fixed from submission on */
    atomic_uint done;

    /*
     * where it is: changed under the generation's lock, but for `node` while that is in a session's
     * list; the owner lets go of both references after DONE
     */
    struct list node; /* in the generation's queue of waiting ones, or in the session's open ones */
    struct conn *conn;                /* where it was submitted: a reference */
    _Atomic(struct generation *) gen; /* through which it was submitted, or an heir of that */
    struct generation *first_gen;     /* a reference: it keeps its heirs, too */
    bool is_queued;                   /* in the generation's queue */

    /* without a lock: from one thread to whichever has the exchange in hand */
    struct exchange *next;           /* in an inbox, a list of held or rejected ones, a batch */
    _Atomic(struct conn *) taken_by; /* whose lock guards it, once that took it from its inbox */
    atomic_int cancel_class;         /* != 0: the owner gave up, with this class */
    atomic_bool wants_look;          /* its consumer is to be told of what came, unseen so far */
    atomic_bool is_offered;          /* a chunk, in `offer` */

    /* under the connection's lock; after DONE the owner's, without one */
    bool is_notifying;
    bool is_held; /* in the connection's list of held ones */
    bool in_session, header_sent, request_sent, reply_ended, local_reset;
    bool header_ended;  /* the final reply header is complete: body or trailer follows */
    bool lost_interest; /* reply_stream: the consumer closed; drop what comes */
    bool takes_ended;   /* who took of the body has no room for it any more */
    bool reply_cut;     /* enough came of a body that is no result: it counts as complete */
    bool attested;      /* the connection's peer is known to be one of our servers */
    bool others_served; /* of FAILURE_GOAWAY: the connection took requests before this one */
    enum failure_point failure;
    unsigned events;        /* not yet notified */
    unsigned notify_events; /* being notified: of who does that, without the lock */
    unsigned n_moves;       /* times it was taken to another connection, unseen by the peer */
    int32_t stream_id;      /* HTTP/2; 0: none */
    struct list ready;      /* in the connection's list of those with events */
    size_t body_sent;
    size_t n_header_bytes;
    unsigned n_header_fields, n_informational;
    int64_t body_received; /* bytes of the reply's body so far */
    struct pfs_buf reply;
    uint64_t n_unconsumed;    /* bytes in `reply` whose window credit was not given back */
    size_t n_untold;          /* HTTP/2: bytes of credit given back that are too few to tell */
    struct pfs_window window; /* HTTP/2: what the peer may send ahead of the consumer */
    struct http_chunk chunk;  /* streamed body: what is left of the one being sent */
    struct pfs_buf *kept; /* its beginning, all that was sent once; NULL: nothing, or too much */

    /* the owner's until is_offered is set, then of whoever clears that */
    struct http_chunk offer;

    /* as the members under the connection's lock; the last ones: exchange_init zeroes none */
    struct reply_head head;
    struct pfs_error err; /* cls PFS_OK: a complete reply, whatever its status */
    /* Of the request, n_fields of them. */
    struct http_field fields[EXCHANGE_MAX_FIELDS];
};

/* One of its bodies is a stream, of any length. */
static inline bool exchange_is_stream(const struct exchange *ex)
{
    return ex->reply_stream || ex->body_stream;
}
/* The reply is a part that was asked for, not more of it, of the length that it says. */
static inline bool exchange_is_part(const struct exchange *ex)
{
    const struct reply_head *h = &ex->head;

    return h->status == 206 && ex->range_first >= 0 && h->range_first == ex->range_first &&
           h->range_last <= ex->range_last &&
           h->content_length == h->range_last - h->range_first + 1 && h->etag[0] == '"';
}
/* The reply, whose header has ended, is content that its owner takes as it comes. */
static inline bool exchange_is_streamed(const struct exchange *ex)
{
    return ex->reply_stream && (ex->head.status == 200 || exchange_is_part(ex));
}

void exchange_init(struct exchange *ex);
/* Gives back what the exchange owns. Must be DONE or never submitted. */
void exchange_fini(struct exchange *ex);
/* Adds a request header field; false: too many. */
bool exchange_add_field(struct exchange *ex, const char *name, const char *value,
                        enum hpack_use hpack);

/* A chunk that was offered becomes the one being sent; under the lock that guards the progress. */
void exchange_take_offer(struct exchange *ex);

/* What of the body can go now, and whether it ends with that; at: valid until it was sent. */
struct http_chunk exchange_body_left(const struct exchange *ex);
/*
 * n bytes of that were sent; keep: they may have to be sent once more, while the peer has not taken
 * the request, so they are copied as long as they are few. True: the owner's chunk is used up now.
 */
bool exchange_body_sent(struct exchange *ex, size_t n, bool keep);
/* True: all that was sent of the body, if anything, is still at hand. */
bool exchange_has_body(const struct exchange *ex);
/* The peer has not looked at it, and exchange_has_body: makes it ready to be submitted again. */
void exchange_rewind(struct exchange *ex);

/*
 * Takes one field of the reply header into ex->head (":status" included). For use by sessions.
 * Returns PFS_OK, LIMIT (more than 64 KiB or 128 fields) or PROTOCOL (bad status or length).
 */
enum pfs_class exchange_on_field(struct exchange *ex, const char *name, size_t name_len,
                                 const char *value, size_t value_len);
/* What the peer did wrong when that was not PFS_OK: the text of the error. Static string. */
const char *exchange_field_fault(enum pfs_class cls);
/* Called at the end of a header block: true = final, false = 1xx, which is forgotten. */
bool exchange_on_header_end(struct exchange *ex);
/*
 * Takes a piece of the reply body. LIMIT or NOMEM: ex has failed so, and its stream must be ended.
 * So it must, as complete, when reply_cut is set afterwards.
 */
enum pfs_class exchange_on_body(struct exchange *ex, const void *data, size_t n);
/*
 * Sets failure and error once (a second call is ignored) in the words that fit how far it had come:
 * NOT_SENT, SENDING, WAITING or BODY. `why` gives class, code and text; outcome and phase are set
 * here.
 */
PFS_COLD void exchange_fail(struct exchange *ex, const struct pfs_error *why);
/* The same with the failure point given, for those that are proof: REFUSED, GOAWAY, DEADLINE ... */
PFS_COLD void exchange_fail_at(struct exchange *ex, enum failure_point at,
                               const struct pfs_error *why);

#endif
