/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_WIRE_TIME_H
#define PFS_WIRE_TIME_H

/* Times as text: RFC 3339 (Go's RFC3339Nano) and the dates of HTTP. Any thread. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_TIME_MAX 40 /* bytes of any text that wire_time_format writes, with NUL */

/*
 * RFC 3339 with a zone and 0 to 9 (or more, cut) fractional digits to ns since 1970 UTC. Anything
 * else, a leap second and a time that int64 nanoseconds cannot hold (before 1677, after 2262) is
 * PFS_TIME_UNKNOWN.
 */
int64_t wire_time_parse(const char *s, size_t n);
/* Writes the time in UTC, unquoted; PFS_TIME_UNKNOWN as Go's zero time. Returns its length. */
size_t wire_time_format(int64_t ns, char dst[WIRE_TIME_MAX]);
/* "Sun, 06 Nov 1994 08:49:37 GMT" to seconds since 1970; false: it is something else. */
bool wire_http_date_parse(const char *s, int64_t *ret_s);

#endif
