/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef TOOLS_SECRET_NAME_H
#define TOOLS_SECRET_NAME_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Whether the option called `name` (n bytes) has a secret as its value: password, Api-Key,
 * secret_access_key, authToken. How names are spelled does not matter, and what they end in says
 * what they are: a token_file or client_key is the name of a file, max_tokens a number.
 */
bool is_secret_name(const char *name, size_t n);

#endif
