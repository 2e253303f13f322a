/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "secret.h"
#include "secret_name.h"
#include <ctype.h>
#include <stddef.h>
#include <string.h>

static bool has_user(const char *url)
{
    size_t n = strcspn(url, "/?# \t\"'");
    return memchr(url, '@', n) != NULL;
}

bool line_is_secret(const char *line)
{
    const char *name = line;
    for (const char *s = line; *s; s++) {
        if (*s == '=' && is_secret_name(name, (size_t)(s - name)))
            return true;
        if (strncmp(s, "://", 3) == 0 && has_user(s + 3))
            return true;
        if (!isalnum((unsigned char)*s) && !strchr("_-.", *s))
            name = s + 1;
    }
    return false;
}
