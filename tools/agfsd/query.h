/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_QUERY_H
#define AGFSD_QUERY_H

/*
 * Query strings as Go's url.ParseQuery reads them (agfs-http-api.md 1.8): '+' is a space, the first
 * value of a key wins, a pair with a raw ';' or a broken escape does not exist, and an empty value
 * is the same as none. Pure functions.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The decoded value (malloc'ed, NUL added; may contain NUL). NULL: absent, *ret_len 0; or out of
 * memory, *ret_len SIZE_MAX.
 */
char *query_get(const char *raw, const char *key, size_t *ret_len);
/* True when the first value of key is exactly `value`, of at most 64 bytes as it is escaped. */
bool query_is(const char *raw, const char *key, const char *value);

enum query_number { QUERY_ABSENT, QUERY_OK, QUERY_BAD };
/* A number in `base` (8, 10), optional sign, at most 64 bytes; *ret is touched on QUERY_OK only. */
enum query_number query_int(const char *raw, const char *key, int base, int64_t *ret);

/* An optional sign and digits of `base`, nothing else; false: not so, or out of range. */
bool query_parse_int(const char *s, size_t n, int base, int64_t *ret);

#endif
