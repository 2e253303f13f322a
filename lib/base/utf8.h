/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_BASE_UTF8_H
#define PFS_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the valid UTF-8 sequence (RFC 3629) at s, where n > 0 bytes are; 0: there is none. */
size_t pfs_utf8_len(const char *s, size_t n);
/* True when all n bytes are valid UTF-8. */
bool pfs_utf8_valid(const char *s, size_t n);

#endif
