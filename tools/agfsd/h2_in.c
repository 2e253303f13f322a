/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "h2.h"
#include <stdlib.h>
#include <string.h>

/* ---- which requests run ---- */

static void run(struct h2 *h, struct http_req *r)
{
    h->n_running++;
    list_append(&h->reqs, &r->node);
    req_start(r);
}

static void admit(struct h2 *h, struct http_req *r)
{
    const struct server_limits *lim = h->c->loop->limits;

    list_remove(&r->node);
    if (h->n_running < lim->max_running) {
        run(h, r);
    } else if (h->n_waiting < lim->max_waiting) {
        r->waiting = true;
        h->n_waiting++;
        list_append(&h->waiting, &r->node);
    } else {
        list_append(&h->reqs, &r->node);
        r->answered = true; /* nothing else will be said */
        conn_trip(h->c, METER_REQUESTS);
        h2_reset(r, NGHTTP2_REFUSED_STREAM);
    }
}

void h2_on_released(struct http_req *r)
{
    struct h2 *h = r->conn->session;

    if (r->waiting) {
        h->n_waiting--;
    } else if (r->given) {
        h->n_running--;
    }
    if (h->n_running < h->c->loop->limits->max_running) {
        struct list *node = list_take_first(&h->waiting);

        if (node) {
            struct http_req *next = list_entry(node, struct http_req, node);

            next->waiting = false;
            h->n_waiting--;
            run(h, next);
        }
    }
}

/* The header is complete. */
static void on_request(struct h2 *h, struct http_req *r, bool end)
{
    const char *length = http_field(r, "content-length");
    const char *expect = http_field(r, "expect");

    h2_note(h, H2_EV_STREAM);
    r->body_ended = end;
    if (r->over_limit) {
        conn_trip(h->c, METER_HEADER_SIZE);
        h2_answer_bare(r, 431);
    } else if (r->path == 0 || strpbrk(http_path(r), "#")) { /* CONNECT has none */
        h2_answer_bare(r, 400);
    } else {
        r->content_length = end ? 0 : length ? strtoll(length, NULL, 10) : -1;
        r->expects = !end && expect && strcasecmp(expect, "100-continue") == 0;
        admit(h, r);
    }
}

/* ---- callbacks ---- */

static int on_begin_headers(nghttp2_session *s, const nghttp2_frame *frame, void *user)
{
    struct h2 *h = user;

    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST ||
        (h->last && frame->hd.stream_id > h->last_id)) { /* disowned by the GOAWAY on its way */
        return 0;
    }
    struct http_req *r = req_new(h->c->loop, h->c, &h2_req_ops);

    if (!r) {
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    r->stream_id = frame->hd.stream_id;
    r->window.size = h->first_window;
    r->progress_ms = loop_now_ms(h->c->loop);
    list_append(&h->reqs, &r->node);
    if (h->n_open++ == 0) {
        h->tick_at_ms = r->progress_ms + h->c->loop->limits->tick_ms;
    }
    nghttp2_session_set_stream_user_data(s, r->stream_id, r);
    h->current = r;
    return 0;
}

static bool add_pseudo(struct http_req *r, const char *name, const char *value, size_t n)
{
    switch (name[1]) {
    case 'm':
        req_set_method(r, value, n);
        return true;
    case 'p':
        return req_set_target(r, value, n);
    case 'a':
        return req_add_field(r, "host", 4, value, n);
    }
    return true; /* :scheme */
}

static int on_header(nghttp2_session *s, const nghttp2_frame *frame, const uint8_t *name,
                     size_t n_name, const uint8_t *value, size_t n_value, uint8_t flags, void *user)
{
    struct h2 *h = user;
    struct http_req *r = h2_req_of(h, frame->hd.stream_id);
    bool ok = true;

    if (!r) {
        return 0;
    }
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) { /* trailers: counted and dropped */
        r->header_size += (uint32_t)(n_name + n_value + 32);
    } else if (name[0] == ':') {
        ok = add_pseudo(r, (const char *)name, (const char *)value, n_value);
    } else {
        ok = req_add_field(r, (const char *)name, n_name, (const char *)value, n_value);
    }
    if (r->header_size > H2_BOMB_FACTOR * REQ_HEADER_MAX && !h->terminated) {
        conn_trip(h->c, METER_HEADER_SIZE);
        h2_terminate(h, NGHTTP2_ENHANCE_YOUR_CALM);
    }
    return ok ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_data(nghttp2_session *s, uint8_t flags, int32_t stream_id, const uint8_t *p, size_t n,
                   void *user)
{
    struct h2 *h = user;
    struct http_req *r = h2_req_of(h, stream_id);

    h2_note(h, H2_EV_DATA);
    if (!r || (!r->given && !r->waiting)) {
        nghttp2_session_consume(s, stream_id, n);
        return 0;
    }
    r->expects = false;
    h2_window_received(h, n);
    req_on_body(r, (const char *)p, n);
    return 0;
}

static void on_stream_frame(struct h2 *h, const nghttp2_frame *frame)
{
    struct http_req *r = h2_req_of(h, frame->hd.stream_id);
    bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;

    if (frame->hd.type == NGHTTP2_DATA && !end && frame->hd.length == frame->data.padlen) {
        h2_note(h, H2_EV_EMPTY_DATA);
    }
    if (!r) {
        return;
    }
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        on_request(h, r, end);
    } else if (end && (r->given || r->waiting)) {
        req_on_body_end(r);
    }
}

static int on_frame(nghttp2_session *s, const nghttp2_frame *frame, void *user)
{
    struct h2 *h = user;
    bool ack = frame->hd.flags & NGHTTP2_FLAG_ACK;

    switch (frame->hd.type) {
    case NGHTTP2_DATA:
    case NGHTTP2_HEADERS:
        on_stream_frame(h, frame);
        break;
    case NGHTTP2_SETTINGS:
        h->got_settings = h->got_settings || !ack;
        h->got_ack = h->got_ack || ack;
        if (!ack) { /* of those there are as many as we asked for: nghttp2 sees to that */
            h2_note(h, H2_EV_SETTINGS);
        }
        break;
    case NGHTTP2_PING:
        if (!ack || !h2_window_pong(h, frame->ping.opaque_data)) {
            h2_note(h, H2_EV_PING);
        }
        break;
    case NGHTTP2_WINDOW_UPDATE:
        h2_note(h, H2_EV_WINDOW_UPDATE);
        break;
    case NGHTTP2_PRIORITY:
        h2_note(h, H2_EV_PRIORITY);
        break;
    case NGHTTP2_RST_STREAM:
        h2_note(h, H2_EV_PEER_RESET);
        break;
    case NGHTTP2_GOAWAY:
        h2_note(h, H2_EV_GOAWAY);
        break;
    }
    return 0;
}

/* Frames of types that nobody knows are legal, and cost. */
static int on_unknown_frame(nghttp2_session *s, void **payload, const nghttp2_frame_hd *hd,
                            void *user)
{
    h2_note(user, H2_EV_UNKNOWN);
    return NGHTTP2_ERR_CANCEL; /* ignored */
}

/* Never fails: that leaks inside nghttp2 (CVE-2023-35945). */
static int on_stream_close(nghttp2_session *s, int32_t stream_id, uint32_t code, void *user)
{
    struct h2 *h = user;
    struct http_req *r = h2_req_of(h, stream_id);

    if (!r) {
        return 0;
    }
    nghttp2_session_set_stream_user_data(s, stream_id, NULL);
    h->current = NULL;
    if (--h->n_open == 0) {
        h->idle_ms = loop_now_ms(h->c->loop);
    }
    if (r->body_received > r->body_credited) { /* what was not consumed never will be */
        nghttp2_session_consume_connection(s, (size_t)(r->body_received - r->body_credited));
    }
    req_gone(r);
    return 0;
}

void h2_set_in_callbacks(nghttp2_session_callbacks *cb)
{
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
    nghttp2_session_callbacks_set_unpack_extension_callback(cb, on_unknown_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
}
