/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/decimal.h"
#include "h2.h"
#include <string.h>

#define FRAME_HEAD 9
#define FRAME_ROOM (16384 + 64) /* for the longest piece nghttp2 hands out */
#define MAX_FIELDS 40           /* of a response: status, type, length, and what the API adds */

/* The name is a literal, in lower case; the value is copied. */
static nghttp2_nv nv(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                        strlen(value), NGHTTP2_NV_FLAG_NO_COPY_NAME};
}

/* ---- the body, straight from the request into the connection's buffer ---- */

static ssize_t on_read(nghttp2_session *s, int32_t stream_id, uint8_t *buf, size_t length,
                       uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct http_req *r = source->ptr;
    bool end;
    ssize_t n = req_ready(r, &end);

    if (n < 0) {
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* RST_STREAM INTERNAL_ERROR */
    }
    if (n == 0 && !end) {
        return NGHTTP2_ERR_DEFERRED;
    }
    if ((size_t)n > length) {
        n = (ssize_t)length;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (end || req_would_end(r, (size_t)n)) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    return n;
}

static int on_send_data(nghttp2_session *s, nghttp2_frame *frame, const uint8_t *head, size_t n,
                        nghttp2_data_source *source, void *user)
{
    struct h2 *h = user;
    struct http_req *r = source->ptr;

    if (h->cap - h->n < FRAME_HEAD + n + FRAME_ROOM) {
        return NGHTTP2_ERR_WOULDBLOCK; /* asked again with the next buffer */
    }
    memcpy(h->dst + h->n, head, FRAME_HEAD);
    h->n += FRAME_HEAD;
    if (n) {
        memcpy(h->dst + h->n, r->ready, n);
        h->n += n;
        req_took(r, n);
    }
    if (r->resp == RESP_END) {
        conn_sending(h->c, r, h->dst + h->n);
    }
    return 0;
}

size_t h2_drain(struct conn *c, char *dst, size_t cap)
{
    struct h2 *h = c->session;
    const uint8_t *p;

    h->dst = dst;
    h->cap = cap;
    h->n = 0;
    while (h->cap - h->n >= FRAME_ROOM) {
        ssize_t n = nghttp2_session_mem_send(h->s, &p);

        if (n < 0 || h->mem.lacked) {
            conn_break(c);
            break;
        }
        if (n == 0) {
            break;
        }
        memcpy(h->dst + h->n, p, (size_t)n);
        h->n += (size_t)n;
    }
    return h->n;
}

/*
 * The response is complete while the request's body is not. The client gets time to stop by itself:
 * curl 7.88 forgets a response that is followed by RST_STREAM(NO_ERROR).
 */
static void on_response_sent(struct h2 *h, struct http_req *r)
{
    if (!r->body_ended) {
        r->progress_ms = loop_now_ms(h->c->loop);
        int64_t at = r->progress_ms + h->c->loop->limits->upload_grace_ms;

        h->tick_at_ms = at < h->tick_at_ms ? at : h->tick_at_ms;
    }
}

static int on_frame_send(nghttp2_session *s, const nghttp2_frame *frame, void *user)
{
    struct h2 *h = user;
    bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;

    if (frame->hd.type == NGHTTP2_HEADERS) {
        struct http_req *r = h2_req_of(h, frame->hd.stream_id);

        if (r && r->answered && end) { /* it is put out when this returns */
            conn_sending(h->c, r, h->dst + h->n + FRAME_HEAD + frame->hd.length);
        }
    } else if (frame->hd.type == NGHTTP2_RST_STREAM) {
        h2_note(h, H2_EV_OWN_RESET);
    } else if (frame->hd.type == NGHTTP2_DATA) {
        h2_note(h, H2_EV_DATA_SENT);
    }
    if (end && (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS)) {
        struct http_req *r = h2_req_of(h, frame->hd.stream_id);

        if (r) {
            on_response_sent(h, r);
        }
    }
    return 0;
}

void h2_set_out_callbacks(nghttp2_session_callbacks *cb)
{
    nghttp2_session_callbacks_set_send_data_callback(cb, on_send_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
}

/* ---- what a request asks of us ---- */

static void on_respond(struct http_req *r, const struct resp_head *head)
{
    struct h2 *h = r->conn->session;
    nghttp2_nv fields[MAX_FIELDS];
    nghttp2_data_provider body = {.source = {.ptr = r}, .read_callback = on_read};
    char status[PFS_DECIMAL_MAX], length[PFS_DECIMAL_MAX];
    size_t n = 0;

    fields[n++] = nv(":status", pfs_decimal(status, (uint64_t)head->status));
    if (head->content_type) {
        fields[n++] = nv("content-type", head->content_type);
    }
    if (head->length >= 0 && head->status != 204 && head->status != 304) {
        fields[n++] = nv("content-length", pfs_decimal(length, (uint64_t)head->length));
    }
    for (size_t i = 0; i < head->n_extra && n < MAX_FIELDS; i++) {
        const struct http_header *x = &head->extra[i];

        if (x->lasts || resp_value_is_safe(x->value)) {
            fields[n] = nv(x->name, x->value);
            fields[n++].flags |= x->lasts ? NGHTTP2_NV_FLAG_NO_COPY_VALUE : 0;
        }
    }
    if (nghttp2_submit_response(h->s, r->stream_id, fields, n,
                                r->resp == RESP_END ? NULL : &body) != 0) {
        h2_reset(r, NGHTTP2_INTERNAL_ERROR);
    }
    conn_touch(r->conn);
}

void h2_answer_bare(struct http_req *r, int status)
{
    struct resp_head head = {.status = status, .length = 0};

    r->answered = true;
    r->resp = RESP_END;
    on_respond(r, &head);
}

static void on_body_wanted(struct http_req *r)
{
    struct h2 *h = r->conn->session;

    if (r->expects) {
        nghttp2_nv status = nv(":status", "100");

        r->expects = false;
        nghttp2_submit_headers(h->s, NGHTTP2_FLAG_NONE, r->stream_id, NULL, &status, 1, NULL);
        conn_touch(r->conn);
    }
    h2_window_wanted(h, r);
}

static void on_body_taken(struct http_req *r, size_t n)
{
    struct h2 *h = r->conn->session;

    r->body_credited += (int64_t)n;
    if (r->answered) { /* nobody wants more of it */
        nghttp2_session_consume_connection(h->s, n);
    } else {
        h2_window_taken(h, r, n);
    }
    conn_touch(r->conn);
}

static void on_resume(struct http_req *r)
{
    struct h2 *h = r->conn->session;

    nghttp2_session_resume_data(h->s, r->stream_id);
    conn_touch(r->conn);
}

const struct req_ops h2_req_ops = {
    .body_wanted = on_body_wanted,
    .body_taken = on_body_taken,
    .respond = on_respond,
    .resume = on_resume,
    .released = h2_on_released,
};
