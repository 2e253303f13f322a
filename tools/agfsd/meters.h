/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_METERS_H
#define AGFSD_METERS_H

/*
 * What the limits do: how often each has been hit and by whom last, and how much of what they bound
 * is in use. GET /api/v1/limits shows it. Of the process; any thread.
 */
#include "clients.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* id, name (that of the setting, where it is one) */
#define METER_TABLE(X)                                                                             \
    X(CONNECTIONS, "connections")                                                                  \
    X(PER_ADDRESS, "connections_per_address")                                                      \
    X(PER_IDENTITY, "connections_per_identity")                                                    \
    X(HANDSHAKES, "handshakes_per_address")                                                        \
    X(HANDSHAKE_TIME, "handshake_timeout")                                                         \
    X(TLS, "tls_refused")                                                                          \
    X(HEADER_TIME, "header_timeout")                                                               \
    X(HEADER_SIZE, "header_size")                                                                  \
    X(REQUEST, "malformed_requests")                                                               \
    X(BODY_RATE, "body_rate")                                                                      \
    X(BODY_SIZE, "max_request_body_bytes")                                                         \
    X(BODY_MEMORY, "body_memory")                                                                  \
    X(WRITE_STALL, "write_timeout")                                                                \
    X(STREAM_STALL, "stream_timeout")                                                              \
    X(IDLE, "idle_timeout")                                                                        \
    X(AGE, "connection_age")                                                                       \
    X(REQUESTS, "requests_waiting")                                                                \
    X(PEER_RESETS, "peer_resets")                                                                  \
    X(OWN_RESETS, "own_resets")                                                                    \
    X(GLITCHES, "odd_frames")                                                                      \
    X(CONTROL, "control_frames")                                                                   \
    X(SETTINGS_TIME, "settings_timeout")                                                           \
    X(DESCRIPTORS, "file_descriptors")                                                             \
    X(LOG, "log_lines_per_address")

enum meter {
#define X(id, name) METER_##id,
    METER_TABLE(X)
#undef X
        N_METERS
};

#define METER_PEER_MAX 320 /* address and identity of a peer as text */

/* One limit as it stands. */
struct meter_state {
    const char *name;
    uint64_t hits;
    int64_t last_ns;           /* wall clock; 0: never */
    char peer[METER_PEER_MAX]; /* of the last hit; "": never */
};

/* A limit was hit by that peer; either may be NULL. */
void meter_hit(enum meter m, const struct client_key *key, const char *identity);
void meter_read(enum meter m, struct meter_state *ret);
/* "203.0.113.7 uri:agfs:me", with everything unprintable escaped. */
void meter_peer(const struct client_key *key, const char *identity, char dst[METER_PEER_MAX]);

/* May another line about that address go to the log? At most METER_LINES_PER_S of them. */
#define METER_LINES_PER_S 100
bool meter_may_log(const struct client_key *key);

/* ---- how much is in use ---- */

enum gauge { GAUGE_CONNECTIONS, GAUGE_HANDSHAKES, GAUGE_BODY_MEMORY, N_GAUGES };

void gauge_add(enum gauge g, int64_t n);
/* Adds n > 0 unless that made it more than its limit. */
bool gauge_take(enum gauge g, int64_t n);
bool gauge_is_full(enum gauge g);
/* Three quarters of its limit are in use. */
bool gauge_is_scarce(enum gauge g);
/* Without it there is none. */
void gauge_set_limit(enum gauge g, int64_t max);
int64_t gauge_read(enum gauge g);

#endif
