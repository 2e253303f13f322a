/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_NET_MD5_H
#define PFS_NET_MD5_H

/* MD5, for the digests of the API (not for security). It is here because OpenSSL is. */
#include <stdbool.h>
#include <stddef.h>

struct md5;

/* NULL: out of memory, or the host's policy forbids MD5. One thread at a time. */
struct md5 *md5_new(void);
bool md5_update(struct md5 *m, const void *data, size_t n);
/* Writes 32 hexadecimal digits and a NUL and frees m; false: OpenSSL failed. */
bool md5_final(struct md5 *m, char hex[33]);

#endif
