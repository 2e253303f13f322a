/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/mask.h"
#include "base/alloc.h"
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* True when the '@' is more likely one of a query or fragment than the end of a password. */
static bool is_of_query(const char *start, const char *at)
{
    const char *query = start + strcspn(start, "?#");

    return query < at && (memchr(start, '/', (size_t)(query - start)) ||
                          memchr(query, '=', (size_t)(at - query)));
}

char *pfs_mask_url(const char *url)
{
    const char *scheme_end = strstr(url, "://");
    const char *start = scheme_end ? scheme_end + 3 : url;
    const char *at = strrchr(start, '@');
    const char *shown = !at ? start : is_of_query(start, at) ? start + strlen(start) : at;
    size_t query = strcspn(shown, "?#"), n = strlen(url) + sizeof "***?***";
    char *masked = pfs_malloc(n);

    if (masked) {
        snprintf(masked, n, "%.*s%s%.*s%s", (int)(start - url), url, at ? "***" : "",
                 (int)(query + (shown[query] != '\0')), shown, shown[query] ? "***" : "");
    }
    return masked;
}
