/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "util.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *must(void *p)
{
    if (p == NULL) {
        fputs("agfs: out of memory\n", stderr);
        exit(pfs_class_exit(PFS_NOMEM));
    }
    return p;
}

void *xcalloc(size_t n, size_t size)
{
    return must(calloc(n ? n : 1, size ? size : 1));
}

void *xrealloc(void *p, size_t size)
{
    return must(realloc(p, size ? size : 1));
}

char *xstrdup(const char *s)
{
    return must(strdup(s));
}

char *xstrndup(const char *s, size_t n)
{
    return must(strndup(s, n));
}

char *xasprintf(const char *format, ...)
{
    va_list ap;
    char *s;
    va_start(ap, format);
    int n = vasprintf(&s, format, ap);
    va_end(ap);
    return must(n < 0 ? NULL : s);
}

char *local_parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? xstrndup(path, (size_t)(slash - path) + (slash == path)) : xstrdup(".");
}

char *local_temporary(const char *path)
{
    const char *slash = strrchr(path, '/');
    return xasprintf("%.*s.agfs-XXXXXX", slash ? (int)(slash - path) + 1 : 0, path);
}

void text_add(struct text *t, const char *s, size_t n)
{
    if (t->cap - t->len <= n) {
        t->cap = (t->len + n + 1) * 2;
        t->s = xrealloc(t->s, t->cap);
    }
    memcpy(t->s + t->len, s, n);
    t->len += n;
    t->s[t->len] = '\0';
}

void text_char(struct text *t, char c)
{
    text_add(t, &c, 1);
}

char *text_take(struct text *t)
{
    char *s = t->s ? t->s : xstrdup("");
    *t = (struct text){0};
    return s;
}

void strings_add(struct strings *l, char *s)
{
    /* Doubling at each power of two needs no capacity member. */
    if ((l->n & (l->n - 1)) == 0)
        l->v = xrealloc(l->v, (l->n ? l->n * 2 : 1) * sizeof(*l->v));
    l->v[l->n++] = s;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void strings_sort(struct strings *l)
{
    if (l->n > 1)
        qsort(l->v, l->n, sizeof(*l->v), by_bytes);
}

void strings_fini(struct strings *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->v[i]);
    free(l->v);
    *l = (struct strings){0};
}
