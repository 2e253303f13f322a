/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * nghttp2's callbacks: each finds its exchange, translates, returns. Nothing is freed and nobody is
 * called back from here; the exchange's news is noted for the connection.
 */
#include "base/err.h"
#include "h2/h2_internal.h"
#include <string.h>

#define FRAME_HEAD 9
/* No DATA shorter than this because a piece is nearly full. */
#define DATA_LEAST 1024

int h2_fatal(struct h2_session *h, enum pfs_class cls, const char *text)
{
    if (h->fatal.cls == PFS_OK) {
        pfs_fail(&h->fatal, cls, PFS_OUTCOME_UN, PFS_PHASE_WAIT, "%s", text);
    }
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* Several callbacks in a row are about the same stream. */
struct exchange *h2_exchange(struct h2_session *h, int32_t id)
{
    if (!h->latest || h->latest->stream_id != id) {
        h->latest = nghttp2_session_get_stream_user_data(h->ng, id);
    }
    return h->latest;
}

void h2_forget(struct h2_session *h, struct exchange *ex)
{
    nghttp2_session_set_stream_user_data(h->ng, ex->stream_id, NULL);
    if (h->latest == ex) {
        h->latest = NULL;
    }
}

static int on_begin_frame_cb(nghttp2_session *ng, const nghttp2_frame_hd *hd, void *arg)
{
    return h2_guard_frame(arg, hd) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_header_cb(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
                        size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                        void *arg)
{
    struct exchange *ex = h2_exchange(arg, frame->hd.stream_id);

    if (!ex) {
        return 0;
    }
    bool is_trailer = ex->header_ended;
    enum pfs_class cls =
        exchange_on_field(ex, is_trailer ? "" : (const char *)name, is_trailer ? 0 : name_len,
                          (const char *)value, value_len);
    return cls == PFS_OK ? 0 : h2_fatal(arg, cls, exchange_field_fault(cls));
}

/*
 * Requests that wait inside nghttp2 beyond what the peer allows since now go back unsent: another
 * connection may take them, and the generation's queue is in order and ends in time.
 */
static void give_back_unsent(struct h2_session *h)
{
    unsigned n_kept = 0;
    struct pfs_error why;

    list_for_each (n, &h->base.open) {
        n_kept += list_entry(n, struct exchange, node)->header_sent;
    }
    list_for_each (n, &h->base.open) {
        struct exchange *ex = list_entry(n, struct exchange, node);

        if (ex->header_sent || n_kept++ < h->base.state.max_open) {
            continue;
        }
        pfs_refuse(&why, PFS_REFUSED, "the peer allows fewer streams now");
        exchange_fail_at(ex, FAILURE_NOT_SENT, &why);
        h2_forget(h, ex);
        nghttp2_submit_rst_stream(h->ng, NGHTTP2_FLAG_NONE, ex->stream_id, NGHTTP2_CANCEL);
        session_done(&h->base, ex);
    }
}

static void on_settings(struct h2_session *h)
{
    uint32_t peer =
        nghttp2_session_get_remote_settings(h->ng, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    unsigned max = h->options.max_streams;

    h->base.state.is_up = true;
    h->base.state.max_open = peer < max ? peer : max;
    if (h->base.state.n_open > h->base.state.max_open) {
        give_back_unsent(h);
    }
}

static void on_goaway(struct h2_session *h, const nghttp2_goaway *f)
{
    h->goaway_seen = true;
    h->goaway_last = f->last_stream_id;
    h->base.state.calm_down |= f->error_code == NGHTTP2_ENHANCE_YOUR_CALM &&
                               h->goaway_code != f->error_code; /* once is enough */
    h->goaway_code = f->error_code;
    pfs_escape_line(h->goaway_debug, sizeof h->goaway_debug, (const char *)f->opaque_data,
                    f->opaque_data_len);
    h->base.state.is_closing = true;
    h->base.state.goodbye_code = f->error_code;
}

static void on_reply_header(struct h2_session *h, struct exchange *ex)
{
    if (exchange_on_header_end(ex) && exchange_is_streamed(ex)) {
        session_note(&h->base, ex, EXCHANGE_HEAD);
    }
}

/* The reply counts, and what is left of the stream is given up. */
static void end_early(struct h2_session *h, struct exchange *ex)
{
    ex->reply_ended = true;
    h2_forget(h, ex);
    nghttp2_submit_rst_stream(h->ng, NGHTTP2_FLAG_NONE, ex->stream_id, NGHTTP2_CANCEL);
    session_done(&h->base, ex);
}

static int on_frame_recv_cb(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
    struct h2_session *h = arg;
    struct exchange *ex = frame->hd.stream_id ? h2_exchange(h, frame->hd.stream_id) : NULL;

    if (frame->hd.type == NGHTTP2_SETTINGS && !(frame->hd.flags & NGHTTP2_FLAG_ACK)) {
        on_settings(h);
    } else if (frame->hd.type == NGHTTP2_GOAWAY) {
        on_goaway(h, &frame->goaway);
    } else if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK)) {
        h->base.state.pings_acked += !h2_credit_pong(h, frame->ping.opaque_data);
    } else if (frame->hd.type == NGHTTP2_HEADERS && ex && !ex->header_ended) {
        on_reply_header(h, ex);
    }
    if (ex && (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) {
        ex->reply_ended = true;
        /* A complete refusal: the peer reads no more of the request; no wait for that. */
        if (ex->head.status >= 300 && !ex->request_sent && !ex->local_reset) {
            end_early(h, ex);
        }
    }
    return 0;
}

static int on_data_chunk_cb(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *data,
                            size_t n, void *arg)
{
    struct h2_session *h = arg;
    struct exchange *ex = h2_exchange(h, id);

    h->n_received += n;
    if (!ex || ex->lost_interest) {
        h2_done(h, nghttp2_session_consume_stream(ng, id, n));
        return 0;
    }
    if (exchange_on_body(ex, data, n) != PFS_OK) {
        nghttp2_submit_rst_stream(ng, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
        ex->lost_interest = true;
        return 0;
    }
    if (ex->reply_cut) {
        end_early(h, ex);
    } else if (exchange_is_streamed(ex)) {
        ex->n_unconsumed += n;
        session_note(&h->base, ex, EXCHANGE_DATA);
    } else {
        h2_credit_taken(h, ex, n);
    }
    return 0;
}

static int on_frame_send_cb(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
    struct h2_session *h = arg;
    struct exchange *ex = frame->hd.stream_id ? h2_exchange(h, frame->hd.stream_id) : NULL;

    if (frame->hd.type == NGHTTP2_DATA) {
        h->guard.n_data_sent++;
    } else if (frame->hd.type == NGHTTP2_HEADERS) {
        h->n_to_send -= h->n_to_send > 0;
    } else if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR) {
        h->gave_up = true;
        pfs_escape_line(h->gave_up_why, sizeof h->gave_up_why,
                        (const char *)frame->goaway.opaque_data, frame->goaway.opaque_data_len);
    }
    if (!ex) {
        return 0;
    }
    if (frame->hd.type == NGHTTP2_HEADERS) {
        ex->header_sent = true;
        h2_credit_begin(h, ex);
    } else if (frame->hd.type == NGHTTP2_RST_STREAM &&
               frame->rst_stream.error_code != NGHTTP2_CANCEL) {
        ex->local_reset = true; /* nghttp2 found a fault of the peer's in this stream */
    }
    if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) {
        ex->request_sent = true;
    }
    return 0;
}

static int on_invalid_frame_recv_cb(nghttp2_session *ng, const nghttp2_frame *frame, int code,
                                    void *arg)
{
    struct exchange *ex = frame->hd.stream_id ? h2_exchange(arg, frame->hd.stream_id) : NULL;

    if (ex) {
        ex->local_reset = true;
    }
    return 0;
}

/*
 * The frame that was to open the stream could not be sent: nothing reached the peer. The exchange
 * ends here. A stream that nghttp2 had made for it closes after this (when GOAWAY came first), and
 * must not find the exchange again; when the request was reset while it waited there is none.
 */
static int on_frame_not_send_cb(nghttp2_session *ng, const nghttp2_frame *frame, int code,
                                void *arg)
{
    struct h2_session *h = arg;
    struct pfs_error why;

    h->n_to_send = H2_UNKNOWN;
    if (frame->hd.type != NGHTTP2_HEADERS) {
        return 0;
    }
    list_for_each (n, &h->base.open) {
        struct exchange *ex = list_entry(n, struct exchange, node);

        if (ex->stream_id == frame->hd.stream_id) {
            pfs_fail(&why, PFS_REFUSED, PFS_OUTCOME_NA, PFS_PHASE_LOCAL,
                     "the request was not sent: %s", nghttp2_strerror(code));
            exchange_fail_at(ex, FAILURE_NOT_SENT, &why);
            h2_forget(h, ex);
            session_done(&h->base, ex);
            break;
        }
    }
    return 0;
}

/* Unknown frames come through on_begin_frame_cb only to be counted. */
static int unpack_extension_cb(nghttp2_session *ng, void **payload, const nghttp2_frame_hd *hd,
                               void *arg)
{
    return NGHTTP2_ERR_CANCEL;
}

/* Which failure a stream that ended early had, from what was seen before (table B2). */
static void fail_stream(struct h2_session *h, struct exchange *ex, uint32_t code)
{
    struct pfs_error why;
    enum pfs_class cls = ex->local_reset ? PFS_PROTOCOL : PFS_RESET;
    bool has_answered = ex->head.status >= 200; /* then it has seen the request, whatever it says */

    if (code == NGHTTP2_REFUSED_STREAM && h->goaway_seen && ex->stream_id > h->goaway_last &&
        !has_answered) {
        pfs_fail(&why, PFS_REFUSED, PFS_OUTCOME_NA, PFS_PHASE_WAIT,
                 "the peer is closing (GOAWAY %s%s%s) and has not processed the request",
                 nghttp2_http2_strerror(h->goaway_code), h->goaway_debug[0] ? ", " : "",
                 h->goaway_debug);
        why.h2_code = h->goaway_code;
        ex->others_served = h->goaway_last > 0;
        exchange_fail_at(ex, FAILURE_GOAWAY, &why);
        return;
    }
    if (code == NGHTTP2_REFUSED_STREAM && !ex->header_sent) { /* nghttp2 itself, before sending */
        pfs_nomem(&why, "a request");
        exchange_fail_at(ex, FAILURE_LOCAL, &why);
        return;
    }
    h->base.state.n_resets++;
    if (code == NGHTTP2_REFUSED_STREAM && !has_answered && !ex->local_reset) {
        pfs_fail(&why, PFS_REFUSED, PFS_OUTCOME_NA, PFS_PHASE_WAIT,
                 "the peer refused the request unprocessed (REFUSED_STREAM)");
        why.h2_code = code;
        exchange_fail_at(ex, FAILURE_REFUSED, &why);
        return;
    }
    pfs_fail(&why, cls, PFS_OUTCOME_UN, PFS_PHASE_WAIT,
             ex->local_reset ? "the reply breaks HTTP/2 (%s)" : "the peer reset the request (%s)",
             nghttp2_http2_strerror(code));
    why.h2_code = code;
    exchange_fail(ex, &why);
}

static int on_stream_close_cb(nghttp2_session *ng, int32_t id, uint32_t code, void *arg)
{
    struct h2_session *h = arg;
    struct exchange *ex = h2_exchange(h, id);

    if (!ex) {
        return 0;
    }
    h->latest = NULL; /* nghttp2 frees the stream after this */
    /* A complete final reply counts, whatever came after it (RFC 9113 section 8.1). */
    if (!(ex->reply_ended && ex->head.status >= 200 && !ex->local_reset)) {
        fail_stream(h, ex, code);
    }
    session_done(&h->base, ex);
    return 0;
}

/*
 * DATA ends with the piece, so that a body comes in records that are full and whole frames, which
 * neither end has to put together; near the piece's end it takes some of the next one.
 */
static ssize_t data_length_cb(nghttp2_session *ng, uint8_t frame_type, int32_t id,
                              int32_t session_window, int32_t stream_window, uint32_t frame_max,
                              void *arg)
{
    const struct h2_out *o = &((struct h2_session *)arg)->out;
    size_t room = o->cap - o->len;

    return room > FRAME_HEAD + DATA_LEAST ? (ssize_t)(room - FRAME_HEAD) : DATA_LEAST;
}

ssize_t h2_read_body_cb(nghttp2_session *ng, int32_t id, uint8_t *buf, size_t cap, uint32_t *flags,
                        nghttp2_data_source *source, void *arg)
{
    const struct exchange *ex = h2_exchange(arg, id); /* not source->ptr: it may be gone */

    if (!ex) {
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    struct http_chunk left = exchange_body_left(ex);
    if (left.n == 0 && !left.last) {
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY; /* send_data_cb follows at once */
    if (left.n <= cap && left.last) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    return (ssize_t)(left.n < cap ? left.n : cap);
}

/* Afterwards nghttp2 pauses: whoever drains sees whether there is room for the next frame. */
static int send_data_cb(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *head, size_t n,
                        nghttp2_data_source *source, void *arg)
{
    struct h2_session *h = arg;
    struct exchange *ex = h2_exchange(h, frame->hd.stream_id);

    if (!h2_emit(h, head, FRAME_HEAD) || !h2_emit(h, exchange_body_left(ex).at, n)) {
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    if (exchange_body_sent(ex, n, !ex->header_ended)) {
        session_note(&h->base, ex, EXCHANGE_WRITABLE);
    }
    return NGHTTP2_ERR_PAUSE;
}

void h2_set_callbacks(nghttp2_session_callbacks *cbs)
{
    nghttp2_session_callbacks_set_on_begin_frame_callback(cbs, on_begin_frame_cb);
    nghttp2_session_callbacks_set_on_header_callback(cbs, on_header_cb);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cbs, on_frame_recv_cb);
    nghttp2_session_callbacks_set_unpack_extension_callback(cbs, unpack_extension_cb);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cbs, on_data_chunk_cb);
    nghttp2_session_callbacks_set_on_frame_send_callback(cbs, on_frame_send_cb);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(cbs, on_frame_not_send_cb);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cbs, on_invalid_frame_recv_cb);
    nghttp2_session_callbacks_set_on_stream_close_callback(cbs, on_stream_close_cb);
    nghttp2_session_callbacks_set_data_source_read_length_callback(cbs, data_length_cb);
    nghttp2_session_callbacks_set_send_data_callback(cbs, send_data_cb);
}
