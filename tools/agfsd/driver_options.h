/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_DRIVER_OPTIONS_H
#define AGFSD_DRIVER_OPTIONS_H

/* Reading the options that a built-in driver is opened with. */
#include <proxyfs/driver.h>

/* CONFIG with the stock wording unless every key is in the NULL-terminated list `allowed`;
 * mount_path is always allowed. */
enum pfs_class options_check(const struct pfs_option *options, size_t n, const char *const *allowed,
                             struct pfs_error *err);
/* The value of an option, NULL: absent. */
const char *option_value(const struct pfs_option *options, size_t n, const char *key);
/*
 * Reads an option that is a number, perhaps of bytes ("65536", "512KB", "1MiB": binary either way).
 * *io_value stays when it is absent. Errors: CONFIG; under least, or no number.
 */
enum pfs_class option_size(const struct pfs_option *options, size_t n, const char *key,
                           uint64_t least, uint64_t *io_value, struct pfs_error *err);
/*
 * Opens a driver that has neither options nor a state of its own, to be closed by driver_free.
 * Errors: CONFIG, NOMEM.
 */
enum pfs_class driver_open_plain(const struct pfs_driver_ops *ops, const struct pfs_option *options,
                                 size_t n, struct pfs_driver **ret, struct pfs_error *err);
void driver_free(struct pfs_driver *d);

#endif
