/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/utf8.h"
#include <stdint.h>
#include <string.h>

static bool is_continuation(const char *s, size_t i)
{
    return ((unsigned char)s[i] & 0xc0) == 0x80;
}

size_t pfs_utf8_len(const char *s, size_t n)
{
    unsigned char a = (unsigned char)s[0], b = n > 1 ? (unsigned char)s[1] : 0;

    if (a < 0x80) {
        return 1;
    }
    if (a < 0xc2 || a > 0xf4 || n < 2 || !is_continuation(s, 1)) {
        return 0;
    }
    if (a < 0xe0) {
        return 2;
    }
    if (n < 3 || !is_continuation(s, 2)) {
        return 0;
    }
    if (a < 0xf0) { /* no overlong forms, no surrogates */
        return (a == 0xe0 && b < 0xa0) || (a == 0xed && b > 0x9f) ? 0 : 3;
    }
    if (n < 4 || !is_continuation(s, 3)) {
        return 0;
    }
    return (a == 0xf0 && b < 0x90) || (a == 0xf4 && b > 0x8f) ? 0 : 4;
}

/* How many bytes at the start of s are ASCII, eight at a time as long as there are so many. */
static size_t ascii_len(const char *s, size_t n)
{
    size_t i = 0;

    for (uint64_t eight; n - i >= sizeof eight; i += sizeof eight) {
        memcpy(&eight, s + i, sizeof eight);
        if (eight & UINT64_C(0x8080808080808080)) {
            break;
        }
    }
    while (i < n && (unsigned char)s[i] < 0x80) {
        i++;
    }
    return i;
}

bool pfs_utf8_valid(const char *s, size_t n)
{
    for (size_t i = ascii_len(s, n); i < n;) {
        size_t len = pfs_utf8_len(s + i, n - i);

        if (len == 0) {
            return false;
        }
        i += len;
    }
    return true;
}
