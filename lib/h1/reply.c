/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * The reply from bytes: http_parser frames it, its callbacks translate and return. What the parser
 * lets pass but leaves room for two readings of where a reply ends is refused here.
 */
#include "base/err.h"
#include "h1/h1_internal.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

static int fault(struct h1_session *h, enum pfs_class cls, const char *text)
{
    pfs_fail(&h->fault, cls, PFS_OUTCOME_UN, PFS_PHASE_WAIT, "%s", text);
    return -1;
}

/* Hands one field to the exchange. */
static int take_field(struct h1_session *h, const char *name, size_t name_len, const char *value,
                      size_t value_len)
{
    enum pfs_class cls = exchange_on_field(h->ex, name, name_len, value, value_len);

    return cls == PFS_OK ? 0 : fault(h, cls, exchange_field_fault(cls));
}

/* The status goes first, as in HTTP/2; the parser has it whole when the first field begins. */
static int take_status(struct h1_session *h)
{
    char digits[8];

    if (h->status_taken) {
        return 0;
    }
    h->status_taken = true;
    if (h->parser.http_major != 1) {
        return fault(h, PFS_PROTOCOL, "the reply is not in HTTP/1.1");
    }
    int n = snprintf(digits, sizeof digits, "%u", (unsigned)h->parser.status_code);

    return take_field(h, ":status", 7, digits, (size_t)n);
}

/* Lower-cases a name; false: it has a space, which would hide a field from the parser. */
static bool fold_name(char *name, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (name[i] == ' ') {
            return false;
        }
        if (name[i] >= 'A' && name[i] <= 'Z') {
            name[i] = (char)(name[i] | 0x20);
        }
    }
    return true;
}

/* We asked for no coding; one that is not just "chunked" would alter the body or hide its end. */
static int check_coding(struct h1_session *h, const char *value, size_t n)
{
    bool is_chunked = n == 7 && strncasecmp(value, "chunked", 7) == 0;

    if (!is_chunked || h->has_coding || h->parser.http_minor == 0) {
        return fault(h, PFS_PROTOCOL, "the reply has a transfer coding we did not ask for");
    }
    h->has_coding = true;
    return 0;
}

/* The field in name and value is complete. */
static int end_field(struct h1_session *h)
{
    char *name = pfs_buf_data(&h->name);
    const char *value = pfs_buf_data(&h->value);
    size_t name_len = pfs_buf_len(&h->name), value_len = pfs_buf_len(&h->value);

    if (name_len == 0) {
        return 0;
    }
    pfs_buf_consume(&h->name, name_len);
    pfs_buf_consume(&h->value, value_len);
    h->value_begun = false;
    while (value_len > 0 && (value[value_len - 1] == ' ' || value[value_len - 1] == '\t')) {
        value_len--;
    }
    if (h->head_ended) { /* a trailer: counted, not looked at */
        return take_field(h, "", 0, value, value_len + name_len);
    }
    if (take_status(h) != 0) {
        return -1;
    }
    if (!fold_name(name, name_len)) {
        return fault(h, PFS_PROTOCOL, exchange_field_fault(PFS_PROTOCOL));
    }
    if (name_len == 17 && memcmp(name, "transfer-encoding", 17) == 0 &&
        check_coding(h, value, value_len) != 0) {
        return -1;
    }
    return take_field(h, name, name_len, value ? value : "", value_len);
}

static int on_header_field_cb(http_parser *p, const char *at, size_t n)
{
    struct h1_session *h = p->data;

    if (h->value_begun && end_field(h) != 0) {
        return -1;
    }
    return pfs_buf_add(&h->name, at, n) ? 0 : fault(h, PFS_NOMEM, "out of memory for a header");
}

static int on_header_value_cb(http_parser *p, const char *at, size_t n)
{
    struct h1_session *h = p->data;

    h->value_begun = true;
    return pfs_buf_add(&h->value, at, n) ? 0 : fault(h, PFS_NOMEM, "out of memory for a header");
}

/* Returns 1 when no body follows whatever the header says. */
static int on_headers_complete_cb(http_parser *p)
{
    struct h1_session *h = p->data;
    struct exchange *ex = h->ex;

    if (end_field(h) != 0 || take_status(h) != 0) {
        return -1;
    }
    if (p->status_code == 101) {
        return fault(h, PFS_PROTOCOL, "the peer changes to a protocol we did not ask for");
    }
    if (!exchange_on_header_end(ex)) {
        h->status_taken = h->has_coding = false;
        return 1;
    }
    h->head_ended = true;
    h->is_mute |= ex->head.status >= 300 && !ex->request_sent; /* it reads no more of the body */
    if (exchange_is_streamed(ex)) {
        session_note(&h->base, ex, EXCHANGE_HEAD);
    }
    return ex->head.status == 204 || ex->head.status == 304 || strcmp(ex->method, "HEAD") == 0;
}

/*
 * Looks again at what lies between pieces of the body, up to `end`: the parser as distributions
 * build it takes any byte for the LF after a CR and any two for the CRLF after a chunk, so that a
 * body with a wrong chunk size would pass with bytes missing.
 */
static int check_framing(struct h1_session *h, const char *end)
{
    for (const char *p = h->framing; p < end; p++) {
        if ((h->after_cr && *p != '\n') || (h->after_body && *p != '\r')) {
            return fault(h, PFS_PROTOCOL, "a line or chunk of the reply has no proper end");
        }
        h->after_cr = *p == '\r';
        h->after_body = false;
    }
    h->framing = end;
    return 0;
}

static int on_body_cb(http_parser *p, const char *data, size_t n)
{
    struct h1_session *h = p->data;
    struct exchange *ex = h->ex;

    if (check_framing(h, data) != 0) {
        return -1;
    }
    h->framing = data + n;
    h->after_body = true;
    if (ex->lost_interest) {
        return 0;
    }
    if (exchange_on_body(ex, data, n) != PFS_OK) {
        http_parser_pause(p, 1);
        return 0;
    }
    if (ex->reply_cut) { /* over, and what follows of it makes the connection useless */
        h->is_over = true;
        http_parser_pause(p, 1);
    } else if (exchange_is_streamed(ex)) {
        ex->n_unconsumed += n;
        h->base.state.hold_reading = ex->n_unconsumed > H1_UNCONSUMED_MAX;
        session_note(&h->base, ex, EXCHANGE_DATA);
    }
    return 0;
}

static int on_message_complete_cb(http_parser *p)
{
    struct h1_session *h = p->data;
    const struct reply_head *head = &h->ex->head;

    if (!h->head_ended) { /* 1xx */
        return 0;
    }
    if (end_field(h) != 0) { /* the last trailer */
        return -1;
    }
    /* A 204 has no body; a server that announces one may send it all the same. */
    bool is_clear = head->status != 204 || (!h->has_coding && head->content_length <= 0);

    h->keeps_alive = http_should_keep_alive(p) && p->http_minor > 0 && is_clear;
    h->is_over = true;
    http_parser_pause(p, 1); /* what follows is no part of this reply */
    return 0;
}

static const http_parser_settings settings = {
    .on_header_field = on_header_field_cb,
    .on_header_value = on_header_value_cb,
    .on_headers_complete = on_headers_complete_cb,
    .on_body = on_body_cb,
    .on_message_complete = on_message_complete_cb,
};

void h1_reply_begin(struct h1_session *h)
{
    http_parser_init(&h->parser, HTTP_RESPONSE);
    h->parser.data = h;
    pfs_buf_consume(&h->name, pfs_buf_len(&h->name));
    pfs_buf_consume(&h->value, pfs_buf_len(&h->value));
    h->value_begun = h->status_taken = h->has_coding = h->head_ended = false;
    h->is_over = h->keeps_alive = h->after_cr = h->after_body = false;
}

enum pfs_class h1_reply_feed(struct h1_session *h, const char *data, size_t n, size_t *ret_used,
                             struct pfs_error *err)
{
    h->framing = data;
    size_t used = http_parser_execute(&h->parser, &settings, data, n);
    enum http_errno code = HTTP_PARSER_ERRNO(&h->parser);
    bool is_parsed = code == HPE_OK || code == HPE_PAUSED;

    if (h->fault.cls != PFS_OK || (is_parsed && check_framing(h, data + used) != 0)) {
        *err = h->fault;
        return err->cls;
    }
    if (code == HPE_HEADER_OVERFLOW) {
        return pfs_fail(err, PFS_LIMIT, PFS_OUTCOME_UN, PFS_PHASE_WAIT, "%s",
                        exchange_field_fault(PFS_LIMIT));
    }
    if (!is_parsed) {
        return pfs_fail(err, PFS_PROTOCOL, PFS_OUTCOME_UN, PFS_PHASE_WAIT, "%s breaks HTTP/1.1: %s",
                        h->options.authority, http_errno_description(code));
    }
    h->ex->reply_ended = h->is_over;
    *ret_used = used;
    return PFS_OK;
}

void h1_reply_eof(struct h1_session *h)
{
    http_parser_execute(&h->parser, &settings, NULL, 0);
    h->ex->reply_ended = h->is_over;
}
