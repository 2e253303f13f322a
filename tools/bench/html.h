/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors
 *
 * The report as one HTML page that needs nothing else: no network, no other file. */
#ifndef AGFS_BENCH_HTML_H
#define AGFS_BENCH_HTML_H

#include <stddef.h>
#include <stdio.h>

/* html_write() writes the page that shows the report |json| of |len| bytes. Whatever strings it
 * holds, they stay text. A report that cannot be read gives a page that says so. Returns 0, or -1
 * with errno set. */
int html_write(FILE *f, const char *json, size_t len);

#endif
