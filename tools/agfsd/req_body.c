/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/alloc.h"
#include "base/err.h"
#include "conn.h"
#include "req.h"
#include "stream_io.h"
#include <string.h>

/*
 * The body of a request on its way in: collected into one block, pumped into a stream, or thrown
 * away. Bytes wait in r->body until their consumer takes them; only then does the peer get credit,
 * so the protocols' windows bound what waits.
 */
#define FIRST_ROOM (64 * 1024) /* a declared length alone does not make us allocate more */
/* What comes in while a sink writes waits in blocks of this size, which are written one by one: a
 * single one that grows would be copied each time, and be given back to the system. */
#define PUMP_BLOCK (512 * 1024)

static const struct pfs_error ok;
static const char client_ended[] = "the client ended before its request was complete";
const char req_too_slow[] = "the request body came too slowly";
static const char no_room[] = "too many request bodies are in memory; nothing has changed";

/* ---- the memory of all bodies together, those of responses included ---- */

void http_body_freed(size_t len)
{
    if (len > 0) {
        gauge_add(GAUGE_BODY_MEMORY, -(int64_t)len);
    }
}

bool http_body_room(struct http_req *r)
{
    bool full = gauge_is_full(GAUGE_BODY_MEMORY);

    if (full && r->conn) {
        conn_trip(r->conn, METER_BODY_MEMORY);
    }
    return !full;
}

/* Of a body that is pumped. */
struct body_block {
    struct list node;
    size_t len;
    char bytes[];
};

static void drop_blocks(struct http_req *r)
{
    struct list *node;

    while ((node = list_take_first(&r->blocks))) {
        pfs_free(list_entry(node, struct body_block, node));
    }
    r->n_blocked = 0;
}

size_t req_body_waiting(const struct http_req *r)
{
    return pfs_buf_len(&r->body) + r->n_blocked;
}

void req_body_drop(struct http_req *r)
{
    http_body_freed(req_body_waiting(r));
    pfs_buf_fini(&r->body);
    drop_blocks(r);
}

static bool add_to_blocks(struct http_req *r, const char *p, size_t n)
{
    while (n > 0) {
        struct body_block *last =
            list_is_empty(&r->blocks) ? NULL : list_entry(r->blocks.prev, struct body_block, node);

        if (!last || last->len == PUMP_BLOCK) {
            last = pfs_malloc(sizeof *last + PUMP_BLOCK);
            if (!last) {
                return false;
            }
            last->len = 0;
            list_init(&last->node);
            list_append(&r->blocks, &last->node);
        }
        size_t part = PUMP_BLOCK - last->len < n ? PUMP_BLOCK - last->len : n;

        memcpy(last->bytes + last->len, p, part);
        last->len += part;
        r->n_blocked += part;
        p += part;
        n -= part;
    }
    return true;
}

/* Keeps n bytes. False: there is no room for them. */
static bool keep(struct http_req *r, const char *p, size_t n)
{
    if (!gauge_take(GAUGE_BODY_MEMORY, (int64_t)n)) {
        return false;
    }
    size_t before = r->n_blocked;
    bool kept = r->body_mode == BODY_PUMP ? add_to_blocks(r, p, n) : pfs_buf_add(&r->body, p, n);

    if (!kept) {
        http_body_freed(n - (r->n_blocked - before));
    }
    return kept;
}

/* ---- ends ---- */

/* Bytes that nobody will look at. */
static void drop_waiting(struct http_req *r)
{
    size_t n = req_body_waiting(r);

    req_body_drop(r);
    if (n && !r->gone) {
        r->ops->body_taken(r, n);
    }
}

/* Reports the end to the API's callback, which may answer the request from inside. */
static void body_over(struct http_req *r, const struct pfs_error *err)
{
    enum body_mode mode = r->body_mode;
    char *block = NULL;
    size_t len = 0;
    struct pfs_error nomem;

    r->body_mode = BODY_OVER;
    if (mode == BODY_COLLECT) {
        if (err->cls == PFS_OK && pfs_buf_len(&r->body) > 0) {
            block = pfs_buf_take(&r->body, &len);
            if (!block) { /* it is still there, and dropped below */
                pfs_nomem(&nomem, "request body");
                err = &nomem;
                len = 0;
            }
        }
        req_body_drop(r); /* its credit was given as it came */
        r->on_collected(r->body_arg, block, len, err);
    } else {
        stream_io_free(r->io);
        r->io = NULL;
        drop_waiting(r);
        r->on_pumped(r->body_arg, (size_t)r->body_moved, err);
    }
    req_settle(r);
}

static void body_fail(struct http_req *r, enum pfs_class cls, const char *text)
{
    struct pfs_error err;

    pfs_fail(&err, cls, PFS_OUTCOME_NA, PFS_PHASE_LOCAL, "%s", text);
    err.http_status = cls != PFS_TRUNCATED ? 0 : text == req_too_slow ? 408 : 400;
    body_over(r, &err);
}

/* The body will never be complete: for want of room here, or because the client is gone. */
static void fail_broken(struct http_req *r)
{
    r->body_broken = true;
    body_fail(r, r->body_why == no_room ? PFS_OVERLOAD : PFS_TRUNCATED,
              r->body_why ? r->body_why : client_ended);
}

static void fail_too_big(struct http_req *r)
{
    struct pfs_error err;

    r->body_broken = true; /* the connection is of no further use */
    if (r->conn) {
        conn_trip(r->conn, METER_BODY_SIZE);
    }
    pfs_refuse(&err, PFS_TOOBIG, "request body exceeds maximum size of %lld bytes",
               (long long)r->body_max);
    body_over(r, &err);
}

/*
 * Bodies take all the memory that they may have. Nothing of this one has been applied, and it may
 * come again. While nobody has asked for it yet, it fails when somebody does.
 */
static void fail_no_room(struct http_req *r)
{
    conn_trip(r->conn, METER_BODY_MEMORY);
    r->body_why = no_room;
    req_body_fail(r, no_room);
}

/* ---- pumping ---- */

static void on_sink_wrote(void *arg, size_t n, const struct pfs_error *err);

/* Hands the sink what came first; the blocks go to it one by one, memory included. */
static void write_some(struct http_req *r)
{
    r->sink_busy = true;
    if (pfs_buf_len(&r->body)) { /* from the time before it was asked for */
        struct pfs_buf b = r->body;

        r->body = (struct pfs_buf){0};
        r->body_in_sink = pfs_buf_len(&b);
        stream_io_write(r->io, b.mem, b.start, r->body_in_sink, on_sink_wrote, r);
        return;
    }
    struct body_block *first = list_entry(list_take_first(&r->blocks), struct body_block, node);

    r->n_blocked -= first->len;
    r->body_in_sink = first->len;
    stream_io_write(r->io, (char *)first, offsetof(struct body_block, bytes), first->len,
                    on_sink_wrote, r);
}

/* Goes on with whatever is due: write what waits, or report the end. */
static void pump(struct http_req *r)
{
    size_t n = req_body_waiting(r);

    if (r->sink_busy || r->body_mode != BODY_PUMP) {
        return;
    }
    if (r->body_max >= 0 && r->body_received > r->body_max) {
        fail_too_big(r);
    } else if (r->body_broken || r->gone) { /* gone before the commit point: nothing is applied */
        fail_broken(r);
    } else if (n) {
        write_some(r);
    } else if (r->body_ended) {
        body_over(r, &ok);
    }
}

static void on_sink_wrote(void *arg, size_t n, const struct pfs_error *err)
{
    struct http_req *r = arg;

    r->sink_busy = false;
    http_body_freed(r->body_in_sink);
    r->body_check_ms = loop_now_ms(r->loop); /* the time until now was the sink's */
    r->body_check_bytes = r->body_received;
    if (err->cls != PFS_OK) {
        struct pfs_error copy = *err; /* err may live in r->io, which goes */

        body_over(r, &copy);
        return;
    }
    r->body_moved += (int64_t)n;
    if (!r->gone) {
        r->ops->body_taken(r, n);
    }
    pump(r);
}

void req_pump_fed(struct loop *l)
{
    struct list *node;

    while ((node = list_take_first(&l->fed))) {
        pump(list_entry(node, struct http_req, fed));
    }
}

/* ---- from the protocol ---- */

void req_on_body(struct http_req *r, const char *p, size_t n)
{
    r->body_received += (int64_t)n;
    if (r->body_mode == BODY_OVER || r->answered) {
        r->ops->body_taken(r, n);
        return;
    }
    if (!keep(r, p, n)) {
        r->ops->body_taken(r, n);
        fail_no_room(r);
        return;
    }
    if (r->body_mode == BODY_UNASKED) {
        return;
    }
    if (r->body_mode == BODY_PUMP) {
        if (!r->sink_busy && list_is_empty(&r->fed)) {
            list_append(&r->loop->fed, &r->fed);
        }
        return;
    }
    r->ops->body_taken(r, n);
    if (r->body_received > r->body_max) {
        fail_too_big(r);
    }
}

void req_on_body_end(struct http_req *r)
{
    r->body_ended = true;
    if (r->content_length >= 0 && r->body_received != r->content_length) {
        req_body_fail(r, "request body and content-length differ");
    } else if (r->body_mode == BODY_COLLECT) {
        body_over(r, &ok);
    } else {
        pump(r);
    }
}

void req_body_fail(struct http_req *r, const char *why)
{
    r->body_broken = true;
    r->body_why = r->body_why ? r->body_why : why;
    if (r->body_mode == BODY_COLLECT) {
        fail_broken(r);
    } else {
        pump(r);
    }
}

void req_body_gone(struct http_req *r)
{
    req_body_fail(r, client_ended);
    if (!r->sink_busy) {
        req_body_drop(r);
    }
}

bool req_body_is_slow(struct http_req *r, int64_t now_ms)
{
    const struct server_limits *lim = r->loop->limits;

    if (r->body_ended || r->sink_busy || r->body_mode == BODY_UNASKED || r->expects) {
        r->body_check_ms = now_ms;
        r->body_check_bytes = r->body_received;
        return false;
    }
    if (now_ms - r->body_check_ms < lim->body_window_ms) {
        return false;
    }
    bool slow = r->body_received - r->body_check_bytes < lim->body_min;

    r->body_check_ms = now_ms;
    r->body_check_bytes = r->body_received;
    return slow;
}

/* ---- from the API ---- */

/* What has come while nobody asked, and what will come. */
static void body_begin(struct http_req *r)
{
    r->body_check_ms = loop_now_ms(r->loop);
    r->body_check_bytes = r->body_received;
    if (r->body_max >= 0 && (r->content_length > r->body_max || r->body_received > r->body_max)) {
        fail_too_big(r);
        return;
    }
    if (r->body_broken || r->gone) {
        fail_broken(r);
        return;
    }
    if (!r->body_ended) {
        r->ops->body_wanted(r);
    }
    if (r->body_mode == BODY_PUMP) {
        pump(r);
        return;
    }
    size_t waiting = pfs_buf_len(&r->body);

    if (waiting) {
        r->ops->body_taken(r, waiting);
    }
    if (r->body_ended) {
        body_over(r, &ok);
    } else if (r->content_length > (int64_t)waiting) {
        int64_t want = r->content_length - (int64_t)waiting + 1;

        (void)pfs_buf_room(&r->body, want < FIRST_ROOM ? (size_t)want : FIRST_ROOM);
    }
}

void http_collect_body(struct http_req *r, size_t max, http_body_fn *done, void *arg)
{
    r->body_mode = BODY_COLLECT;
    r->body_max = max > INT64_MAX ? INT64_MAX : (int64_t)max;
    r->on_collected = done;
    r->body_arg = arg;
    body_begin(r);
}

void http_pump_body(struct http_req *r, struct pfs_stream *sink, int64_t max, pfs_io_fn *done,
                    void *arg)
{
    struct pfs_error err;

    r->io = stream_io_new(r->loop, sink);
    if (!r->io) {
        pfs_nomem(&err, "request body");
        r->body_mode = BODY_OVER;
        drop_waiting(r);
        done(arg, 0, &err);
        return;
    }
    r->body_mode = BODY_PUMP;
    r->body_max = max;
    r->on_pumped = done;
    r->body_arg = arg;
    body_begin(r);
}
