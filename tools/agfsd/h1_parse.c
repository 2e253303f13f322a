/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "h1_parse.h"
#include <http_parser.h>
#include <string.h>
#include <strings.h>

int h1_find_head(const char *p, size_t n, size_t *scan)
{
    size_t from = *scan > 3 ? *scan - 3 : 0;
    const char *end = memmem(p + from, n - from, "\r\n\r\n", 4);
    size_t len = end ? (size_t)(end - p) + 4 : n;

    *scan = n;
    if (len > REQ_LINE_MAX && !memchr(p, '\n', REQ_LINE_MAX)) {
        return -414;
    }
    if (len > REQ_BLOCK_MAX) {
        return -431;
    }
    return end ? (int)len : 0;
}

/* ---- checks that http_parser, built without its strict mode, does not make ---- */

static bool is_token(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];

        if (c <= ' ' || c >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", c)) {
            return false;
        }
    }
    return n > 0;
}

/* Every line ends with CR LF, no control characters, no continuation lines. */
static const char *check_lines(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];

        if (c >= ' ' && c != 0x7f) {
            continue;
        }
        if (c == '\r') {
            if (i + 1 == n || p[i + 1] != '\n') {
                return "bare CR";
            }
            i++;
            if (i + 1 < n && (p[i + 1] == ' ' || p[i + 1] == '\t')) {
                return "folded header field";
            }
        } else if (c == '\n') {
            return "bare LF";
        } else if (c != '\t') {
            return "control character in header";
        }
    }
    return NULL;
}

/* ---- collecting with http_parser: the block is complete, so each piece comes in one call ---- */

struct collector {
    struct h1_head *head;
    bool too_many;
};

static int on_url(http_parser *hp, const char *at, size_t n)
{
    ((struct collector *)hp->data)->head->target = (struct h1_span){at, n};
    return 0;
}

static int on_field(http_parser *hp, const char *at, size_t n)
{
    struct collector *c = hp->data;

    if (c->head->n_fields == REQ_FIELDS_MAX) {
        c->too_many = true;
        return 1;
    }
    c->head->fields[c->head->n_fields++] = (struct h1_field){.name = {at, n}, .value = {at, 0}};
    return 0;
}

static int on_value(http_parser *hp, const char *at, size_t n)
{
    struct h1_head *h = ((struct collector *)hp->data)->head;

    while (n && (at[n - 1] == ' ' || at[n - 1] == '\t')) {
        n--;
    }
    h->fields[h->n_fields - 1].value = (struct h1_span){at, n};
    return 0;
}

static int on_complete(http_parser *hp)
{
    http_parser_pause(hp, 1); /* the body is read by the caller */
    return 0;
}

static const http_parser_settings settings = {
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_headers_complete = on_complete,
};

/* ---- meaning ---- */

static bool span_is(struct h1_span s, const char *text)
{
    return s.n == strlen(text) && strncasecmp(s.p, text, s.n) == 0;
}

static bool parse_length(struct h1_span v, int64_t *ret)
{
    int64_t n = 0;

    if (v.n == 0 || v.n > 18) { /* 18 digits fit */
        return false;
    }
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] < '0' || v.p[i] > '9') {
            return false;
        }
        n = n * 10 + (v.p[i] - '0');
    }
    *ret = n;
    return true;
}

/* The comma-separated list in v has the word. */
static bool list_has(struct h1_span v, const char *word)
{
    while (v.n) {
        const char *comma = memchr(v.p, ',', v.n);
        struct h1_span item = {v.p, comma ? (size_t)(comma - v.p) : v.n};

        v.p += item.n + (comma != NULL);
        v.n -= item.n + (comma != NULL);
        while (item.n && (*item.p == ' ' || *item.p == '\t')) {
            item.p++;
            item.n--;
        }
        while (item.n && (item.p[item.n - 1] == ' ' || item.p[item.n - 1] == '\t')) {
            item.n--;
        }
        if (span_is(item, word)) {
            return true;
        }
    }
    return false;
}

struct seen {
    unsigned n_te, n_host;
    struct h1_span host;
};

static const char *read_field(struct h1_head *h, const struct h1_field *f, struct seen *s)
{
    if (!is_token(f->name.p, f->name.n)) {
        return "malformed header field name";
    }
    if (span_is(f->name, "content-length")) {
        if (h->content_length >= 0) {
            return "more than one content-length";
        }
        if (!parse_length(f->value, &h->content_length)) {
            return "malformed content-length";
        }
    } else if (span_is(f->name, "transfer-encoding")) {
        h->chunked = span_is(f->value, "chunked");
        s->n_te++;
    } else if (span_is(f->name, "host")) {
        s->host = f->value;
        s->n_host++;
    } else if (span_is(f->name, "connection")) {
        if (list_has(f->value, "close")) {
            h->keep_alive = false;
        }
    } else if (span_is(f->name, "expect")) {
        h->expect_continue = h->minor > 0 && span_is(f->value, "100-continue");
    }
    return NULL;
}

/* Cuts scheme and host off an absolute-form target and compares the host. */
static const char *read_target(struct h1_head *h, const struct seen *s)
{
    struct h1_span *t = &h->target;

    if (memchr(t->p, '#', t->n) || memchr(t->p, '\t', t->n)) {
        return "malformed request target";
    }
    if (t->n == 0 || *t->p == '/' || (span_is(*t, "*") && span_is(h->method, "OPTIONS"))) {
        return t->n ? NULL : "no request target";
    }
    size_t scheme = t->n > 7 && strncasecmp(t->p, "http://", 7) == 0    ? 7
                    : t->n > 8 && strncasecmp(t->p, "https://", 8) == 0 ? 8
                                                                        : 0;
    if (!scheme) {
        return "malformed request target";
    }
    const char *host = t->p + scheme;
    const char *end = t->p + t->n;
    const char *slash = memchr(host, '/', (size_t)(end - host));

    if (!slash) {
        return "no path in request target";
    }
    if (s->n_host &&
        ((size_t)(slash - host) != s->host.n || strncasecmp(host, s->host.p, s->host.n) != 0)) {
        return "host and request target differ";
    }
    *t = (struct h1_span){slash, (size_t)(end - slash)};
    return NULL;
}

static int read_fields(struct h1_head *h)
{
    struct seen s = {0};
    size_t total = 0;

    for (unsigned i = 0; i < h->n_fields; i++) {
        h->reason = read_field(h, &h->fields[i], &s);
        if (h->reason) {
            return 400;
        }
        total += h->fields[i].name.n + h->fields[i].value.n + 32; /* counted as in HTTP/2 */
    }
    if (total > REQ_HEADER_MAX) {
        h->reason = "header too large";
        return 431;
    }
    if (s.n_te && (s.n_te > 1 || h->content_length >= 0 || h->minor == 0)) {
        h->reason = "ambiguous body length";
        return 400;
    }
    if (s.n_te && !h->chunked) {
        h->reason = "transfer encoding not supported";
        return 501;
    }
    if (s.n_host > 1 || (s.n_host == 0 && h->minor > 0)) {
        h->reason = "exactly one host field is required";
        return 400;
    }
    h->reason = read_target(h, &s);
    return h->reason ? 400 : 0;
}

int h1_parse_head(const char *p, size_t n, struct h1_head *ret)
{
    http_parser hp;
    struct collector c = {.head = ret};
    const char *space = memchr(p, ' ', n);

    ret->n_fields = 0;
    ret->target.n = 0;
    ret->chunked = ret->expect_continue = false;
    ret->content_length = -1;
    ret->reason = check_lines(p, n);
    if (ret->reason) {
        return 400;
    }
    if (!space || !is_token(p, (size_t)(space - p))) {
        ret->reason = "malformed request line";
        return 400;
    }
    ret->method = (struct h1_span){p, (size_t)(space - p)};
    http_parser_init(&hp, HTTP_REQUEST);
    hp.data = &c;
    hp.allow_chunked_length = 1; /* so that read_fields refuses it, with its reason */
    if (http_parser_execute(&hp, &settings, p, n) != n - 1 ||
        HTTP_PARSER_ERRNO(&hp) != HPE_PAUSED) {
        ret->reason =
            c.too_many ? "too many header fields" : http_errno_description(HTTP_PARSER_ERRNO(&hp));
        return c.too_many                                      ? 431
               : HTTP_PARSER_ERRNO(&hp) == HPE_INVALID_METHOD  ? 501
               : HTTP_PARSER_ERRNO(&hp) == HPE_INVALID_VERSION ? 505
                                                               : 400;
    }
    if (hp.http_major != 1 || hp.http_minor > 1) {
        ret->reason = "HTTP version not supported";
        return 505;
    }
    if (ret->target.p != space + 1 || strncmp(space + 1 + ret->target.n, " HTTP/1.", 8) != 0 ||
        space[ret->target.n + 10] != '\r') {
        ret->reason = "malformed request line";
        return 400;
    }
    ret->minor = hp.http_minor;
    ret->keep_alive = ret->minor > 0; /* HTTP/1.0 always ends with close */
    return read_fields(ret);
}

const char *h1_reason(int status)
{
    return http_status_str((enum http_status)status);
}
