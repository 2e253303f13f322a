/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_WIRE_JSON_OUT_H
#define PFS_WIRE_JSON_OUT_H

/*
 * Writing JSON into a buffer, byte for byte as Go's encoding/json does (agfs-http-api.md 1.9).
 * All functions append one value and return false when out of memory (the buffer is then to be
 * thrown away). Punctuation is added with pfs_buf_add_str.
 */
#include "base/buf.h"

/*
 * "..." with quotes: <, >, &, U+2028 and U+2029 as \uXXXX, control characters as \n or \u00XX, each
 * byte that is no UTF-8 as \ufffd.
 */
bool json_out_bytes(struct pfs_buf *b, const char *s, size_t n);
/* The same for a C string; NULL is "". */
bool json_out_str(struct pfs_buf *b, const char *s);
bool json_out_int(struct pfs_buf *b, int64_t v);
bool json_out_uint(struct pfs_buf *b, uint64_t v);
bool json_out_bool(struct pfs_buf *b, bool v);
/*
 * RFC 3339 in UTC with quotes, up to 9 fractional digits, trailing zeros removed. ns since 1970;
 * PFS_TIME_UNKNOWN is Go's zero time "0001-01-01T00:00:00Z".
 */
bool json_out_time(struct pfs_buf *b, int64_t ns);
/* `"key":` with the comma before it unless the buffer ends in '{'. key needs no escape. */
bool json_out_key(struct pfs_buf *b, const char *key);

#endif
