/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "xalloc.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *xcheck(void *p)
{
    if (!p) {
        fprintf(stderr, "%s: out of memory\n", program_invocation_short_name);
        exit(pfs_class_exit(PFS_NOMEM));
    }
    return p;
}

void *xcalloc(size_t n, size_t size)
{
    return xcheck(calloc(n ? n : 1, size ? size : 1));
}

void *xrealloc(void *p, size_t size)
{
    return xcheck(realloc(p, size ? size : 1));
}

char *xstrdup(const char *s)
{
    return xcheck(strdup(s));
}

char *xstrndup(const char *s, size_t n)
{
    return xcheck(strndup(s, n));
}

char *xasprintf(const char *format, ...)
{
    va_list ap;
    char *s;

    va_start(ap, format);
    int n = vasprintf(&s, format, ap);
    va_end(ap);
    return xcheck(n < 0 ? NULL : s);
}
