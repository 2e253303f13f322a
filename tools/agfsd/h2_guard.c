/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "h2_guard.h"

bool bucket_take(struct bucket *b, int64_t burst, int64_t per_second, int64_t now_ms)
{
    b->spent -= (now_ms - b->at_ms) * per_second;
    b->at_ms = now_ms;
    if (b->spent < 0) {
        b->spent = 0;
    }
    if (b->spent + 1000 > burst * 1000) {
        return false;
    }
    b->spent += 1000;
    return true;
}

static bool glitch(struct h2_guard *g, int64_t now_ms)
{
    return bucket_take(&g->glitches, H2_GLITCH_BURST, H2_GLITCH_RATE, now_ms);
}

static bool note_settings(struct h2_guard *g, int64_t now_ms)
{
    if (now_ms - g->settings_since_ms >= 60000) {
        g->settings_since_ms = now_ms;
        g->n_settings = 0;
    }
    return ++g->n_settings <= H2_SETTINGS_PER_MIN;
}

static bool note_reset(struct h2_guard *g, int64_t now_ms)
{
    return bucket_take(&g->resets, H2_RESET_BURST, H2_RESET_RATE, now_ms);
}

/*
 * Who gives a request up asks with a PING whether the connection stands, and with another one when
 * the server knows of it, before it sends what depends on that. These belong to the reset, which
 * has a bucket of its own.
 */
static bool note_ping(struct h2_guard *g, int64_t now_ms)
{
    if (g->reset_pings > 0) {
        g->reset_pings--;
        return true;
    }
    bool soon = g->ping_ms != 0 && now_ms - g->ping_ms < H2_PING_WINDOW_MS;

    g->ping_ms = now_ms ? now_ms : 1;
    g->ping_strikes = soon ? g->ping_strikes + 1 : 0;
    return g->ping_strikes <= H2_PING_STRIKES;
}

static bool useful(struct h2_guard *g, uint64_t *counter)
{
    g->ping_ms = 0;
    ++*counter;
    return true;
}

bool h2_guard_note(struct h2_guard *g, enum h2_event ev, int64_t now_ms)
{
    switch (ev) {
    case H2_EV_PEER_RESET:
        g->reset_pings += g->reset_pings < H2_RESET_BURST ? H2_RESET_PINGS : 0;
        return note_reset(g, now_ms);
    case H2_EV_OWN_RESET: /* what makes us reset a stream costs as much as a reset */
        return note_reset(g, now_ms);
    case H2_EV_WINDOW_UPDATE: /* Envoy's formula: windows follow what we send */
        return ++g->n_window_updates <= 5 + 2 * (g->n_streams + 10 * g->n_data_sent) ||
               glitch(g, now_ms);
    case H2_EV_PRIORITY:
        return ++g->n_priorities <= 100 * (1 + g->n_streams) || glitch(g, now_ms);
    case H2_EV_GOAWAY: /* an end in order has two: a notice, and the last stream */
        return ++g->n_goaways <= 2 || glitch(g, now_ms);
    case H2_EV_EMPTY_DATA:
    case H2_EV_UNKNOWN:
        return glitch(g, now_ms);
    case H2_EV_SETTINGS:
        return note_settings(g, now_ms);
    case H2_EV_PING:
        return note_ping(g, now_ms);
    case H2_EV_STREAM:
        return useful(g, &g->n_streams);
    case H2_EV_DATA:
        g->ping_ms = 0;
        return true;
    case H2_EV_DATA_SENT:
        return useful(g, &g->n_data_sent);
    }
    return true;
}
