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

/* Decodes %XX (and '+' when plus) of n bytes in place; false: broken escape. *n shrinks. */
static bool unescape(char *s, size_t *n, bool plus)
{
    size_t to = 0;

    if (!memchr(s, '%', *n) && !(plus && memchr(s, '+', *n))) {
        return true; /* as nearly always */
    }
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

/* Is that, decoded, the key? */
static bool is_key(const char *s, size_t n, const char *key)
{
    size_t i = 0;

    for (; i < n && *key; i++, key++) {
        int c = (unsigned char)s[i];

        if (c == '%') {
            int hi = i + 2 < n ? hex_value(s[i + 1]) : -1;
            int lo = hi >= 0 ? hex_value(s[i + 2]) : -1;

            c = lo < 0 ? -1 : hi << 4 | lo;
            i += 2;
        }
        if (c != (unsigned char)*key) {
            return false;
        }
    }
    return i == n && !*key;
}

static bool is_escaped_well(const char *s, size_t n)
{
    const char *end = s + n;

    while ((s = memchr(s, '%', (size_t)(end - s)))) {
        if (end - s <= 2 || hex_value(s[1]) < 0 || hex_value(s[2]) < 0) {
            return false;
        }
        s += 3;
    }
    return true;
}

/* The value of the first good pair with that key, still escaped; NULL: none, or it is empty. */
static const char *find(const char *raw, const char *key, size_t *ret_len)
{
    for (const char *end; *raw; raw = *end ? end + 1 : end) {
        end = strchrnul(raw, '&');
        if (*raw != *key && *raw != '%') {
            continue; /* nearly every pair of another key shows it in its first byte */
        }
        size_t n = (size_t)(end - raw);
        const char *eq = memchr(raw, '=', n);
        size_t n_key = eq ? (size_t)(eq - raw) : n;
        size_t n_value = eq ? n - n_key - 1 : 0;

        if (is_key(raw, n_key, key) && !memchr(raw, ';', n) &&
            (!eq || is_escaped_well(eq + 1, n_value))) {
            *ret_len = n_value;
            return n_value ? eq + 1 : NULL;
        }
    }
    return NULL;
}

char *query_get(const char *raw, const char *key, size_t *ret_len)
{
    const char *found = find(raw, key, ret_len);

    if (!found) {
        *ret_len = 0;
        return NULL;
    }
    char *v = pfs_strndup(found, *ret_len);

    if (v) {
        unescape(v, ret_len, true);
        v[*ret_len] = '\0';
    } else {
        *ret_len = SIZE_MAX;
    }
    return v;
}

/* A short value, decoded. NULL: absent; of too long a one nothing is left. */
static const char *get_short(const char *raw, const char *key, char buf[64], size_t *ret_len)
{
    const char *found = find(raw, key, ret_len);

    if (!found) {
        return NULL;
    }
    *ret_len = *ret_len <= 64 ? *ret_len : 0;
    memcpy(buf, found, *ret_len);
    unescape(buf, ret_len, true);
    return buf;
}

bool query_is(const char *raw, const char *key, const char *value)
{
    char buf[64];
    size_t n;
    const char *v = get_short(raw, key, buf, &n);

    return v && n == strlen(value) && memcmp(v, value, n) == 0;
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
    char buf[64];
    size_t n;
    const char *v = get_short(raw, key, buf, &n);

    return !v ? QUERY_ABSENT : query_parse_int(v, n, base, ret) ? QUERY_OK : QUERY_BAD;
}
