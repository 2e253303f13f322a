/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "util.h"
#include <stdlib.h>
#include <string.h>

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
