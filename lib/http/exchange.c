/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* The exchange's own bookkeeping; called by the sessions of h2 and h1 and by conn. */
#include "http/exchange.h"
#include "base/alloc.h"
#include "base/err.h"
#include "base/reply.h"
#include <stdlib.h>
#include <string.h>

/* Reliability bar C: the advertised limit is not enforced by nghttp2, so it is counted here. */
#define HEADER_BYTES_MAX (64u << 10)
#define HEADER_FIELDS_MAX 128
/* A peer may send some 1xx replies (103 hints); without end they are an attack. */
#define INFORMATIONAL_MAX 16
/* A peer that says it will send more gets room as it does. */
#define ROOM_MAX (64 << 20)
/* So much is sent to a peer that has not taken the request: its first window, 64 KiB as a rule. */
#define KEPT_MAX (256u << 10)

/* As before the first field; what follows the end of a string does not matter. */
static void forget_head(struct reply_head *h)
{
    h->status = 0;
    h->content_length = h->range_first = h->range_last = h->range_total = -1;
    h->content_type[0] = h->content_encoding[0] = h->retry_after[0] = '\0';
    h->boot[0] = h->etag[0] = '\0';
}

void exchange_init(struct exchange *ex)
{
    memset(ex, 0, offsetof(struct exchange, head));
    pfs_error_init(&ex->err);
    list_init(&ex->node);
    list_init(&ex->ready);
    forget_head(&ex->head);
    ex->body_stream_len = ex->range_first = ex->range_last = -1;
}

static void forget_kept(struct exchange *ex)
{
    if (ex->kept) {
        pfs_buf_fini(ex->kept);
        pfs_free(ex->kept);
        ex->kept = NULL;
    }
}

void exchange_fini(struct exchange *ex)
{
    pfs_buf_fini(&ex->reply);
    forget_kept(ex);
}

void exchange_take_offer(struct exchange *ex)
{
    if (atomic_exchange(&ex->is_offered, false)) {
        ex->chunk = ex->offer;
    }
}

static size_t n_kept(const struct exchange *ex)
{
    return ex->kept ? pfs_buf_len(ex->kept) : 0;
}

struct http_chunk exchange_body_left(const struct exchange *ex)
{
    size_t kept = n_kept(ex);

    if (!ex->body_stream) {
        const char *body = ex->body;

        return (struct http_chunk){body ? body + ex->body_sent : NULL, ex->body_len - ex->body_sent,
                                   true};
    }
    if (ex->body_sent < kept) {
        return (struct http_chunk){pfs_buf_data(ex->kept) + ex->body_sent, kept - ex->body_sent,
                                   ex->chunk.last && ex->chunk.n == 0};
    }
    return ex->chunk;
}

/* Copies n bytes that follow what is kept already; no memory: nothing is kept any more. */
static void keep_body(struct exchange *ex, const char *at, size_t n)
{
    if (!ex->kept && ex->body_sent == 0) {
        ex->kept = pfs_calloc(1, sizeof *ex->kept);
    }
    if (ex->kept && (ex->body_sent + n > KEPT_MAX || !pfs_buf_add(ex->kept, at, n))) {
        forget_kept(ex);
    }
}

bool exchange_body_sent(struct exchange *ex, size_t n, bool keep)
{
    bool again = ex->body_stream && ex->body_sent < n_kept(ex);

    if (ex->body_stream && !again) {
        if (keep) {
            keep_body(ex, ex->chunk.at, n);
        }
        ex->chunk.at += n;
        ex->chunk.n -= n;
    }
    ex->body_sent += n;
    return ex->body_stream && !again && ex->chunk.n == 0 && n > 0;
}

bool exchange_has_body(const struct exchange *ex)
{
    return !ex->body_stream || ex->body_sent <= n_kept(ex);
}

void exchange_rewind(struct exchange *ex)
{
    ex->body_sent = 0;
    ex->header_sent = ex->request_sent = false;
    ex->stream_id = 0;
    ex->local_reset = false;
    ex->failure = FAILURE_NONE;
    pfs_error_init(&ex->err);
    ex->n_moves++;
}

bool exchange_add_field(struct exchange *ex, const char *name, const char *value,
                        enum hpack_use hpack)
{
    if (ex->n_fields == EXCHANGE_MAX_FIELDS) {
        return false;
    }
    ex->fields[ex->n_fields++] = (struct http_field){name, value, hpack};
    return true;
}

/* Three digits, 100 to 999; 0: not a status. */
static int parse_status(const char *s, size_t n)
{
    int status = 0;

    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9') {
            return 0;
        }
        status = status * 10 + (s[i] - '0');
    }
    return n == 3 && status >= 100 ? status : 0;
}

static bool parse_length(const char *s, size_t n, int64_t *ret)
{
    int64_t v = 0;

    if (n == 0 || n > 18) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9') {
            return false;
        }
        v = v * 10 + (s[i] - '0');
    }
    *ret = v;
    return true;
}

/* "bytes FIRST-LAST/TOTAL"; other forms are as none. */
static void parse_range(struct reply_head *h, const char *s, size_t n)
{
    const char *dash = memchr(s, '-', n), *slash = memchr(s, '/', n), *end = s + n;
    int64_t first, last, total;

    if (n > 6 && memcmp(s, "bytes ", 6) == 0 && dash && slash && dash < slash &&
        parse_length(s + 6, (size_t)(dash - s) - 6, &first) &&
        parse_length(dash + 1, (size_t)(slash - dash) - 1, &last) &&
        parse_length(slash + 1, (size_t)(end - slash) - 1, &total) && first <= last &&
        last < total) {
        h->range_first = first;
        h->range_last = last;
        h->range_total = total;
    }
}

/* Fields kept as text, by the length of their names: all differ, and most fields are not wanted. */
static const struct text_field {
    const char *name;
    size_t at, cap;
    bool is_cut; /* too long a value is kept in part, as "absent" would be taken for "as usual" */
} text_fields[] = {
#define TEXT_FIELD(name, member, is_cut)                                                           \
    [sizeof name - 1] = {name, offsetof(struct reply_head, member),                                \
                         sizeof((struct reply_head *)0)->member, is_cut}
    TEXT_FIELD("etag", etag, false),
    TEXT_FIELD("agfs-boot", boot, false),
    TEXT_FIELD("retry-after", retry_after, false),
    TEXT_FIELD("content-type", content_type, true),
    TEXT_FIELD("content-encoding", content_encoding, true),
#undef TEXT_FIELD
};

static void keep_text(struct reply_head *h, const char *name, size_t name_len, const char *value,
                      size_t n)
{
    if (name_len >= sizeof text_fields / sizeof *text_fields) {
        return;
    }
    const struct text_field *f = &text_fields[name_len];
    if (!f->name || memcmp(name, f->name, name_len) != 0) {
        return;
    }
    if (n >= f->cap && f->is_cut) {
        n = f->cap - 1;
    }
    if (n < f->cap) {
        char *dst = (char *)h + f->at;

        memcpy(dst, value, n);
        dst[n] = '\0';
    }
}

#define IS(literal) (name_len == sizeof literal - 1 && memcmp(name, literal, name_len) == 0)

enum pfs_class exchange_on_field(struct exchange *ex, const char *name, size_t name_len,
                                 const char *value, size_t value_len)
{
    struct reply_head *h = &ex->head;

    ex->n_header_bytes += name_len + value_len + 32; /* as RFC 9113 section 10.5.1 counts */
    ex->n_header_fields++;
    if (ex->n_header_bytes > HEADER_BYTES_MAX || ex->n_header_fields > HEADER_FIELDS_MAX) {
        return PFS_LIMIT;
    }
    if (IS(":status")) {
        h->status = parse_status(value, value_len);
        return h->status ? PFS_OK : PFS_PROTOCOL;
    }
    if (IS("content-length")) {
        return parse_length(value, value_len, &h->content_length) ? PFS_OK : PFS_PROTOCOL;
    }
    if (IS("content-range")) {
        parse_range(h, value, value_len);
    } else {
        keep_text(h, name, name_len, value, value_len);
    }
    return PFS_OK;
}

const char *exchange_field_fault(enum pfs_class cls)
{
    return cls == PFS_LIMIT
               ? "the reply's header is larger than 64 KiB or 128 fields, or has no end"
               : "the reply's header is malformed";
}

bool exchange_on_header_end(struct exchange *ex)
{
    if (ex->head.status >= 200) {
        ex->header_ended = true;
        return true;
    }
    ex->n_informational++;
    forget_head(&ex->head);
    if (ex->n_informational > INFORMATIONAL_MAX) {
        ex->n_header_bytes = HEADER_BYTES_MAX; /* the next field is LIMIT */
    }
    return false;
}

/*
 * Room for all that is to come, and a NUL, when the length is known: growing in steps copies, and
 * touches twice the memory. A claim alone takes up no pages; where there is no room for all of it,
 * there may be some for what is there.
 */
static void make_room(struct exchange *ex, size_t n)
{
    int64_t rest = ex->head.content_length - ex->body_received;

    if (rest >= 0 && rest <= ROOM_MAX) {
        pfs_buf_room(&ex->reply, n + (size_t)rest + 1);
    }
}

/* The status says what happened, and the body at most why: no result, whatever its length. */
static bool is_explanation(const struct exchange *ex)
{
    return ex->head.status >= 300 || ex->reply_stream;
}

static enum pfs_class add_explanation(struct exchange *ex, const void *data, size_t n)
{
    size_t room = EXCHANGE_ERROR_BODY_MAX - pfs_buf_len(&ex->reply);

    ex->reply_cut = n > room;
    return pfs_buf_add(&ex->reply, data, n < room ? n : room) ? PFS_OK : PFS_NOMEM;
}

static enum pfs_class add_body(struct exchange *ex, const void *data, size_t n)
{
    bool streamed = exchange_is_streamed(ex);

    ex->body_received += (int64_t)n;
    if (!streamed && is_explanation(ex)) {
        return add_explanation(ex, data, n);
    }
    if (!streamed && pfs_buf_len(&ex->reply) + n > ex->reply_max) {
        return PFS_LIMIT;
    }
    if (!streamed) {
        make_room(ex, n);
    }
    return pfs_buf_add(&ex->reply, data, n) ? PFS_OK : PFS_NOMEM;
}

enum pfs_class exchange_on_body(struct exchange *ex, const void *data, size_t n)
{
    enum pfs_class cls = add_body(ex, data, n);
    struct pfs_error why;

    if (cls != PFS_OK) {
        pfs_fail(&why, cls, PFS_OUTCOME_AP, PFS_PHASE_BODY,
                 cls == PFS_LIMIT
                     ? "the reply is longer than %zu bytes; read it as a stream or in parts"
                     : "out of memory for a reply (limit %zu)",
                 ex->reply_max);
        exchange_fail_at(ex, FAILURE_BODY, &why);
    }
    return cls;
}

void exchange_fail_at(struct exchange *ex, enum failure_point at, const struct pfs_error *why)
{
    static const struct {
        enum pfs_outcome outcome;
        enum pfs_phase phase;
    } rows[] = {
        [FAILURE_NONE] = {PFS_OUTCOME_UN, PFS_PHASE_LOCAL},
        [FAILURE_NOT_SENT] = {PFS_OUTCOME_NA, PFS_PHASE_QUEUE},
        [FAILURE_REFUSED] = {PFS_OUTCOME_NA, PFS_PHASE_WAIT},
        [FAILURE_GOAWAY] = {PFS_OUTCOME_NA, PFS_PHASE_WAIT},
        [FAILURE_TLS_ALERT] = {PFS_OUTCOME_NA, PFS_PHASE_TLS},
        [FAILURE_SENDING] = {PFS_OUTCOME_UN, PFS_PHASE_SEND},
        [FAILURE_WAITING] = {PFS_OUTCOME_UN, PFS_PHASE_WAIT},
        [FAILURE_DEADLINE] = {PFS_OUTCOME_UN, PFS_PHASE_WAIT},
        [FAILURE_BODY] = {PFS_OUTCOME_AP, PFS_PHASE_BODY},
        [FAILURE_LOCAL] = {PFS_OUTCOME_NA, PFS_PHASE_LOCAL},
    };

    if (ex->failure != FAILURE_NONE) {
        return;
    }
    ex->failure = at;
    ex->err = *why;
    ex->err.outcome = rows[at].outcome;
    if (at != FAILURE_NOT_SENT || why->phase == PFS_PHASE_LOCAL) { /* else: dns, connect, tls */
        ex->err.phase = rows[at].phase;
    }
    if (at == FAILURE_DEADLINE) {
        if (!ex->header_sent) {
            ex->err.outcome = PFS_OUTCOME_NA;
            ex->err.phase = PFS_PHASE_QUEUE;
        } else if (ex->head.status >= 200) {
            ex->err.phase = PFS_PHASE_BODY;
        } else if (!ex->request_sent) {
            ex->err.phase = PFS_PHASE_SEND;
        }
    }
    if (at == FAILURE_BODY && (why->cls == PFS_CONN_LOST || why->cls == PFS_RESET)) {
        ex->err.cls = PFS_TRUNCATED;
    }
    if (at == FAILURE_BODY && (ex->head.status < 200 || ex->head.status > 299)) {
        ex->err.outcome = PFS_OUTCOME_UN; /* only a 2xx header is proof that it was applied */
    }
}

void exchange_fail(struct exchange *ex, const struct pfs_error *why)
{
    enum failure_point at = !ex->header_sent           ? FAILURE_NOT_SENT
                            : ex->head.status >= 200   ? FAILURE_BODY
                            : why->cls == PFS_TLS_AUTH ? FAILURE_TLS_ALERT
                            : ex->request_sent         ? FAILURE_WAITING
                                                       : FAILURE_SENDING;
    exchange_fail_at(ex, at, why);
}
