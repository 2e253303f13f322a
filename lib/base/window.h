/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_BASE_WINDOW_H
#define PFS_BASE_WINDOW_H

/*
 * Receive windows that follow bandwidth x delay. The round trip is measured by PINGs while content
 * comes in; a window doubles when its consumer takes half of it or more in one round trip, for then
 * the window, not the path, may be what limits. A consumer that is slow never gets more. Pure: no
 * session, no clock. Not for sharing between threads.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A zeroed one is ready. */
struct pfs_rtt {
    int64_t ns;       /* 0: not known yet */
    int64_t asked_ns; /* when the PING left that was not answered, 0: none */
    int64_t next_ns;  /* no PING before */
    uint64_t bytes;   /* received since the last one */
};

/* n bytes of content came; true: send a PING now. */
bool pfs_rtt_wants(struct pfs_rtt *r, size_t n, int64_t now_ns);
/* Its answer came. */
void pfs_rtt_answered(struct pfs_rtt *r, int64_t now_ns);

/* Set `size` to what was granted first, the rest to zero. */
struct pfs_window {
    uint32_t size;
    uint64_t taken;   /* by the consumer in this round */
    int64_t round_ns; /* its begin, 0: none yet */
};

/* The consumer took n bytes; true: size has doubled, up to max (0 < size <= max). */
bool pfs_window_taken(struct pfs_window *w, size_t n, const struct pfs_rtt *rtt, int64_t now_ns,
                      uint32_t max);

#endif
