/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "doc.h"
#include "util.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    const char *at, *end;
    int depth;
};

static bool read_value(struct reader *r, struct doc *ret);

static void skip_space(struct reader *r)
{
    while (r->at < r->end && strchr(" \t\r\n", *r->at) && *r->at)
        r->at++;
}

static bool take(struct reader *r, char c)
{
    skip_space(r);
    if (r->at == r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

static void put_utf8(struct text *t, uint32_t c)
{
    if (c < 0x80) {
        text_char(t, (char)c);
    } else if (c < 0x800) {
        text_char(t, (char)(0xc0 | c >> 6));
        text_char(t, (char)(0x80 | (c & 0x3f)));
    } else if (c < 0x10000) {
        text_char(t, (char)(0xe0 | c >> 12));
        text_char(t, (char)(0x80 | (c >> 6 & 0x3f)));
        text_char(t, (char)(0x80 | (c & 0x3f)));
    } else {
        text_char(t, (char)(0xf0 | c >> 18));
        text_char(t, (char)(0x80 | (c >> 12 & 0x3f)));
        text_char(t, (char)(0x80 | (c >> 6 & 0x3f)));
        text_char(t, (char)(0x80 | (c & 0x3f)));
    }
}

static bool hex4(struct reader *r, uint32_t *ret)
{
    uint32_t v = 0;
    if (r->end - r->at < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        char c = *r->at++;
        int d = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
        if (d < 0)
            return false;
        v = v * 16 + (uint32_t)d;
    }
    *ret = v;
    return true;
}

/* \uXXXX, a surrogate pair included; half a pair becomes U+FFFD. */
static bool read_unicode(struct reader *r, struct text *t)
{
    uint32_t c, low;
    if (!hex4(r, &c) || c == 0)
        return false;
    if (c >= 0xd800 && c < 0xdc00 && r->end - r->at >= 6 && r->at[0] == '\\' && r->at[1] == 'u') {
        r->at += 2;
        if (!hex4(r, &low))
            return false;
        c = low >= 0xdc00 && low < 0xe000 ? 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00)
                                          : 0xfffd;
    }
    put_utf8(t, c >= 0xd800 && c < 0xe000 ? 0xfffd : c);
    return true;
}

static bool read_escape(struct reader *r, struct text *t)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (r->at == r->end || *r->at == '\0')
        return false;
    char c = *r->at++;
    if (c == 'u')
        return read_unicode(r, t);
    const char *p = strchr(from, c);
    if (p == NULL)
        return false;
    text_char(t, to[p - from]);
    return true;
}

static bool read_string(struct reader *r, char **ret)
{
    struct text t = {0};
    if (!take(r, '"'))
        return false;
    while (r->at < r->end && *r->at != '"') {
        unsigned char c = (unsigned char)*r->at++;
        if (c < 0x20 || (c == '\\' && !read_escape(r, &t))) {
            free(t.s);
            return false;
        }
        if (c != '\\')
            text_char(&t, (char)c);
    }
    *ret = text_take(&t);
    return take(r, '"');
}

/* Items of an array or members of an object up to `close`. */
static bool read_items(struct reader *r, struct doc *j, char close)
{
    if (++r->depth > DOC_DEPTH_MAX)
        return false;
    r->at++;
    bool ok = take(r, close);
    for (bool more = !ok; more;) {
        if ((j->n & (j->n - 1)) == 0)
            j->items = xrealloc(j->items, (j->n ? j->n * 2 : 1) * sizeof(*j->items));
        struct doc *item = &j->items[j->n++];
        *item = (struct doc){0};
        if (close == '}' && (!read_string(r, &item->key) || !take(r, ':')))
            return false;
        if (!read_value(r, item))
            return false;
        more = take(r, ',');
        ok = more || take(r, close);
    }
    r->depth--;
    return ok;
}

/* A number, true, false or null: kept as written. */
static bool read_bare(struct reader *r, struct doc *j)
{
    const char *from = r->at;
    while (r->at < r->end && *r->at && strchr("+-.0123456789abcdefghijklmnopqrstuvwxyzE", *r->at))
        r->at++;
    j->text = xstrndup(from, (size_t)(r->at - from));
    if (strcmp(j->text, "true") == 0 || strcmp(j->text, "false") == 0) {
        j->kind = DOC_BOOL;
        return true;
    }
    if (strcmp(j->text, "null") == 0)
        return true;
    char *end;
    j->kind = DOC_NUMBER;
    strtod(j->text, &end);
    return *end == '\0' && (j->text[0] == '-' || (j->text[0] >= '0' && j->text[0] <= '9'));
}

static bool read_value(struct reader *r, struct doc *j)
{
    skip_space(r);
    if (r->at == r->end)
        return false;
    switch (*r->at) {
    case '{':
        j->kind = DOC_OBJECT;
        return read_items(r, j, '}');
    case '[':
        j->kind = DOC_ARRAY;
        return read_items(r, j, ']');
    case '"':
        j->kind = DOC_STRING;
        return read_string(r, &j->text);
    default:
        return read_bare(r, j);
    }
}

struct doc *doc_read(const char *s, size_t len)
{
    struct reader r = {.at = s, .end = s + len};
    struct doc *j = xcalloc(1, sizeof(*j));
    bool ok = len > 0 && read_value(&r, j);
    skip_space(&r);
    if (!ok || r.at != r.end) {
        doc_free(j);
        return NULL;
    }
    return j;
}

static void doc_fini(struct doc *j)
{
    for (size_t i = 0; i < j->n; i++)
        doc_fini(&j->items[i]);
    free(j->items);
    free(j->key);
    free(j->text);
}

void doc_free(struct doc *j)
{
    if (j)
        doc_fini(j);
    free(j);
}

const struct doc *doc_get(const struct doc *j, const char *key)
{
    for (size_t i = 0; j && j->kind == DOC_OBJECT && i < j->n; i++)
        if (strcmp(j->items[i].key, key) == 0)
            return &j->items[i];
    return NULL;
}

const char *doc_text(const struct doc *j, const char *key, const char *other)
{
    const struct doc *m = doc_get(j, key);
    return m && m->text && m->kind != DOC_NULL ? m->text : other;
}

/* Length of the UTF-8 sequence at s, 0 when it is none. */
static size_t utf8_len(const unsigned char *s)
{
    size_t n = s[0] < 0x80             ? 1
               : (s[0] & 0xe0) == 0xc0 ? 2
               : (s[0] & 0xf0) == 0xe0 ? 3
               : (s[0] & 0xf8) == 0xf0 ? 4
                                       : 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

void doc_put_string(FILE *f, const char *s)
{
    const unsigned char *u = (const unsigned char *)s;
    putc('"', f);
    while (*u) {
        size_t n = utf8_len(u);
        if (*u == '"' || *u == '\\')
            fprintf(f, "\\%c", *u);
        else if (*u == '\n')
            fputs("\\n", f);
        else if (*u == '\t')
            fputs("\\t", f);
        else if (*u < 0x20 || *u == 0x7f)
            fprintf(f, "\\u%04x", *u);
        else if (n == 0)
            fputs("\xef\xbf\xbd", f);
        else
            fwrite(u, 1, n, f);
        u += n ? n : 1;
    }
    putc('"', f);
}

void doc_put(FILE *f, const struct doc *j)
{
    if (j->kind == DOC_STRING) {
        doc_put_string(f, j->text);
        return;
    }
    if (j->kind != DOC_ARRAY && j->kind != DOC_OBJECT) {
        fputs(j->text, f);
        return;
    }
    putc(j->kind == DOC_ARRAY ? '[' : '{', f);
    for (size_t i = 0; i < j->n; i++) {
        if (i)
            putc(',', f);
        if (j->kind == DOC_OBJECT) {
            doc_put_string(f, j->items[i].key);
            putc(':', f);
        }
        doc_put(f, &j->items[i]);
    }
    putc(j->kind == DOC_ARRAY ? ']' : '}', f);
}
