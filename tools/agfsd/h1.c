/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "h1.h"
#include "base/alloc.h"
#include "base/clock.h"
#include <string.h>

#define EOF_ASK_MS 100 /* before a client that has ended is asked: most answers are quicker */

static bool h1_open(struct conn *c)
{
    struct h1 *h = pfs_calloc(1, sizeof(*h));

    if (!h) {
        return false;
    }
    h->since_ms = loop_now_ms(c->loop);
    c->session = h;
    return true;
}

static void h1_close(struct conn *c)
{
    struct h1 *h = c->session;

    if (h->r) {
        req_orphan(h->r);
    }
    pfs_buf_fini(&h->out);
    pfs_free(h);
}

/* ---- header ---- */

static bool fill(struct http_req *r, const struct h1_head *head)
{
    bool ok = req_set_target(r, head->target.p, head->target.n);

    req_set_method(r, head->method.p, head->method.n);
    for (unsigned i = 0; ok && i < head->n_fields; i++) {
        const struct h1_field *f = &head->fields[i];

        ok = req_add_field(r, f->name.p, f->name.n, f->value.p, f->value.n);
    }
    return ok;
}

static void begin_request(struct conn *c, const struct h1_head *head)
{
    struct h1 *h = c->session;
    struct http_req *r = req_new(c->loop, c, &h1_req_ops);

    if (!r) {
        h1_refuse(c, 503, "out of memory");
        return;
    }
    if (!fill(r, head)) {
        req_gone(r);
        h1_refuse(c, 503, "out of memory");
        return;
    }
    h->r = r;
    h->minor = head->minor;
    h->keep_alive = head->keep_alive && !h->shutting;
    h->in_head = h->asked = false;
    h->chunked_in = head->chunked;
    h->left = head->content_length > 0 ? head->content_length : 0;
    h->chunks = (struct h1_chunks){0};
    h->discarded = 0;
    h->tick_at_ms = loop_now_ms(c->loop) + c->loop->limits->tick_ms;
    r->content_length = head->chunked ? -1 : h->left;
    r->body_ended = !head->chunked && h->left == 0;
    r->expects = head->expect_continue && !r->body_ended;
    h->state = r->body_ended ? H1_BUSY : H1_BODY;
    req_start(r);
}

/* Returns how many bytes were used, 0: more are needed. */
static size_t input_head(struct conn *c, const char *p, size_t n)
{
    struct h1 *h = c->session;
    struct h1_head head;

    if (!h->in_head) {
        if (p[0] == '\r' && (n == 1 || p[1] == '\n')) { /* RFC 9112 2.2: an empty line before */
            return n == 1 ? 0 : 2;
        }
        h->in_head = true;
        h->since_ms = loop_now_ms(c->loop);
        h->scan = 0;
    }
    int len = h1_find_head(p, n, &h->scan);

    if (len <= 0) {
        if (len < 0) {
            conn_trip(c, METER_HEADER_SIZE);
            h1_refuse(c, -len, "header too large");
        }
        return len < 0 ? n : 0;
    }
    int status = h1_parse_head(p, (size_t)len, &head);

    if (status) {
        conn_trip(c, status == 400 ? METER_REQUEST : METER_HEADER_SIZE);
        h1_refuse(c, status, head.reason);
    } else {
        begin_request(c, &head);
    }
    return (size_t)len;
}

/* ---- body ---- */

/* False: the consumer must catch up first. */
static bool may_take(const struct h1 *h)
{
    return !h->r || h->r->answered || h->r->body_mode == BODY_COLLECT ||
           req_body_waiting(h->r) < H1_BODY_BUFFER;
}

static void stop_body(struct conn *c, const char *why)
{
    struct h1 *h = c->session;

    h->keep_alive = false;
    if (!h->r) {
        h->state = H1_CLOSE;
        return;
    }
    h->state = H1_BUSY;
    if (!h->r->answered) {
        req_body_fail(h->r, why);
    }
}

static void take_body(struct conn *c, const char *p, size_t n)
{
    struct h1 *h = c->session;

    if (h->r && !h->r->answered) {
        h->r->expects = false; /* it did not wait */
        req_on_body(h->r, p, n);
        return;
    }
    h->discarded += n;
    if (h->discarded > DISCARD_MAX) {
        stop_body(c, "");
    }
}

static void end_body(struct conn *c)
{
    struct h1 *h = c->session;

    if (!h->r) { /* answered before, and in full */
        h->state = H1_HEAD;
        h->since_ms = loop_now_ms(c->loop);
        return;
    }
    h->state = H1_BUSY;
    if (!h->r->answered) {
        req_on_body_end(h->r);
    }
}

static size_t input_body(struct conn *c, const char *p, size_t n)
{
    struct h1 *h = c->session;
    const char *data = p;
    size_t len;
    int64_t used;
    bool end;

    if (!may_take(h)) {
        return 0;
    }
    if (h->chunked_in) {
        used = h1_chunks_next(&h->chunks, p, n, &data, &len);
        if (used < 0) {
            stop_body(c, "malformed chunked request body");
            return n;
        }
        end = h1_chunks_done(&h->chunks);
    } else {
        len = h->left < (int64_t)n ? (size_t)h->left : n;
        used = (int64_t)len;
        h->left -= used;
        end = h->left == 0;
    }
    if (len) {
        take_body(c, data, len);
    }
    if (end && h->state == H1_BODY) {
        end_body(c);
    }
    return (size_t)used;
}

static size_t h1_input(struct conn *c, const char *p, size_t n)
{
    struct h1 *h = c->session;
    size_t used = 0;

    while (used < n && !c->broken) {
        size_t step = 0;

        switch (h->state) {
        case H1_HEAD:
            step = input_head(c, p + used, n - used);
            break;
        case H1_BODY:
            step = input_body(c, p + used, n - used);
            break;
        case H1_BUSY:
            break;
        case H1_CLOSE:
            step = n - used;
            break;
        }
        if (step == 0) {
            break;
        }
        used += step;
    }
    return used;
}

static bool h1_wants_read(const struct conn *c)
{
    const struct h1 *h = c->session;

    return h->state != H1_CLOSE && pfs_buf_len(&c->in) < READ_CHUNK;
}

static bool h1_is_finished(const struct conn *c)
{
    const struct h1 *h = c->session;

    return h->state == H1_CLOSE && !h->r && pfs_buf_len(&h->out) == 0;
}

static void h1_on_eof(struct conn *c)
{
    struct h1 *h = c->session;

    if (h->state == H1_HEAD && c->eof) {
        h->state = H1_CLOSE;
    } else if (h->state == H1_BODY && c->eof && may_take(h)) {
        stop_body(c, "the client ended before its request body was complete");
    } else if (h->state == H1_BUSY && h->minor > 0 && !h->asked) {
        h->tick_at_ms = pfs_earlier(h->tick_at_ms, loop_now_ms(c->loop) + EOF_ASK_MS);
    }
    if (h->state == H1_BUSY && h->r) {
        req_doubt(h->r);
    }
}

/* ---- time ---- */

/*
 * A client that has gone looks like one that has said all it will and waits for its answer. An
 * interim response tells them apart: the one resets the connection, the other must ignore it.
 */
static void ask_whether_there(struct conn *c)
{
    struct h1 *h = c->session;

    h->asked = true;
    if (!pfs_buf_add_str(&h->out, "HTTP/1.1 100 Continue\r\n\r\n")) {
        conn_break(c);
    }
    conn_touch(c);
}

static int64_t h1_deadline(const struct conn *c)
{
    const struct h1 *h = c->session;
    const struct server_limits *lim = c->loop->limits;

    if (h->state == H1_HEAD) {
        return h->since_ms + (h->in_head ? lim->header_ms : lim->idle_h1_ms);
    }
    return h->r || h->state == H1_BODY ? h->tick_at_ms : WHEEL_NEVER;
}

static void h1_tick(struct conn *c, int64_t now_ms)
{
    struct h1 *h = c->session;
    const struct server_limits *lim = c->loop->limits;

    h->tick_at_ms = now_ms + lim->tick_ms;
    if (h->state == H1_HEAD) {
        if (h->in_head) {
            conn_trip(c, METER_HEADER_TIME);
            h1_refuse(c, 408, "header not complete in time");
        } else {
            meter_hit(METER_IDLE, &c->client, c->identity);
            h->state = H1_CLOSE;
        }
    } else if (h->state == H1_BODY && !h->r) {
        if (now_ms - h->since_ms >= lim->header_ms) { /* the rest is not worth waiting for */
            h->state = H1_CLOSE;
        }
    } else if (h->state == H1_BODY && !h->r->answered && req_body_is_slow(h->r, now_ms)) {
        conn_trip(c, METER_BODY_RATE);
        stop_body(c, req_too_slow);
    }
    bool ended = c->eof || c->ended;

    if (ended && h->state == H1_BUSY && h->r && !h->r->answered && h->minor > 0 && !h->asked) {
        ask_whether_there(c);
    }
    if (ended && h->responding && h->r->resp == RESP_STREAM && h->r->n_ready == 0 &&
        now_ms - h->r->progress_ms >= lim->eof_stall_ms) {
        conn_break(c); /* nobody follows that stream any more */
    }
}

static void h1_shut(struct conn *c, enum conn_shut how)
{
    struct h1 *h = c->session;

    h->shutting = true;
    h->keep_alive = false;
    if (h->state == H1_HEAD && !h->in_head) {
        h->state = H1_CLOSE;
    }
}

const struct proto h1_proto = {
    .name = "HTTP/1.1",
    .open = h1_open,
    .input = h1_input,
    .drain = h1_drain,
    .wants_read = h1_wants_read,
    .is_finished = h1_is_finished,
    .on_eof = h1_on_eof,
    .deadline = h1_deadline,
    .tick = h1_tick,
    .shut = h1_shut,
    .close = h1_close,
};
