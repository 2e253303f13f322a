/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors
 *
 * The page of the report, made from report/ at build time by report/embed.py. */
#ifndef AGFS_BENCH_PAGE_H
#define AGFS_BENCH_PAGE_H

#include <stddef.h>

extern const unsigned char page_head[], page_tail[]; /* the JSON stands between them */
extern const size_t page_head_len, page_tail_len;

#endif
