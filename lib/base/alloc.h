/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_BASE_ALLOC_H
#define PFS_BASE_ALLOC_H

/*
 * The seam through which the library's memory passes, so that tests can fail the n-th allocation.
 * Blocks are malloc's: what is handed to users is freed with free().
 */
#include <stddef.h>
#include <stdlib.h>

/* As malloc, calloc, realloc, free, strdup; NULL when out of memory. Any thread. */
void *pfs_malloc(size_t n);
void *pfs_calloc(size_t n, size_t size);
void *pfs_realloc(void *p, size_t n);
static inline void pfs_free(void *p)
{
    if (p) { /* often not: what is freed is made of many that may be there */
        free(p);
    }
}
char *pfs_strdup(const char *s);
/* Copies n bytes and adds a NUL. */
char *pfs_strndup(const char *s, size_t n);
/*
 * Room for one more in an array of n things of `size` bytes each, which has room for *cap (at first
 * NULL and 0). Returns the array, which may have moved; NULL: out of memory, and it stays.
 */
void *pfs_grown(void *items, size_t n, size_t *cap, size_t size);

/* Whether who frees memory may keep it for later: AddressSanitizer would be blind to its use. */
#if defined(__SANITIZE_ADDRESS__)
#define PFS_KEEPS_FREED false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PFS_KEEPS_FREED false
#endif
#endif
#ifndef PFS_KEEPS_FREED
#define PFS_KEEPS_FREED true
#endif

/* Tests: the allocation number `nth` from now on fails (1 = the next), once. 0: none. */
void pfs_alloc_fail_nth(unsigned long nth);
/* Allocations asked for since the last pfs_alloc_fail_nth. */
unsigned long pfs_alloc_count(void);

#endif
