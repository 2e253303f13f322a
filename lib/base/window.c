/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/window.h"
#include "base/clock.h"

/* Less than this is over before a larger window could help. */
#define RTT_BYTES_MIN (128u << 10)
/* Between two PINGs: peers count those that seem to serve nothing. */
#define RTT_PAUSE_NS (100 * PFS_MS)

bool pfs_rtt_wants(struct pfs_rtt *r, size_t n, int64_t now_ns)
{
    r->bytes += n;
    if (r->asked_ns || r->bytes < RTT_BYTES_MIN || now_ns < r->next_ns) {
        return false;
    }
    r->asked_ns = now_ns;
    r->bytes = 0;
    return true;
}

/*
 * The least counts: what is above it was spent in queues, which a larger window would only make
 * longer. It rises slowly, should the path have become longer.
 */
void pfs_rtt_answered(struct pfs_rtt *r, int64_t now_ns)
{
    int64_t sample = now_ns - r->asked_ns;

    if (!r->asked_ns || sample <= 0) {
        return;
    }
    r->ns = r->ns && sample > r->ns ? r->ns + r->ns / 32 + 1 : sample;
    r->asked_ns = 0;
    r->next_ns = now_ns + RTT_PAUSE_NS;
}

bool pfs_window_taken(struct pfs_window *w, size_t n, const struct pfs_rtt *rtt, int64_t now_ns,
                      uint32_t max)
{
    if (rtt->ns == 0 || w->size >= max) {
        return false;
    }
    if (w->round_ns == 0) {
        w->round_ns = now_ns;
        return false;
    }
    int64_t took = now_ns - w->round_ns;

    w->taken += n;
    if (took < rtt->ns) {
        return false;
    }
    double in_one = (double)w->taken * (double)rtt->ns / (double)took;

    w->taken = 0;
    w->round_ns = now_ns;
    if (in_one < w->size / 2.0) {
        return false;
    }
    w->size = w->size > max / 2 ? max : 2 * w->size;
    return true;
}
