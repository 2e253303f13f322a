/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "limits.h"
#include "base/err.h"
#include "driver_options.h"
#include <stdlib.h>
#include <string.h>

static const struct limit {
    const char *name;
    size_t offset; /* of an unsigned, an int64_t or a size_t */
    enum limit_kind kind;
    int64_t least, most;
} rows[] = {
#define ROW(name, field, kind, least, most)                                                        \
    {                                                                                              \
        name, offsetof(struct server_limits, field), kind, least, most                             \
    }
#define MINUTES_MS (60 * 1000)
    ROW("connections", max_conns, LIMIT_COUNT, 1, 1000000),
    ROW("connections_per_address", max_conns_per_client, LIMIT_COUNT, 1, 1000000),
    ROW("connections_per_identity", max_conns_per_identity, LIMIT_COUNT, 1, 1000000),
    ROW("handshakes_per_address", max_handshakes_per_client, LIMIT_COUNT, 1, 1000000),
    ROW("requests_running", max_running, LIMIT_COUNT, 1, 10000),
    ROW("requests_waiting", max_waiting, LIMIT_COUNT, 0, 10000),
    ROW("body_memory", body_memory, LIMIT_BYTES, 1 << 20, INT64_MAX),
    ROW("handshake_timeout", handshake_ms, LIMIT_MS, 100, 10 * MINUTES_MS),
    ROW("header_timeout", header_ms, LIMIT_MS, 100, 10 * MINUTES_MS),
    ROW("settings_timeout", settings_ms, LIMIT_MS, 100, 10 * MINUTES_MS),
    ROW("write_timeout", write_stall_ms, LIMIT_MS, 100, 60 * MINUTES_MS),
    ROW("stream_timeout", stream_stall_ms, LIMIT_MS, 100, 60 * MINUTES_MS),
    ROW("idle_timeout_http1", idle_h1_ms, LIMIT_MS, 100, 24 * 60 * MINUTES_MS),
    ROW("idle_timeout_http2", idle_h2_ms, LIMIT_MS, 100, 24 * 60 * MINUTES_MS),
    ROW("certificate_poll", cert_poll_ms, LIMIT_MS, 100, 24 * 60 * MINUTES_MS),
    ROW("connection_age", max_age_ms, LIMIT_MS, 1000, (int64_t)366 * 24 * 60 * MINUTES_MS),
    ROW("connection_age_grace", age_grace_ms, LIMIT_MS, 100, 60 * MINUTES_MS),
    ROW("drain_timeout", drain_ms, LIMIT_MS, 100, 60 * MINUTES_MS),
    ROW("spin_us", spin_us, LIMIT_COUNT, 0, 1000),
#undef ROW
};
#define N_ROWS (sizeof rows / sizeof *rows)

/* Milliseconds of "250ms", "30s", "5m", "1h"; a plain number means seconds. -1: none of these. */
static int64_t read_time(const char *s)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", MINUTES_MS}, {"h", 60 * MINUTES_MS}};
    char *unit;
    int64_t n = *s >= '0' && *s <= '9' ? strtoll(s, &unit, 10) : -1;

    for (size_t i = 0; n >= 0 && i < sizeof units / sizeof *units; i++) {
        if (strcmp(unit, units[i].name) == 0 && n <= INT64_MAX / units[i].ms) {
            return n * units[i].ms;
        }
    }
    return -1;
}

static int64_t read_number(const struct limit *l, const char *value)
{
    const struct pfs_option option = {l->name, value};
    uint64_t n = 0;

    if (l->kind == LIMIT_MS) {
        return read_time(value);
    }
    return option_size(&option, 1, l->name, 0, &n, NULL) == PFS_OK && n <= INT64_MAX ? (int64_t)n
                                                                                     : -1;
}

enum pfs_class limits_set(struct server_limits *limits, const char *name, const char *value,
                          struct pfs_error *err)
{
    const struct limit *l = rows;

    while (l < rows + N_ROWS && strcmp(l->name, name) != 0) {
        l++;
    }
    if (l == rows + N_ROWS) {
        return pfs_refuse(err, PFS_CONFIG, "limits.%s: unknown key", name);
    }
    int64_t n = read_number(l, value);
    char *field = (char *)limits + l->offset;

    if (n < l->least || n > l->most) {
        return pfs_refuse(err, PFS_CONFIG, "limits.%s: '%s' is no %s in range", name, value,
                          l->kind == LIMIT_MS      ? "time"
                          : l->kind == LIMIT_BYTES ? "size"
                                                   : "number");
    }
    switch (l->kind) {
    case LIMIT_COUNT:
        *(unsigned *)(void *)field = (unsigned)n;
        break;
    case LIMIT_MS:
        *(int64_t *)(void *)field = n;
        break;
    case LIMIT_BYTES:
        *(size_t *)(void *)field = (size_t)n;
        break;
    }
    return PFS_OK;
}

void limits_each(const struct server_limits *limits, limit_fn *fn, void *arg)
{
    for (const struct limit *l = rows; l < rows + N_ROWS; l++) {
        const char *field = (const char *)limits + l->offset;
        int64_t n = 0;

        switch (l->kind) {
        case LIMIT_COUNT:
            n = *(const unsigned *)(const void *)field;
            break;
        case LIMIT_MS:
            n = *(const int64_t *)(const void *)field;
            break;
        case LIMIT_BYTES:
            n = (int64_t) * (const size_t *)(const void *)field;
            break;
        }
        fn(arg, l->name, l->kind, n);
    }
}
