/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* GET /metrics: what the server does, as Prometheus reads it. No label is a path or a peer. */
#include "api.h"
#include "base/buf.h"
#include "base/clock.h"
#include "meters.h"
#include <inttypes.h>
#include <proxyfs/proxyfs.h>
#include <stdatomic.h>

/* Statuses that are answered; the last stands for all others. */
static const int codes[] = {200, 201, 206, 400, 403, 404, 405, 409, 410, 412,
                            413, 416, 500, 501, 502, 503, 504, 507, 508, 0};
#define N_CODES (sizeof codes / sizeof *codes)

/* Upper bounds of a request's duration, in microseconds and as text. */
static const struct {
    int64_t us;
    const char *text;
} bounds[] = {{250, "0.00025"}, {1000, "0.001"}, {5000, "0.005"}, {25000, "0.025"},
              {100000, "0.1"},  {1000000, "1"},  {10000000, "10"}};
#define N_BOUNDS (sizeof bounds / sizeof *bounds)

/* Of one operation; the last row: of requests that are none (or were refused before). */
static struct {
    _Atomic uint64_t by_code[N_CODES];
    _Atomic uint64_t by_bound[N_BOUNDS + 1]; /* each request once; the last: longer than all */
    _Atomic uint64_t sum_us;
} counts[PFS_N_OPS + 1];

static void add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static uint64_t get(_Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void api_count(const struct api_call *c, int status)
{
    size_t op = c->has_op ? c->req.op : PFS_N_OPS, code = 0, bound = 0;
    int64_t us = (pfs_now() - c->since_ns) / 1000;

    while (code < N_CODES - 1 && codes[code] != status) {
        code++;
    }
    while (bound < N_BOUNDS && us > bounds[bound].us) {
        bound++;
    }
    add(&counts[op].by_code[code], 1);
    add(&counts[op].by_bound[bound], 1);
    add(&counts[op].sum_us, (uint64_t)us);
}

/* The answer as it grows; a line that found no memory must not be missing from it. */
struct page {
    struct pfs_buf text;
    bool cut;
};
#define SAY(p, ...) ((p)->cut |= !pfs_buf_printf(&(p)->text, __VA_ARGS__))

static const char *op_name(size_t op)
{
    return op < PFS_N_OPS ? pfs_op_name((enum pfs_op)op) : "other";
}

static void put_head(struct page *p, const char *name, const char *type, const char *help)
{
    SAY(p, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_requests(struct page *p)
{
    put_head(p, "agfs_requests_total", "counter", "Requests answered, by operation and status.");
    for (size_t op = 0; op <= PFS_N_OPS; op++) {
        for (size_t i = 0; i < N_CODES; i++) {
            uint64_t n = get(&counts[op].by_code[i]);

            if (n > 0) {
                SAY(p, "agfs_requests_total{op=\"%s\",code=\"%d\"} %" PRIu64 "\n", op_name(op),
                    codes[i], n);
            }
        }
    }
}

static void put_durations(struct page *p)
{
    static const char name[] = "agfs_request_duration_seconds";

    put_head(p, name, "histogram", "From a request's header to its answer.");
    for (size_t op = 0; op <= PFS_N_OPS; op++) {
        uint64_t n = 0, sum_us = get(&counts[op].sum_us), below[N_BOUNDS + 1];

        for (size_t i = 0; i <= N_BOUNDS; i++) {
            below[i] = n += get(&counts[op].by_bound[i]);
        }
        for (size_t i = 0; i <= N_BOUNDS && n > 0; i++) {
            SAY(p, "%s_bucket{op=\"%s\",le=\"%s\"} %" PRIu64 "\n", name, op_name(op),
                i < N_BOUNDS ? bounds[i].text : "+Inf", below[i]);
        }
        if (n > 0) {
            SAY(p, "%s_sum{op=\"%s\"} %" PRIu64 ".%06" PRIu64 "\n", name, op_name(op),
                sum_us / 1000000, sum_us % 1000000);
            SAY(p, "%s_count{op=\"%s\"} %" PRIu64 "\n", name, op_name(op), n);
        }
    }
}

static void put_gauge(struct page *p, const char *name, const char *help, int64_t value)
{
    put_head(p, name, "gauge", help);
    SAY(p, "%s %" PRId64 "\n", name, value);
}

static void put_limits(struct page *p, const struct server_limits *l)
{
    put_gauge(p, "agfs_connections", "Open connections.", gauge_read(GAUGE_CONNECTIONS));
    put_gauge(p, "agfs_connections_max", "Their limit.", l->max_conns);
    put_gauge(p, "agfs_handshakes", "TLS handshakes under way.", gauge_read(GAUGE_HANDSHAKES));
    put_gauge(p, "agfs_body_memory_bytes", "Bodies in memory, of requests and responses.",
              gauge_read(GAUGE_BODY_MEMORY));
    put_gauge(p, "agfs_body_memory_max_bytes", "Their limit.", (int64_t)l->body_memory);
    put_head(p, "agfs_limit_hits_total", "counter", "How often each limit was hit.");
    for (unsigned m = 0; m < N_METERS; m++) {
        struct meter_state s;

        meter_read((enum meter)m, &s);
        SAY(p, "agfs_limit_hits_total{limit=\"%s\"} %" PRIu64 "\n", s.name, s.hits);
    }
}

static void count_mount(void *arg, const struct mount_info *m)
{
    ((int64_t *)arg)[m->state == MOUNT_PENDING ? 0 : m->state == MOUNT_FAILED ? 1 : 2]++;
}

static void put_mounts(struct page *p, struct vfs *v)
{
    static const char *const states[] = {"pending", "failed", "mounted"};
    int64_t n[3] = {0};

    vfs_each_mount(v, count_mount, n);
    put_head(p, "agfs_mounts", "gauge", "Mounts, by state.");
    for (size_t i = 0; i < 3; i++) {
        SAY(p, "agfs_mounts{state=\"%s\"} %" PRId64 "\n", states[i], n[i]);
    }
}

void api_metrics(struct api_call *c)
{
    struct page page = {0}, *p = &page;
    size_t len = 0;

    put_head(p, "agfs_build_info", "gauge", "Always 1.");
    SAY(p, "agfs_build_info{version=\"%s\"} 1\n", PFS_VERSION);
    put_requests(p);
    put_durations(p);
    put_limits(p, c->api->limits);
    put_mounts(p, c->api->vfs);
    char *body = p->cut ? NULL : pfs_buf_take(&p->text, &len);

    pfs_buf_fini(&p->text);
    if (body) {
        api_respond_bytes(c, "text/plain; version=0.0.4; charset=utf-8", body, len);
    } else {
        api_refuse(c, PFS_NOMEM, "out of memory for a reply");
    }
}
