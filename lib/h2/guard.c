/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Against peers that keep us busy with frames that bring nothing (reliability bar rows 58 and 60):
 * nghttp2 1.52 has no such limit of its own.
 */
#include "base/clock.h"
#include "h2/h2_internal.h"

static bool is_glitch(struct h2_session *h, const nghttp2_frame_hd *hd)
{
    struct h2_guard *g = &h->guard;

    switch (hd->type) {
    case NGHTTP2_WINDOW_UPDATE:
        /* Credit for what we sent is no glitch: some for each stream and each DATA frame. */
        return ++g->n_window_updates > 5 + 2 * (g->n_streams + 10 * g->n_data_sent);
    case NGHTTP2_RST_STREAM:
        /* It may cross with our own, or follow a reply that leaves a request unread: one each. */
        return !h2_exchange(h, hd->stream_id) && ++g->n_late_resets > g->n_streams;
    case NGHTTP2_GOAWAY: /* an end in order has two: a notice, and the last stream */
        return ++g->n_goaways > 2;
    case NGHTTP2_DATA:
    case NGHTTP2_HEADERS:
    case NGHTTP2_CONTINUATION: /* nghttp2 counts these itself */
        return false;
    default: /* PRIORITY, SETTINGS, PING, PUSH_PROMISE, unknown types */
        return true;
    }
}

bool h2_guard_frame(struct h2_session *h, const nghttp2_frame_hd *hd)
{
    struct h2_guard *g = &h->guard;

    if (hd->type == NGHTTP2_DATA && hd->length == 0 && !(hd->flags & NGHTTP2_FLAG_END_STREAM)) {
        if (++g->empty_data > H2_EMPTY_DATA_MAX) {
            h2_fatal(h, PFS_PROTOCOL, "the peer floods us with empty DATA frames");
            return false;
        }
    } else if (hd->type == NGHTTP2_DATA) {
        g->empty_data = 0;
    }
    if (!is_glitch(h, hd)) {
        return true;
    }
    int64_t refill = (h->now_ns - g->refilled_ns) / (PFS_SEC / H2_GLITCHES_PER_SEC);
    if (refill > 0) {
        g->level = (int64_t)g->level > refill ? g->level - (unsigned)refill : 0;
        g->refilled_ns = h->now_ns;
    }
    if (++g->level > H2_GLITCH_BURST) {
        h2_fatal(h, PFS_PROTOCOL, "the peer floods us with frames that bring nothing");
        return false;
    }
    return true;
}
