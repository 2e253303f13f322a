/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/path.h"
#include "base/err.h"
#include "base/utf8.h"
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Takes one component off the end of dst, never the root. */
static size_t drop_last(const char *dst, size_t len)
{
    while (len > 1 && dst[len - 1] != '/') {
        len--;
    }
    return len > 1 ? len - 1 : 0;
}

/* Of nine bytes at p: all ASCII, none NUL, and none of the first eight a '/' before '/' or '.'. */
static bool is_usual(const char *p)
{
    const uint64_t each = 0x0101010101010101, high = 0x80 * each, low = 0x7f * each;
    uint64_t v, next;

    memcpy(&v, p, sizeof v);
    memcpy(&next, p + 1, sizeof next);
    /* A zero byte where both are found: '.' and '/' differ in the lowest bit only. */
    uint64_t pair = (v ^ '/' * each) | ((next | each) ^ '/' * each);

    return !((v | next) & high) && ((v + low) & (next + low) & (pair + low) & high) == high;
}

/* True: surely as it is to be, as most paths are; each passes here on every server, some twice. */
static bool is_normal(const char *s, size_t n)
{
    char padded[] = "aaaaaaaaa"; /* nine */

    if (n == 0 || n > PFS_COMPONENT_MAX || s[0] != '/' || s[n - 1] == '/') {
        return false;
    }
    if (n < 9) {
        memcpy(padded, s, n);
        return is_usual(padded);
    }
    for (size_t i = 0; i + 9 < n; i += 8) {
        if (!is_usual(s + i)) {
            return false;
        }
    }
    return is_usual(s + n - 9);
}

enum pfs_class pfs_path_normalize(const char *s, size_t n, char *dst, struct pfs_error *err)
{
    size_t len = 0; /* of dst, which is "" or "/a/b" without the trailing slash */

    if (is_normal(s, n)) {
        *(char *)mempcpy(dst, s, n) = '\0';
        return PFS_OK;
    }
    if (memchr(s, '\0', n)) {
        return pfs_refuse(err, PFS_INVALID, "path has a NUL byte");
    }
    if (!pfs_utf8_valid(s, n)) {
        return pfs_refuse(err, PFS_INVALID, "path is not valid UTF-8");
    }
    for (size_t i = 0; i < n;) {
        const char *slash = memchr(s + i, '/', n - i);
        size_t part = slash ? (size_t)(slash - (s + i)) : n - i;

        if (part == 0 || (part == 1 && s[i] == '.')) {
            /* nothing */
        } else if (part == 2 && s[i] == '.' && s[i + 1] == '.') {
            len = drop_last(dst, len);
        } else if (part > PFS_COMPONENT_MAX) {
            return pfs_refuse(err, PFS_INVALID,
                              "path component of %zu bytes: file name too long (at most %d)", part,
                              PFS_COMPONENT_MAX);
        } else if (len + 1 + part > PFS_PATH_MAX) {
            return pfs_refuse(err, PFS_INVALID,
                              "path of %zu bytes: file name too long (at most %d)", n,
                              PFS_PATH_MAX);
        } else {
            dst[len++] = '/';
            memcpy(dst + len, s + i, part);
            len += part;
        }
        i += part + 1;
    }
    if (len == 0) {
        dst[len++] = '/';
    }
    dst[len] = '\0';
    return PFS_OK;
}

const char *pfs_path_base(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash && slash[1] ? slash + 1 : path;
}

bool pfs_path_below(const char *path, const char *prefix, const char **ret_rest)
{
    size_t n = strlen(prefix);

    if (n == 1) { /* the root */
        *ret_rest = path;
        return true;
    }
    if (strncmp(path, prefix, n) != 0 || (path[n] != '\0' && path[n] != '/')) {
        return false;
    }
    *ret_rest = path[n] ? path + n : "/";
    return true;
}

bool pfs_path_join(char dst[PFS_PATH_MAX + 1], const char *dir, const char *name)
{
    while (*name == '/') {
        name++;
    }
    const char *sep = strcmp(dir, "/") == 0 || *name == '\0' ? "" : "/";
    int n = snprintf(dst, PFS_PATH_MAX + 1, "%s%s%s", dir, sep, name);

    return n >= 0 && n <= PFS_PATH_MAX;
}
