/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/alloc.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* glibc's calloc does not look into the thread's cache of freed blocks, which has none larger. */
#define SMALL 1032

/* Counting costs an atomic add on a shared line, so it happens only while a test asks for it. */
static atomic_bool counting;
static atomic_ulong count, fail_at;

static bool allocation_fails(void)
{
    if (!atomic_load_explicit(&counting, memory_order_relaxed)) {
        return false;
    }
    return atomic_fetch_add(&count, 1) + 1 == atomic_load(&fail_at);
}

void pfs_alloc_fail_nth(unsigned long nth)
{
    atomic_store(&count, 0);
    atomic_store(&fail_at, nth);
    atomic_store(&counting, true);
}

unsigned long pfs_alloc_count(void)
{
    return atomic_load(&count);
}

void *pfs_malloc(size_t n)
{
    return allocation_fails() ? NULL : malloc(n ? n : 1);
}

void *pfs_calloc(size_t n, size_t size)
{
    size_t all;

    if (__builtin_mul_overflow(n, size, &all) || all > SMALL) {
        return allocation_fails() ? NULL : calloc(n, size);
    }
    void *p = pfs_malloc(all);

    return p ? memset(p, 0, all) : NULL;
}

void *pfs_realloc(void *p, size_t n)
{
    return allocation_fails() ? NULL : realloc(p, n ? n : 1);
}

void *pfs_grown(void *items, size_t n, size_t *cap, size_t size)
{
    size_t more = *cap ? 2 * *cap : 16;
    void *grown = n < *cap ? items : pfs_realloc(items, more * size);

    if (grown && n >= *cap) {
        *cap = more;
    }
    return grown;
}

char *pfs_strndup(const char *s, size_t n)
{
    char *p = pfs_malloc(n + 1);

    if (p) {
        memcpy(p, s, n);
        p[n] = '\0';
    }
    return p;
}

char *pfs_strdup(const char *s)
{
    return pfs_strndup(s, strlen(s));
}
