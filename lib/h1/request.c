/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * The request as bytes. Only the header and the framing of chunks are written to memory of ours;
 * the body goes from its owner into what the connection drains.
 */
#include "base/err.h"
#include "h1/h1_internal.h"
#include <string.h>

static bool is_token_char(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_token(const char *s)
{
    if (*s == '\0') {
        return false;
    }
    for (; *s; s++) {
        if (!is_token_char((unsigned char)*s)) {
            return false;
        }
    }
    return true;
}

/* Visible ASCII: neither ends the line nor the target. */
static bool is_target(const char *s)
{
    if (*s != '/') {
        return false;
    }
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;

        if (c <= ' ' || c >= 0x7f) {
            return false;
        }
    }
    return true;
}

bool h1_is_line_safe(const char *s)
{
    for (; *s; s++) {
        if (((unsigned char)*s < ' ' && *s != '\t') || *s == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool is_writable(const struct exchange *ex)
{
    if (!is_token(ex->method) || !is_target(ex->target) ||
        (ex->content_type && !h1_is_line_safe(ex->content_type))) {
        return false;
    }
    for (unsigned i = 0; i < ex->n_fields; i++) {
        if (!is_token(ex->fields[i].name) || !h1_is_line_safe(ex->fields[i].value)) {
            return false;
        }
    }
    return true;
}

/* POST, PUT and PATCH without a body say so: some servers answer 411 otherwise. */
static bool says_length(const struct exchange *ex, int64_t length)
{
    return length > 0 || ex->content_type || ex->method[0] == 'P';
}

static bool write_header(struct h1_session *h)
{
    const struct exchange *ex = h->ex;
    int64_t length = ex->body_stream ? ex->body_stream_len : (int64_t)ex->body_len;
    struct pfs_buf *out = &h->out;
    bool ok = pfs_buf_printf(out, "%s %s HTTP/1.1\r\nHost: %s\r\n", ex->method, ex->target,
                             h->options.authority);

    if (ex->content_type) {
        ok = ok && pfs_buf_printf(out, "Content-Type: %s\r\n", ex->content_type);
    }
    for (unsigned i = 0; i < ex->n_fields; i++) {
        ok = ok && pfs_buf_printf(out, "%s: %s\r\n", ex->fields[i].name, ex->fields[i].value);
    }
    if (h->is_chunked) {
        ok = ok && pfs_buf_add_str(out, "Transfer-Encoding: chunked\r\n");
    } else if (says_length(ex, length)) {
        ok = ok && pfs_buf_printf(out, "Content-Length: %lld\r\n", (long long)length);
    }
    return ok && pfs_buf_add_str(out, "\r\n");
}

enum pfs_class h1_request_begin(struct h1_session *h, struct pfs_error *err)
{
    h->is_chunked = h->ex->body_stream && h->ex->body_stream_len < 0;
    h->in_chunk = h->end_framed = h->is_mute = false;
    if (!is_writable(h->ex)) {
        return pfs_refuse(err, PFS_INVALID, "the request has a character that HTTP/1.1 forbids");
    }
    return write_header(h) ? PFS_OK : pfs_nomem(err, "a request");
}

/* Bytes that a body of known length still needs. */
static size_t body_left(const struct exchange *ex)
{
    return (ex->body_stream ? (size_t)ex->body_stream_len : ex->body_len) - ex->body_sent;
}

bool h1_request_wants_drain(const struct h1_session *h)
{
    const struct exchange *ex = h->ex;

    if (!ex || h->is_mute) {
        return false;
    }
    if (pfs_buf_len(&h->out) > 0) {
        return true;
    }
    struct http_chunk left = exchange_body_left(ex);

    return left.n > 0 || (ex->body_stream && left.last && !ex->request_sent);
}

/* A body that breaks the Content-Length sent before would be taken for the next request. */
static bool keeps_length(const struct h1_session *h)
{
    const struct exchange *ex = h->ex;

    if (!ex->body_stream || h->is_chunked) {
        return true;
    }
    size_t left = body_left(ex);
    struct http_chunk next = exchange_body_left(ex);

    return next.n <= left && !(next.last && next.n < left);
}

/* Writes the framing that must go before the next byte of the body; false: out of memory. */
static bool write_framing(struct h1_session *h)
{
    struct http_chunk next = exchange_body_left(h->ex);

    if (!h->is_chunked || pfs_buf_len(&h->out) > 0 || h->in_chunk) {
        return true;
    }
    if (next.n > 0) {
        h->in_chunk = true;
        return pfs_buf_printf(&h->out, "%zx\r\n", next.n);
    }
    h->end_framed = true;
    return pfs_buf_add_str(&h->out, "0\r\n\r\n");
}

/* Its next piece; *ret_ends: the piece, which is a chunk where there are chunks, ends with that. */
static size_t take_body(struct h1_session *h, char *buf, size_t cap, bool *ret_ends)
{
    struct http_chunk left = exchange_body_left(h->ex);
    size_t n = left.n < cap ? left.n : cap;

    memcpy(buf, left.at, n);
    *ret_ends = n == left.n;
    if (exchange_body_sent(h->ex, n, false)) {
        session_note(&h->base, h->ex, EXCHANGE_WRITABLE);
    }
    return n;
}

static size_t take_out(struct h1_session *h, char *buf, size_t cap)
{
    size_t n = pfs_buf_len(&h->out);

    n = n < cap ? n : cap;
    memcpy(buf, pfs_buf_data(&h->out), n);
    pfs_buf_consume(&h->out, n);
    h->ex->header_sent = true;
    return n;
}

static bool is_complete(const struct h1_session *h)
{
    return pfs_buf_len(&h->out) == 0 && (h->is_chunked ? h->end_framed : body_left(h->ex) == 0);
}

enum pfs_class h1_request_drain(struct h1_session *h, char *buf, size_t cap, size_t *ret_n,
                                struct pfs_error *err)
{
    struct exchange *ex = h->ex;
    size_t len = 0;

    while (len < cap && h1_request_wants_drain(h)) {
        if (pfs_buf_len(&h->out) == 0 && !keeps_length(h)) {
            return pfs_fail(err, PFS_INVALID, PFS_OUTCOME_UN, PFS_PHASE_SEND,
                            "the streamed body is not the %lld bytes it was said to be",
                            (long long)ex->body_stream_len);
        }
        if (!write_framing(h)) {
            return pfs_nomem(err, "HTTP/1.1 output");
        }
        if (pfs_buf_len(&h->out) > 0) {
            len += take_out(h, buf + len, cap - len);
        } else {
            bool ends;

            len += take_body(h, buf + len, cap - len, &ends);
            if (ends && h->in_chunk) {
                if (!pfs_buf_add_str(&h->out, "\r\n")) {
                    return pfs_nomem(err, "HTTP/1.1 output");
                }
                h->in_chunk = false;
            }
        }
        ex->request_sent = is_complete(h);
    }
    *ret_n = len;
    return PFS_OK;
}
