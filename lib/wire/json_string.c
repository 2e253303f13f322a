/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Strings of JSON: the plain ones are found where they lie, the others decoded. */
#include "base/utf8.h"
#include "wire/json_pull.h"
#include <endian.h>
#include <string.h>

static int hex4(const char *s)
{
    int v = 0;

    for (int i = 0; i < 4; i++) {
        char c = s[i], lower = (char)(c | 0x20);

        if (c >= '0' && c <= '9') {
            v = v * 16 + (c - '0');
        } else if (lower >= 'a' && lower <= 'f') {
            v = v * 16 + (lower - 'a' + 10);
        } else {
            return -1;
        }
    }
    return v;
}

/* The code point of the \uXXXX at p (after the u), a pair of surrogates as one. -1: error noted. */
static int32_t code_point(struct json_pull *j)
{
    int first = j->end - j->p >= 4 ? hex4(j->p) : -1;

    if (first < 0) {
        json_pull_refuse(j, "bad \\u escape");
        return -1;
    }
    j->p += 4;
    if (first < 0xd800 || first > 0xdfff) {
        return first;
    }
    if (first < 0xdc00 && j->end - j->p >= 6 && j->p[0] == '\\' && j->p[1] == 'u') {
        int second = hex4(j->p + 2);

        if (second >= 0xdc00 && second <= 0xdfff) {
            j->p += 6;
            return 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        }
    }
    if (j->rules == JSON_REPLY) {
        json_pull_refuse(j, "lone surrogate");
        return -1;
    }
    return 0xfffd;
}

static size_t utf8_encode(int32_t cp, char dst[4])
{
    if (cp < 0x80) {
        dst[0] = (char)cp;
        return 1;
    }
    size_t n = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;

    for (size_t i = n - 1; i > 0; i--, cp >>= 6) {
        dst[i] = (char)(0x80 | (cp & 0x3f));
    }
    dst[0] = (char)((0xf00 >> n) | cp);
    return n;
}

/* Decodes the escape at p (a backslash) to the end of j->text. */
static bool unescape(struct json_pull *j)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = j->end - j->p > 1 ? j->p[1] : '\0', utf8[4];
    const char *simple = c ? strchr(from, c) : NULL;
    size_t n = 1;

    if (simple) {
        utf8[0] = to[simple - from];
        j->p += 2;
    } else if (c == 'u') {
        j->p += 2;
        int32_t cp = code_point(j);

        if (cp < 0) {
            return false;
        }
        n = utf8_encode(cp, utf8);
    } else {
        return json_pull_refuse(j, "bad escape");
    }
    return pfs_buf_add(&j->text, utf8, n) || json_pull_lack(j);
}

/* The first byte that does not simply stand for itself in a string: a quote, a backslash, a control
 * character or the beginning of a longer UTF-8 sequence. */
static const char *skip_plain(const char *p, const char *end)
{
    const uint64_t ones = 0x0101010101010101;

    for (; end - p >= 8;
         p += 8) { /* A subtraction borrows from the next byte only at one that is found. */
        uint64_t w;

        memcpy(&w, p, sizeof w);
        w = le64toh(w);
        uint64_t found =
            ((w ^ ones * '"') - ones) | ((w ^ ones * '\\') - ones) | (w - ones * 0x20) | w;

        found &= ones * 0x80;
        if (found) {
            return p + __builtin_ctzll(found) / 8;
        }
    }
    while (p < end && (signed char)*p >= 0x20 && *p != '"' && *p != '\\') {
        p++;
    }
    return p;
}

/* Moves over characters that stand for themselves, up to a quote or backslash. */
static bool plain_run(struct json_pull *j)
{
    const char *p = j->p, *end = j->end;

    for (;;) {
        p = skip_plain(p, end);
        if (p == end || *p == '"' || *p == '\\') {
            break;
        }
        unsigned char c = (unsigned char)*p;
        size_t len = c < 0x80 ? 1 : pfs_utf8_len(p, (size_t)(end - p));

        if (c < 0x20 || len == 0) {
            j->p = p;
            return json_pull_refuse(j,
                                    c < 0x20 ? "control character in a string" : "invalid UTF-8");
        }
        p += len;
    }
    j->p = p;
    return p < end || json_pull_refuse(j, "string does not end");
}

/* The string whose opening quote was read, when it is not plain. By itself, for its registers and
 * buffer are nothing that a plain one should pay for. */
static __attribute__((noinline)) bool long_way(struct json_pull *j, struct json_span *ret)
{
    bool is_direct = true;

    for (;;) {
        const char *run = j->p;

        if (!plain_run(j)) {
            return false;
        }
        size_t n = (size_t)(j->p - run);

        if (*j->p == '"' && is_direct) {
            *ret = (struct json_span){run, n};
            break;
        }
        if (is_direct) {
            j->text.start = j->text.end = 0;
            is_direct = false;
        }
        if (n && !pfs_buf_add(&j->text, run, n)) {
            return json_pull_lack(j);
        }
        if (*j->p == '"') {
            *ret = (struct json_span){pfs_buf_data(&j->text), pfs_buf_len(&j->text)};
            break;
        }
        if (!unescape(j)) {
            return false;
        }
    }
    j->p++;
    return true;
}

bool json_pull_string(struct json_pull *j, struct json_span *ret)
{
    if (json_pull_peek(j) != '"') {
        return json_pull_refuse(j, "string expected");
    }
    if (!json_pull_count(j)) {
        return false;
    }
    const char *first = ++j->p, *p = skip_plain(first, j->end);

    if (p == j->end || *p != '"') {
        return long_way(j, ret);
    }
    *ret = (struct json_span){first, (size_t)(p - first)};
    j->p = p + 1;
    return true;
}
