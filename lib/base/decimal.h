/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_BASE_DECIMAL_H
#define PFS_BASE_DECIMAL_H

/* Numbers as text without printf, which costs more than all else that a small reply is made of. */
#include <stdint.h>

#define PFS_DECIMAL_MAX 24 /* 20 digits, a sign, NUL */

/* v at the end of buf, NUL-terminated; returns where it begins. */
static inline char *pfs_decimal(char buf[PFS_DECIMAL_MAX], uint64_t v)
{
    char *p = buf + PFS_DECIMAL_MAX - 1;

    *p = '\0';
    do {
        *--p = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    return p;
}

static inline char *pfs_decimal_signed(char buf[PFS_DECIMAL_MAX], int64_t v)
{
    char *p = pfs_decimal(buf, v < 0 ? -(uint64_t)v : (uint64_t)v);

    if (v < 0) {
        *--p = '-';
    }
    return p;
}

#endif
