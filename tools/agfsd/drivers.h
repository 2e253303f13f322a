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

/* The same checks, with nothing made or connected to. */
typedef enum pfs_class driver_check_fn(const struct pfs_option *options, size_t n,
                                       struct pfs_error *err);

/* Files in memory. Options: init_dirs (JSON array of names), max_bytes (default 1 GiB). */
driver_open_fn memfs_open;
/* A directory of this host. Options: local_dir. */
driver_open_fn localfs_open;
/* /null, which swallows everything. No options. */
driver_open_fn devfs_open;

/*
 * Message queues. Options: backend (memory, sqlite), db_path, max_message_bytes, max_bytes,
 * max_queues.
 */
driver_open_fn queuefs_open;
driver_check_fn queuefs_check;
/* Keys and values in memory. Options: max_bytes, max_value_bytes. */
driver_open_fn kvfs_open;
/*
 * Live streams, fanned out to all readers. Options: channel_buffer_size, ring_buffer_size (bytes of
 * a reader's backlog and of a stream's history).
 */
driver_open_fn streamfs_open;
/* What the server says about itself. Options: version. */
driver_open_fn serverinfofs_open;
/* /hello, for a first try. No options. */
driver_open_fn hellofs_open;

#endif
