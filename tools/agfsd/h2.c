/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "h2.h"
#include "base/alloc.h"
#include "base/log.h"

/* Input of that length is looked at in two halves, if so many requests are in the first. */
#define SPLIT_FROM 700
#define SPLIT_TO 1500
#define SPLIT_REQUESTS 4

static pthread_once_t once = PTHREAD_ONCE_INIT;
static nghttp2_session_callbacks *callbacks; /* NULL: out of memory at the first connection */
static nghttp2_option *option;

static void make_shared(void)
{
    if (nghttp2_option_new(&option) != 0 || nghttp2_session_callbacks_new(&callbacks) != 0) {
        return;
    }
    nghttp2_option_set_no_auto_window_update(option, 1); /* credit follows the consumer */
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_max_settings(option, H2_MAX_SETTINGS);
    nghttp2_option_set_max_outbound_ack(option, H2_MAX_OUTBOUND_ACK);
    for (unsigned type = NGHTTP2_CONTINUATION + 1; type <= UINT8_MAX; type++) {
        nghttp2_option_set_user_recv_extension_type(option, (uint8_t)type); /* to be counted */
    }
    h2_set_in_callbacks(callbacks);
    h2_set_out_callbacks(callbacks);
}

static bool say_hello(struct h2 *h)
{
    static const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, H2_STREAMS},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, REQ_HEADER_MAX},
    };

    return nghttp2_submit_settings(h->s, NGHTTP2_FLAG_NONE, settings,
                                   sizeof(settings) / sizeof(*settings)) == 0 &&
           nghttp2_session_set_local_window_size(h->s, NGHTTP2_FLAG_NONE, 0, H2_CONN_WINDOW) == 0;
}

static bool h2_open(struct conn *c)
{
    struct h2 *h = pfs_calloc(1, sizeof(*h));
    int64_t now = loop_now_ms(c->loop);

    pthread_once(&once, make_shared);
    if (!h || !callbacks) {
        pfs_free(h);
        return false;
    }
    h2_mem_init(&h->mem);
    h->c = c;
    list_init(&h->reqs);
    list_init(&h->waiting);
    h->opened_ms = h->idle_ms = now;
    h->tick_at_ms = now + c->loop->limits->tick_ms;
    h->guard.settings_since_ms = now;
    h->first_window = H2_STREAM_WINDOW;
    if (nghttp2_session_server_new3(&h->s, callbacks, h, option, &h->mem.face) != 0 ||
        !say_hello(h)) {
        h2_mem_fini(&h->mem);
        pfs_free(h);
        return false;
    }
    c->session = h;
    return true;
}

static void h2_close(struct conn *c)
{
    struct h2 *h = c->session;
    struct list *node;

    h2_mem_fini(&h->mem);
    list_move_all(&h->reqs, &h->waiting);
    list_for_each (it, &h->reqs) /* all, before the first callback of the API */
    {
        list_entry(it, struct http_req, node)->conn = NULL;
    }
    while ((node = list_take_first(&h->reqs))) {
        req_orphan(list_entry(node, struct http_req, node));
    }
    pfs_free(h);
}

/* ---- endings ---- */

void h2_terminate(struct h2 *h, uint32_t code)
{
    if (!h->terminated) {
        h->terminated = true;
        if (code != NGHTTP2_NO_ERROR) {
            conn_log(h->c, "GOAWAY %s", nghttp2_http2_strerror(code));
        }
        nghttp2_session_terminate_session(h->s, code);
        conn_touch(h->c);
    }
}

void h2_note(struct h2 *h, enum h2_event ev)
{
    static const enum meter meters[] = {
        [H2_EV_PEER_RESET] = METER_PEER_RESETS, [H2_EV_OWN_RESET] = METER_OWN_RESETS,
        [H2_EV_WINDOW_UPDATE] = METER_GLITCHES, [H2_EV_PRIORITY] = METER_GLITCHES,
        [H2_EV_EMPTY_DATA] = METER_GLITCHES,    [H2_EV_UNKNOWN] = METER_GLITCHES,
        [H2_EV_SETTINGS] = METER_CONTROL,       [H2_EV_PING] = METER_CONTROL,
        [H2_EV_GOAWAY] = METER_GLITCHES,        [H2_EV_STREAM] = METER_GLITCHES,
        [H2_EV_DATA] = METER_GLITCHES,          [H2_EV_DATA_SENT] = METER_GLITCHES};

    if (!h->terminated && !h2_guard_note(&h->guard, ev, loop_now_ms(h->c->loop))) {
        conn_trip(h->c, meters[ev]);
        h2_terminate(h, NGHTTP2_ENHANCE_YOUR_CALM);
    }
}

void h2_reset(struct http_req *r, uint32_t code)
{
    struct h2 *h = r->conn->session;

    nghttp2_submit_rst_stream(h->s, NGHTTP2_FLAG_NONE, r->stream_id, code);
    conn_touch(r->conn);
}

static void h2_on_eof(struct conn *c)
{
    conn_break(c);
}

/* Streams above the one it names are not looked at from now on, however late it is sent. */
static void say_last(struct h2 *h)
{
    if (!h->last) {
        h->last = true;
        h->last_id = nghttp2_session_get_last_proc_stream_id(h->s);
        nghttp2_submit_goaway(h->s, NGHTTP2_FLAG_NONE, h->last_id, NGHTTP2_NO_ERROR, NULL, 0);
    }
}

static void h2_shut(struct conn *c, enum conn_shut how)
{
    struct h2 *h = c->session;

    if (how == CONN_SHUT_NOTICE) {
        nghttp2_submit_shutdown_notice(h->s);
    } else {
        say_last(h);
    }
    conn_touch(c);
}

static bool h2_is_finished(const struct conn *c)
{
    const struct h2 *h = c->session;

    return (h->terminated || !nghttp2_session_want_read(h->s) || (h->last && h->n_open == 0)) &&
           !nghttp2_session_want_write(h->s);
}

/* ---- in ---- */

static void take_input(struct h2 *h, const char *p, size_t n)
{
    if (h->terminated) {
        return; /* nghttp2 must not see more: CVE-2026-27135 */
    }
    ssize_t rc = nghttp2_session_mem_recv(h->s, (const uint8_t *)p, n);

    if (rc < 0 || h->mem.lacked) {
        conn_log(h->c, "%s", nghttp2_strerror(rc < 0 ? (int)rc : NGHTTP2_ERR_NOMEM));
        conn_break(h->c);
    } else if (!nghttp2_session_want_read(h->s)) {
        say_last(h); /* the client's GOAWAY: what it may have sent meanwhile is not carried out */
    }
}

/*
 * Of some ten requests that came at once, what the first half leads to is passed on before the
 * second is looked at, so that two cores work on them and not one after the other. Measured with
 * 16 callers, direct and through a second server: 68,000 and 34,000 small reads a second without,
 * 82,000 and 38,000 with. Where many more come at once, all cores are busy already and what is sent
 * more often only costs (64 callers: 134,000 and 119,000).
 */
static size_t h2_input(struct conn *c, const char *p, size_t n)
{
    struct h2 *h = c->session;
    size_t first = n < SPLIT_FROM || n > SPLIT_TO ? n : n / 2;
    unsigned n_open = h->n_open;

    take_input(h, p, first);
    if (first < n && h->n_open >= n_open + SPLIT_REQUESTS && !c->broken) {
        conn_pass_on(c);
    }
    if (first < n && !c->broken) {
        take_input(h, p + first, n - first);
    }
    return n;
}

static bool h2_wants_read(const struct conn *c)
{
    const struct h2 *h = c->session;

    return !h->terminated && nghttp2_session_get_outbound_queue_size(h->s) < H2_OUTBOUND_FRAMES;
}

/* ---- time ---- */

static int64_t h2_deadline(const struct conn *c)
{
    const struct h2 *h = c->session;

    if (h->n_open || !h->got_ack || h->terminated) {
        return h->tick_at_ms;
    }
    return h->idle_ms + c->loop->limits->idle_h2_ms;
}

static void look_at(struct h2 *h, struct http_req *r, int64_t now_ms)
{
    bool hungry = nghttp2_session_get_effective_recv_data_length(h->s) < h2_conn_window(h) / 2;

    if (r->gone) {
        return;
    }
    if (req_is_stalled(r, now_ms)) {
        conn_trip(h->c, METER_STREAM_STALL);
        h2_reset(r, NGHTTP2_CANCEL);
    } else if (!conn_unsent(h->c) && req_is_taken_slowly(r, now_ms)) { /* it gives no window */
        conn_trip(h->c, METER_BODY_RATE);
        h2_reset(r, NGHTTP2_CANCEL);
    } else if (r->answered && r->resp == RESP_END) { /* sent, but the request's body goes on */
        if (now_ms - r->progress_ms >= h->c->loop->limits->upload_grace_ms) {
            h2_reset(r, NGHTTP2_NO_ERROR);
        }
    } else if (!r->given && !r->answered) {
        if (now_ms - r->progress_ms >= h->c->loop->limits->header_ms) {
            conn_trip(h->c, METER_HEADER_TIME);
            h2_terminate(h, NGHTTP2_ENHANCE_YOUR_CALM); /* a header that is never completed */
        }
    } else if (hungry && !r->answered && !r->body_broken && req_body_is_slow(r, now_ms)) {
        conn_trip(h->c, METER_BODY_RATE);
        req_body_fail(r, req_too_slow);
    }
}

static void h2_cool(struct conn *c)
{
    struct h2 *h = c->session;

    h2_mem_rest(&h->mem, nghttp2_session_want_write(h->s));
}

static void h2_tick(struct conn *c, int64_t now_ms)
{
    struct h2 *h = c->session;
    const struct server_limits *lim = c->loop->limits;

    h->tick_at_ms = now_ms + lim->tick_ms;
    if (h->terminated) {
        conn_break(c); /* the GOAWAY had its time to leave */
    } else if (!h->got_ack && now_ms - h->opened_ms >= lim->settings_ms) {
        conn_trip(c, METER_SETTINGS_TIME);
        h2_terminate(h, NGHTTP2_SETTINGS_TIMEOUT);
    } else if (h->n_open == 0 && now_ms - h->idle_ms >= lim->idle_h2_ms) {
        meter_hit(METER_IDLE, &c->client, c->identity);
        h2_terminate(h, NGHTTP2_NO_ERROR);
    } else {
        list_for_each (node, &h->reqs) {
            look_at(h, list_entry(node, struct http_req, node), now_ms);
        }
    }
}

const struct proto h2_proto = {
    .name = "HTTP/2",
    .open = h2_open,
    .input = h2_input,
    .drain = h2_drain,
    .wants_read = h2_wants_read,
    .is_finished = h2_is_finished,
    .on_eof = h2_on_eof,
    .deadline = h2_deadline,
    .tick = h2_tick,
    .shut = h2_shut,
    .cool = h2_cool,
    .close = h2_close,
};
