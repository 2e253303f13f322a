/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* What the peer may send ahead: round trips measured, window credit given back, windows grown. */
#include "h2/h2_internal.h"
#include <string.h>

/* Credit is told to nghttp2 in steps: most replies are shorter and need none. */
#define STEP (H2_STREAM_WINDOW / 16)

static const uint8_t rtt_mark[8] = {'p', 'f', 's', ' ', 'r', 't', 't', 0};

void h2_credit_received(struct h2_session *h)
{
    size_t n = h->n_received;

    if (n == 0) {
        return;
    }
    h->n_received = 0;
    if (pfs_rtt_wants(&h->rtt, n, h->now_ns)) {
        nghttp2_submit_ping(h->ng, NGHTTP2_FLAG_NONE, rtt_mark);
    }
    h->n_untold += n;
    if (h->n_untold >= STEP) {
        h2_done(h, nghttp2_session_consume_connection(h->ng, h->n_untold));
        h->n_untold = 0;
    }
}

bool h2_credit_pong(struct h2_session *h, const uint8_t *opaque)
{
    bool ours = memcmp(opaque, rtt_mark, sizeof rtt_mark) == 0;

    if (ours) {
        pfs_rtt_answered(&h->rtt, h->now_ns);
    }
    return ours;
}

/* The most that one of the streams there are now may have. */
static uint32_t window_max(const struct h2_session *h)
{
    unsigned n = h->base.state.n_open;
    uint32_t share = H2_WINDOW_SUM / (n ? n : 1);

    return share > H2_STREAM_WINDOW_MAX ? H2_STREAM_WINDOW_MAX
           : share > H2_STREAM_WINDOW   ? share
                                        : H2_STREAM_WINDOW;
}

static void set_window(struct h2_session *h, int32_t id, int32_t size)
{
    h->n_to_send = H2_UNKNOWN;
    h2_done(h, nghttp2_session_set_local_window_size(h->ng, NGHTTP2_FLAG_NONE, id, size));
}

void h2_credit_begin(struct h2_session *h, struct exchange *ex)
{
    uint32_t max = window_max(h), size = ex->room < max ? (uint32_t)ex->room : max;

    if (size > ex->window.size) {
        ex->window.size = size;
        set_window(h, ex->stream_id, (int32_t)size);
    }
}

void h2_credit_taken(struct h2_session *h, struct exchange *ex, size_t n)
{
    int32_t id = ex->stream_id;

    ex->n_untold += n;
    if (ex->n_untold < STEP) {
        return;
    }
    n = ex->n_untold;
    ex->n_untold = 0;
    if (pfs_window_taken(&ex->window, n, &h->rtt, h->now_ns, window_max(h))) {
        int32_t size = (int32_t)ex->window.size;

        set_window(h, id, size);
        if (2 * size > nghttp2_session_get_effective_local_window_size(h->ng)) {
            set_window(h, 0, 2 * size);
        }
    }
    h2_done(h, nghttp2_session_consume_stream(h->ng, id, n));
}
