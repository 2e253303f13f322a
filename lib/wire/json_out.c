/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "wire/json_out.h"
#include "base/decimal.h"
#include "base/utf8.h"
#include "wire/time.h"
#include <stdio.h>
#include <string.h>

/* Bytes that must not stand in a string as they are, or not before a look at what follows. */
static const bool needs_look[256] = {
    [0 ... 0x1f] = true, ['"'] = true, ['\\'] = true,          ['<'] = true,
    ['>'] = true,        ['&'] = true, [0x80 ... 0xff] = true,
};

/* How many of n bytes may, from the first on. */
static size_t plain_run(const char *s, size_t n)
{
    size_t i = 0;

    while (i < n && !needs_look[(unsigned char)s[i]]) {
        i++;
    }
    return i;
}

/* The escape of one ASCII character that is not plain. */
static bool out_escape(struct pfs_buf *b, unsigned char c)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    const char *short_form = c ? strchr(from, c) : NULL;
    char text[7];

    if (short_form) {
        snprintf(text, sizeof text, "\\%c", to[short_form - from]);
    } else {
        snprintf(text, sizeof text, "\\u%04x", (unsigned)c);
    }
    return pfs_buf_add_str(b, text);
}

/* One character that is not plain; *ret_len is its length. */
static bool out_special(struct pfs_buf *b, const char *s, size_t n, size_t *ret_len)
{
    size_t len = pfs_utf8_len(s, n);

    *ret_len = len ? len : 1;
    if (len == 0) {
        return pfs_buf_add_str(b, "\\ufffd");
    }
    if (len == 1) {
        return out_escape(b, (unsigned char)*s);
    }
    if (len == 3 && memcmp(s, "\xe2\x80\xa8", 3) == 0) {
        return pfs_buf_add_str(b, "\\u2028");
    }
    if (len == 3 && memcmp(s, "\xe2\x80\xa9", 3) == 0) {
        return pfs_buf_add_str(b, "\\u2029");
    }
    return pfs_buf_add(b, s, len);
}

bool json_out_bytes(struct pfs_buf *b, const char *s, size_t n)
{
    char *to = n < SIZE_MAX / 2 ? pfs_buf_room(b, n + 2) : NULL; /* enough when all is plain */
    size_t i = plain_run(s, n), len;

    if (!to) {
        return false;
    }
    *to = '"';
    if (i) {
        memcpy(to + 1, s, i);
    }
    pfs_buf_added(b, i + 1);
    while (i < n) {
        if (!out_special(b, s + i, n - i, &len)) {
            return false;
        }
        i += len;
        size_t run = plain_run(s + i, n - i);

        if (!pfs_buf_add(b, s + i, run)) {
            return false;
        }
        i += run;
    }
    return pfs_buf_add(b, "\"", 1);
}

bool json_out_str(struct pfs_buf *b, const char *s)
{
    return json_out_bytes(b, s ? s : "", s ? strlen(s) : 0);
}

bool json_out_int(struct pfs_buf *b, int64_t v)
{
    char digits[PFS_DECIMAL_MAX];

    return pfs_buf_add_str(b, pfs_decimal_signed(digits, v));
}

bool json_out_uint(struct pfs_buf *b, uint64_t v)
{
    char digits[PFS_DECIMAL_MAX];

    return pfs_buf_add_str(b, pfs_decimal(digits, v));
}

bool json_out_bool(struct pfs_buf *b, bool v)
{
    return pfs_buf_add_str(b, v ? "true" : "false");
}

bool json_out_time(struct pfs_buf *b, int64_t ns)
{
    char text[WIRE_TIME_MAX];
    size_t n = wire_time_format(ns, text);

    return pfs_buf_add(b, "\"", 1) && pfs_buf_add(b, text, n) && pfs_buf_add(b, "\"", 1);
}

bool json_out_key(struct pfs_buf *b, const char *key)
{
    size_t len = pfs_buf_len(b);
    char last = len ? pfs_buf_data(b)[len - 1] : '{';

    if (last != '{' && !pfs_buf_add(b, ",", 1)) {
        return false;
    }
    return pfs_buf_add(b, "\"", 1) && pfs_buf_add_str(b, key) && pfs_buf_add(b, "\":", 2);
}
