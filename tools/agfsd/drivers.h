/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_DRIVERS_H
#define AGFSD_DRIVERS_H

/*
 * The built-in drivers. Each function makes one from n options; *ret belongs to the caller
 * (ops->close). Errors: CONFIG (an unknown or bad option, worded as the stock server's), NOMEM, and
 * what opening the driver's resources can give. Any thread; may block.
 */
#include <proxyfs/driver.h>

typedef enum pfs_class driver_open_fn(const struct pfs_option *options, size_t n,
                                      struct pfs_driver **ret, struct pfs_error *err);

/* Files in memory. Options: init_dirs (JSON array of names), max_bytes (default 1 GiB). */
driver_open_fn memfs_open;
/* A directory of this host. Options: local_dir. */
driver_open_fn localfs_open;
/* /null, which swallows everything. No options. */
driver_open_fn devfs_open;

/* CONFIG with the stock wording unless every key is in the NULL-terminated list `allowed`;
 * mount_path is always allowed. */
enum pfs_class options_check(const struct pfs_option *options, size_t n,
                             const char *const *allowed, struct pfs_error *err);
/* The value of an option, NULL: absent. */
const char *option_value(const struct pfs_option *options, size_t n, const char *key);

#endif
