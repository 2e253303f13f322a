/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/alloc.h"
#include "meters.h"
#include "req.h"
#include "stream_io.h"

#define COUNTED_BLOCK 4096 /* the number of requests bounds smaller ones */

/*
 * The response of a request on its way out: a block, or a stream that is read one chunk ahead of
 * what the connection takes.
 */

static bool has_no_body(const struct http_req *r, int status)
{
    return r->method == HTTP_HEAD || status < 200 || status == 204 || status == 304;
}

/* False: all of the eight bytes at p are from ' ' to '~', or not ASCII; may be true of those. */
static bool may_be_control(const char *p)
{
    const uint64_t each = 0x0101010101010101, high = 0x80 * each;
    uint64_t v, del;

    memcpy(&v, p, sizeof v);
    del = v ^ 0x7f * each;
    return (((v - ' ' * each) & ~v) | ((del - each) & ~del)) & high;
}

bool resp_value_is_safe(const char *value)
{
    const char *end = value + strlen(value);

    while (end - value >= 8 && !may_be_control(value)) {
        value += 8;
    }
    const unsigned char *p = (const unsigned char *)value;

    for (;; p++) {
        while (*p >= ' ' && *p != 0x7f) {
            p++;
        }
        if (*p != '\t') {
            return *p == '\0';
        }
    }
}

void req_block_drop(struct http_req *r)
{
    pfs_free(r->block);
    r->block = NULL;
    http_body_freed(r->n_block);
    r->n_block = 0;
}

static void source_close(struct http_req *r)
{
    if (r->io) {
        stream_io_close(r->io);
        r->io = NULL;
    }
    r->pulling = false;
}

static void respond(struct http_req *r, struct resp_head *head)
{
    r->answered = true;
    r->progress_ms = loop_now_ms(r->loop);
    if (r->gone || !r->conn) {
        req_resp_gone(r);
        req_settle(r);
    } else {
        r->ops->respond(r, head);
    }
}

void http_respond(struct http_req *r, int status, const char *content_type, char *body, size_t len,
                  const struct http_header *extra, size_t n_extra)
{
    struct resp_head head = {.status = status,
                             .content_type = content_type,
                             .extra = extra,
                             .n_extra = n_extra,
                             .length = (int64_t)len,
                             .no_body = has_no_body(r, status)};

    if (head.no_body || len == 0 || r->gone) {
        pfs_free(body);
        r->resp = RESP_END;
    } else {
        r->block = body;
        r->n_block = len >= COUNTED_BLOCK ? len : 0;
        gauge_add(GAUGE_BODY_MEMORY, (int64_t)r->n_block);
        r->ready = body;
        r->n_ready = len;
        r->resp = RESP_BLOCK;
    }
    respond(r, &head);
}

void http_respond_stream(struct http_req *r, int status, const char *content_type,
                         struct pfs_stream *body, const struct http_header *extra, size_t n_extra)
{
    struct resp_head head = {.status = status,
                             .content_type = content_type,
                             .extra = extra,
                             .n_extra = n_extra,
                             .length = body->size,
                             .no_body = has_no_body(r, status)};

    r->resp_left = body->size;
    r->io = stream_io_new(r->loop, body);
    if (!r->io) {
        body->ops->close(body);
        http_respond(r, 503, NULL, NULL, 0, NULL, 0);
        return;
    }
    r->resp = RESP_STREAM;
    if (head.no_body || body->size == 0 || r->gone) {
        r->resp = RESP_END;
        source_close(r);
    }
    respond(r, &head);
}

/* ---- from the source ---- */

static void on_pulled(void *arg, size_t n, const struct pfs_error *err)
{
    struct http_req *r = arg;

    r->pulling = false;
    r->progress_ms = loop_now_ms(r->loop);
    if (err->cls != PFS_OK || (n == 0 && r->resp_left > 0)) {
        r->resp = RESP_FAILED;
        source_close(r);
    } else if (n == 0) {
        r->resp = RESP_END;
        source_close(r);
    } else {
        r->ready = stream_io_data(r->io);
        r->n_ready = r->resp_left >= 0 && (int64_t)n > r->resp_left ? (size_t)r->resp_left : n;
    }
    if (!r->in_read) {
        r->ops->resume(r);
    }
}

static void pull(struct http_req *r)
{
    size_t cap =
        r->resp_left >= 0 && r->resp_left < STREAM_CHUNK ? (size_t)r->resp_left : STREAM_CHUNK;

    r->pulling = true;
    r->in_read = true;
    stream_io_read(r->io, cap, on_pulled, r);
    r->in_read = false;
}

/* ---- to the protocol ---- */

ssize_t req_ready(struct http_req *r, bool *ret_end)
{
    if (r->resp == RESP_STREAM && r->n_ready == 0 && !r->pulling) {
        pull(r);
    }
    *ret_end = r->resp == RESP_END;
    return r->resp == RESP_FAILED ? RESP_READ_FAILED : (ssize_t)r->n_ready;
}

bool req_would_end(const struct http_req *r, size_t n)
{
    return (r->resp == RESP_BLOCK && n == r->n_ready) ||
           (r->resp == RESP_STREAM && r->resp_left == (int64_t)n);
}

void req_took(struct http_req *r, size_t n)
{
    bool end = req_would_end(r, n);

    r->ready += n;
    r->n_ready -= n;
    r->resp_left -= r->resp_left >= 0 ? (int64_t)n : 0;
    r->progress_ms = loop_now_ms(r->loop);
    r->rate_taken += n;
    if (r->n_ready == 0) {
        r->rate_ms = 0;
    }
    if (end) {
        r->resp = RESP_END;
        req_block_drop(r);
        source_close(r);
    }
}

bool req_is_stalled(const struct http_req *r, int64_t now_ms)
{
    return r->n_ready > 0 && now_ms - r->progress_ms > r->loop->limits->stream_stall_ms;
}

bool req_is_taken_slowly(struct http_req *r, int64_t now_ms)
{
    const struct server_limits *lim = r->loop->limits;

    if (r->n_ready == 0 || !gauge_is_scarce(GAUGE_BODY_MEMORY)) {
        r->rate_ms = 0;
        return false;
    }
    if (r->rate_ms > 0 && now_ms - r->rate_ms < lim->body_window_ms) {
        return false;
    }
    bool slow = r->rate_ms > 0 && r->rate_taken < (uint64_t)lim->body_min;

    r->rate_ms = now_ms;
    r->rate_taken = 0;
    return slow;
}

void req_resp_gone(struct http_req *r)
{
    struct http_sent *s = r->sent;

    if (s) { /* its head has not even reached the connection */
        r->sent = NULL;
        s->fn(s, false);
    }
    if (r->resp != RESP_NONE) {
        r->resp = RESP_END;
        r->n_ready = 0;
        source_close(r);
    }
}
