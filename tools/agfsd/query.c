/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "query.h"
#include "base/alloc.h"
#include <string.h>

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool query_unescape(char *s, size_t *n, bool plus)
{
    size_t to = 0;

    for (size_t i = 0; i < *n; i++) {
        if (s[i] == '%') {
            int hi = i + 2 < *n ? hex_value(s[i + 1]) : -1;
            int lo = hi >= 0 ? hex_value(s[i + 2]) : -1;

            if (lo < 0) {
                return false;
            }
            s[to++] = (char)(hi << 4 | lo);
            i += 2;
        } else {
            s[to++] = plus && s[i] == '+' ? ' ' : s[i];
        }
    }
    *n = to;
    return true;
}

/* Decodes the pair of n bytes; the value (malloc'ed) when its key is `key`, else NULL. */
static char *pair_value(const char *pair, size_t n, const char *key, size_t *ret_len)
{
    const char *eq = memchr(pair, '=', n);
    size_t n_key = eq ? (size_t)(eq - pair) : n;
    size_t n_value = eq ? n - n_key - 1 : 0;

    if (memchr(pair, ';', n)) {
        return NULL;
    }
    char *k = pfs_strndup(pair, n_key);
    char *v = pfs_strndup(eq ? eq + 1 : "", n_value);
    bool match = k && v && query_unescape(k, &n_key, true) && query_unescape(v, &n_value, true) &&
                 n_key == strlen(key) && memcmp(k, key, n_key) == 0;

    pfs_free(k);
    if (!match) {
        pfs_free(v);
        return NULL;
    }
    v[n_value] = '\0';
    *ret_len = n_value;
    return v;
}

char *query_get(const char *raw, const char *key, size_t *ret_len)
{
    while (*raw) {
        size_t n = strcspn(raw, "&");
        /* Nearly every pair of another key shows it in its first byte. */
        char *v = *raw == *key || *raw == '%' ? pair_value(raw, n, key, ret_len) : NULL;

        if (v && *ret_len == 0) {
            pfs_free(v);
            return NULL;
        }
        if (v) {
            return v;
        }
        raw += n + (raw[n] == '&');
    }
    return NULL;
}

bool query_is(const char *raw, const char *key, const char *value)
{
    size_t n;
    char *v = query_get(raw, key, &n);
    bool same = v && n == strlen(value) && memcmp(v, value, n) == 0;

    pfs_free(v);
    return same;
}

bool query_parse_int(const char *s, size_t n, int base, int64_t *ret)
{
    bool negative = n > 0 && *s == '-';
    int64_t v = 0;
    size_t i = n > 0 && (*s == '-' || *s == '+');

    if (i == n) {
        return false;
    }
    for (; i < n; i++) {
        int digit = s[i] - '0';

        if (digit < 0 || digit >= base || __builtin_mul_overflow(v, base, &v) ||
            __builtin_sub_overflow(v, digit, &v)) {
            return false;
        }
    }
    if (!negative && v == INT64_MIN) {
        return false;
    }
    *ret = negative ? v : -v;
    return true;
}

enum query_number query_int(const char *raw, const char *key, int base, int64_t *ret)
{
    size_t n;
    char *v = query_get(raw, key, &n);
    bool good = v && query_parse_int(v, n, base, ret);
    enum query_number how = !v ? QUERY_ABSENT : good ? QUERY_OK : QUERY_BAD;

    pfs_free(v);
    return how;
}
