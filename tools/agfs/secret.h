/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFS_SECRET_H
#define AGFS_SECRET_H

#include <stdbool.h>

/*
 * Whether a line of commands seems to hold a password: in an URL (http://user:password@host), or as
 * the value of what is called so (token=..., secret_access_key=...: is_secret_name).
 */
bool line_is_secret(const char *line);

#endif
