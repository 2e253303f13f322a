/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_H2_GUARD_H
#define AGFSD_H2_GUARD_H

/*
 * What a peer may do to an HTTP/2 connection without getting anything done: each frame that costs
 * us and brings nobody forward is counted. Pure: no session, no clock of its own.
 */
#include "limits.h"
#include <stdbool.h>
#include <stdint.h>

/* A bucket of tokens that refills with time. */
struct bucket {
    int64_t spent; /* in thousandths of a token */
    int64_t at_ms;
};

struct h2_guard {
    struct bucket resets, glitches; /* resets: of either side */
    uint64_t n_streams, n_data_sent, n_window_updates, n_priorities;
    int64_t settings_since_ms;
    unsigned n_settings;
    int64_t ping_ms; /* the last one; 0: none, or something useful has happened since */
    unsigned ping_strikes;
    unsigned reset_pings; /* that go with resets of the peer and have not come yet */
    unsigned n_goaways;
};

enum h2_event {
    H2_EV_PEER_RESET,
    H2_EV_OWN_RESET,
    H2_EV_EMPTY_DATA,
    H2_EV_WINDOW_UPDATE,
    H2_EV_PRIORITY,
    H2_EV_UNKNOWN,
    H2_EV_SETTINGS,
    H2_EV_PING,
    H2_EV_GOAWAY,
    H2_EV_STREAM,    /* useful: a request */
    H2_EV_DATA,      /* useful: body bytes came */
    H2_EV_DATA_SENT, /* useful */
};

/* Takes one token; false: none was left. */
bool bucket_take(struct bucket *b, int64_t burst, int64_t per_second, int64_t now_ms);
/* Notes an event. False: that was too much, end the connection with ENHANCE_YOUR_CALM. */
bool h2_guard_note(struct h2_guard *g, enum h2_event ev, int64_t now_ms);

#endif
