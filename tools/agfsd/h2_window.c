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

void h2_window_taken(struct h2 *h, struct http_req *r, size_t n)
{
    if (pfs_window_taken(&r->window, n, &h->rtt, pfs_now(), window_max(h))) {
        int32_t size = (int32_t)r->window.size;

        nghttp2_session_set_local_window_size(h->s, NGHTTP2_FLAG_NONE, r->stream_id, size);
        if (2 * size > h2_conn_window(h)) {
            nghttp2_session_set_local_window_size(h->s, NGHTTP2_FLAG_NONE, 0, 2 * size);
        }
    }
    nghttp2_session_consume(h->s, r->stream_id, n);
}
