/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "secret.h"
#include <ctype.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

/* What the names of secret options have in them, those of drivers and plugins included. */
static const char *const names[] = {"token",      "password", "passwd", "secret", "credential",
                                    "access_key", "api_key",  "apikey", "dsn"};

static bool has_user(const char *url)
{
    size_t n = strcspn(url, "/?# \t\"'");
    return memchr(url, '@', n) != NULL;
}

/* The n bytes at `name` stand before a "=". */
static bool is_secret_name(const char *name, size_t n)
{
    if (n >= 5 && strncasecmp(name + n - 5, "_file", 5) == 0)
        return false;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t len = strlen(names[i]);
        for (size_t at = 0; at + len <= n; at++)
            if (strncasecmp(name + at, names[i], len) == 0)
                return true;
    }
    return false;
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
