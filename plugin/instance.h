/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PLUGIN_INSTANCE_H
#define PLUGIN_INSTANCE_H

/*
 * The one instance of a loaded library. The stock host makes one per load, initialises it once for
 * each mount, shuts it down and frees it at each unmount and at unload, and goes on calling
 * afterwards; no call says to which mount it belongs. So one instance serves one remote: mounts
 * with the same options share it and are counted, other options are refused while it is open, and
 * a closed instance can be opened again. All functions: any thread.
 */
#include "base/pool.h"
#include <proxyfs/driver.h>
#include <stdatomic.h>
#include <stdbool.h>

/* How long the host's mount table may be held up by calls that are still running. */
#define INSTANCE_DRAIN_MS 5000
/* How long a mount waits for another mount of the same instance that is being opened or closed. */
#define INSTANCE_TURN_MS 60000

/* An open remote. Fixed after create but for `closing` and what instance.c keeps under its lock. */
struct session {
    struct pfs_driver *driver;
    struct pfs_pool *pool;
    int64_t timeout_ns;
    atomic_bool closing; /* calls that still wait for a worker give up */
    unsigned refs;       /* the instance's and one per call; under the instance's lock */
};

/* What the host holds as the instance: static zero bytes, never freed, nothing is kept there. */
void *instance_area(void);

/* Checks a configuration without contacting the remote. Errors: CONFIG, NOMEM, NOFILE. */
PFS_MUST_CHECK enum pfs_class instance_check(const char *config_json, struct pfs_error *err);
/*
 * Opens the remote, or counts one more mount of the open one. Blocks for as long as the driver's
 * opening does. Errors: CONFIG (also: open with other options), TIMEOUT, and those of the driver.
 */
PFS_MUST_CHECK enum pfs_class instance_open(const char *config_json, struct pfs_error *err);
/*
 * Ends one mount; the last one closes the remote: new calls fail with SHUTDOWN, those in progress
 * have INSTANCE_DRAIN_MS to end, and whichever is the last to let go frees the driver. Nothing
 * happens when nothing is open.
 */
void instance_close(void);

/*
 * Starts a call: the session stays until instance_leave. NULL with *err: INVALID (`plugin` is no
 * instance), SHUTDOWN (not open).
 */
struct session *instance_enter(const void *plugin, struct pfs_error *err);
void instance_leave(struct session *s);

#endif
