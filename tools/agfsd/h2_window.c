/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* What a client may send ahead of its uploads: windows that follow bandwidth x delay. */
#include "base/clock.h"
#include "h2.h"
#include <string.h>

static const uint8_t rtt_mark[8] = {'a', 'g', 'f', 's', ' ', 'r', 't', 't'};

void h2_window_received(struct h2 *h, size_t n)
{
    if (pfs_rtt_wants(&h->rtt, n, pfs_now())) {
        nghttp2_submit_ping(h->s, NGHTTP2_FLAG_NONE, rtt_mark);
        conn_touch(h->c);
    }
}

bool h2_window_pong(struct h2 *h, const uint8_t *opaque)
{
    bool ours = h->rtt.asked_ns && memcmp(opaque, rtt_mark, sizeof(rtt_mark)) == 0;

    if (ours) {
        pfs_rtt_answered(&h->rtt, pfs_now());
    }
    return ours;
}

static uint32_t window_max(const struct h2 *h)
{
    uint32_t share = H2_WINDOW_SUM / (h->n_open ? h->n_open : 1);

    return share > H2_STREAM_WINDOW_MAX ? H2_STREAM_WINDOW_MAX
           : share > H2_STREAM_WINDOW   ? share
                                        : H2_STREAM_WINDOW;
}

int32_t h2_conn_window(const struct h2 *h)
{
    return nghttp2_session_get_effective_local_window_size(h->s);
}

/*
 * Where one body needed a larger window the next one will, and would lose a round trip until it has
 * it: further streams begin with it. Those that are open get the difference, by the rules of
 * HTTP/2.
 */
static void begin_with(struct h2 *h, uint32_t size)
{
    size = size < H2_FIRST_WINDOW_MAX ? size : H2_FIRST_WINDOW_MAX;
    if (size / 2 >= h->first_window) {
        nghttp2_settings_entry first = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, size};

        if (nghttp2_submit_settings(h->s, NGHTTP2_FLAG_NONE, &first, 1) == 0) {
            h->first_window = size;
        }
    }
}

/* The stream's window has grown; the connection's has room for two such. */
static void grant(struct h2 *h, const struct http_req *r)
{
    int32_t size = (int32_t)r->window.size;

    if (size > nghttp2_session_get_stream_effective_local_window_size(h->s, r->stream_id)) {
        nghttp2_session_set_local_window_size(h->s, NGHTTP2_FLAG_NONE, r->stream_id, size);
    }
    if (2 * size > h2_conn_window(h)) {
        nghttp2_session_set_local_window_size(h->s, NGHTTP2_FLAG_NONE, 0, 2 * size);
    }
    begin_with(h, r->window.size);
    conn_touch(h->c);
}

/* What is collected waits for nobody: all of it may come at once, as far as windows grow at all. */
void h2_window_wanted(struct h2 *h, struct http_req *r)
{
    uint32_t max = window_max(h);

    if (r->body_mode == BODY_COLLECT && r->content_length > r->window.size &&
        max > r->window.size) {
        r->window.size = r->content_length < max ? (uint32_t)r->content_length : max;
        grant(h, r);
    }
}

void h2_window_taken(struct h2 *h, struct http_req *r, size_t n)
{
    if (pfs_window_taken(&r->window, n, &h->rtt, pfs_now(), window_max(h))) {
        grant(h, r);
    }
    nghttp2_session_consume(h->s, r->stream_id, n);
}
