/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "secret_name.h"
#include <string.h>

/* In small letters and digits only, in which names are compared. */
static const char *const ends[] = {
    "token",  "password",   "passwd",        "passphrase", "secret",     "secretkey",  "accesskey",
    "apikey", "privatekey", "authorization", "dsn",        "credential", "credentials"};

/* 0: what only separates words. */
static char letter(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return (char)(c | 0x20);
    }
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c : '\0';
}

static bool ends_in(const char *name, size_t n, const char *end)
{
    size_t left = strlen(end);

    while (left > 0 && n > 0) {
        char c = letter(name[--n]);

        if (c && c != end[--left]) {
            return false;
        }
    }
    return left == 0;
}

bool is_secret_name(const char *name, size_t n)
{
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        if (ends_in(name, n, ends[i])) {
            return true;
        }
    }
    return false;
}
