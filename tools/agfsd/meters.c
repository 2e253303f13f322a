/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "meters.h"
#include "base/clock.h"
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static const char *const names[N_METERS] = {
#define X(id, name) [METER_##id] = name,
    METER_TABLE(X)
#undef X
};

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER; /* of the states */
static struct meter_state states[N_METERS];
static _Atomic int64_t gauges[N_GAUGES];
static _Atomic int64_t gauge_limits[N_GAUGES]; /* 0: none */

/* Appends s, with what would break a line or a terminal as \xNN. */
static void add_escaped(char *dst, size_t cap, const char *s)
{
    size_t n = strlen(dst);

    for (; *s && n + 5 < cap; s++) {
        unsigned char c = (unsigned char)*s;

        n += (size_t)snprintf(dst + n, cap - n, c < ' ' || c >= 0x7f ? "\\x%02x" : "%c", c);
    }
}

void meter_peer(const struct client_key *key, const char *identity, char dst[METER_PEER_MAX])
{
    static const unsigned char v4[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

    dst[0] = '\0';
    if (key && memcmp(key->b, v4, sizeof v4) == 0) {
        inet_ntop(AF_INET, key->b + 12, dst, METER_PEER_MAX);
    } else if (key) {
        inet_ntop(AF_INET6, key->b, dst, METER_PEER_MAX);
    }
    if (identity) {
        add_escaped(dst, METER_PEER_MAX, dst[0] ? " " : "");
        add_escaped(dst, METER_PEER_MAX, identity);
    }
}

void meter_hit(enum meter m, const struct client_key *key, const char *identity)
{
    char peer[METER_PEER_MAX];

    meter_peer(key, identity, peer);
    pthread_mutex_lock(&mu);
    states[m].hits++;
    states[m].last_ns = pfs_wall_now();
    memcpy(states[m].peer, peer, sizeof peer);
    pthread_mutex_unlock(&mu);
}

void meter_read(enum meter m, struct meter_state *ret)
{
    pthread_mutex_lock(&mu);
    *ret = states[m];
    pthread_mutex_unlock(&mu);
    ret->name = names[m];
}

void gauge_add(enum gauge g, int64_t n)
{
    atomic_fetch_add_explicit(&gauges[g], n, memory_order_relaxed);
}

bool gauge_take(enum gauge g, int64_t n)
{
    int64_t max = atomic_load_explicit(&gauge_limits[g], memory_order_relaxed);

    if (atomic_fetch_add_explicit(&gauges[g], n, memory_order_relaxed) + n <= max || max == 0) {
        return true;
    }
    gauge_add(g, -n);
    return false;
}

bool gauge_is_full(enum gauge g)
{
    int64_t max = atomic_load_explicit(&gauge_limits[g], memory_order_relaxed);

    return max > 0 && gauge_read(g) >= max;
}

bool gauge_is_scarce(enum gauge g)
{
    int64_t max = atomic_load_explicit(&gauge_limits[g], memory_order_relaxed);

    return max > 0 && gauge_read(g) >= max / 4 * 3;
}

void gauge_set_limit(enum gauge g, int64_t max)
{
    atomic_store_explicit(&gauge_limits[g], max, memory_order_relaxed);
}

bool meter_may_log(const struct client_key *key)
{
    static struct {
        int64_t second;
        unsigned lines;
    } buckets[256]; /* under mu; addresses that share one share its lines */
    unsigned h = 0;

    for (unsigned i = 0; i < sizeof key->b; i++) {
        h = h * 31 + key->b[i];
    }
    int64_t second = pfs_now() / PFS_SEC;

    pthread_mutex_lock(&mu);
    unsigned b = h % 256;

    if (buckets[b].second != second) {
        buckets[b].second = second;
        buckets[b].lines = 0;
    }
    bool may = ++buckets[b].lines <= METER_LINES_PER_S;

    pthread_mutex_unlock(&mu);
    if (!may) {
        meter_hit(METER_LOG, key, NULL);
    }
    return may;
}

int64_t gauge_read(enum gauge g)
{
    return atomic_load_explicit(&gauges[g], memory_order_relaxed);
}
