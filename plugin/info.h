/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PLUGIN_INFO_H
#define PLUGIN_INFO_H

/* What stat and readdir say, in the host's layout: one block each, see results.h. */
#include <proxyfs/agfs_plugin.h>
#include <proxyfs/driver.h>

/*
 * A published result that says what *st says; its name is `name` if not NULL. NULL: out of memory.
 * Any thread.
 */
FileInfoC *info_of_stat(const struct pfs_stat *st, const char *name);
/*
 * The same for a listing. Entries whose names would lead a host astray (empty, "." or "..", with a
 * '/') are left out. *ret_count: entries. NULL: out of memory, *ret_count is 0.
 */
FileInfoArray *info_of_list(const struct pfs_stat *list, size_t n, int64_t *ret_count);

#endif
