/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PLUGIN_BACKEND_H
#define PLUGIN_BACKEND_H

/* The file system that the plugin puts behind the host's calls. Tests link another one. */
#include <proxyfs/driver.h>

/* Name under which the host knows the type, and in metadata of our own files. */
#define BACKEND_NAME "proxyfs-h2"

/*
 * Checks options without contacting anybody. The options are borrowed during the call. Errors:
 * CONFIG, NOMEM, NOFILE.
 */
PFS_MUST_CHECK enum pfs_class backend_check(const struct pfs_option *options, size_t n,
                                            struct pfs_error *err);
/* As pfs_proxyfs_open: may block; *ret belongs to the caller (ops->close). */
PFS_MUST_CHECK enum pfs_class backend_open(const struct pfs_option *options, size_t n,
                                           struct pfs_driver **ret, struct pfs_error *err);

#endif
