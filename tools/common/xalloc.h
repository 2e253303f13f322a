/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef TOOLS_XALLOC_H
#define TOOLS_XALLOC_H

/*
 * Memory for tools of the command line. One that has no memory left can do nothing but say so:
 * these functions end the process with exit code 12 then, and never return NULL.
 */
#include <proxyfs/error.h>
#include <stddef.h>

/* p, which came of an allocation. */
void *xcheck(void *p);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);
/* Formatted text, to be freed by the caller. */
char *xasprintf(const char *format, ...) PFS_PRINTF(1, 2);

#endif
