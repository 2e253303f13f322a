/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_MOUNTER_H
#define AGFSD_MOUNTER_H

/*
 * Bringing mounts up: by request, and those of the configuration in the background, again and again
 * until they are up, or fail with CONFIG and no sys_errno: what is configured wrongly stays so. Its
 * thread also ends the leases of handles.
 */
#include "registry.h"
#include "vfs.h"

#define RETRY_FIRST_MS 1000 /* then x1.6 each time ... */
#define RETRY_MAX_MS 30000  /* ... up to this */
#define OWN_MOUNTS_MAX_MS 5000

/* Mounts on this thread, which may block for seconds. Errors: EXISTS, those of registry_open. */
enum pfs_class mounter_mount(struct vfs *v, struct registry *r, const struct mount_spec *spec,
                             struct pfs_error *err);

struct mounter;

/*
 * Reserves the n specs (strings are copied) and starts the thread that brings them up. Errors:
 * CONFIG (two mounts on one path), NOMEM. *ret: mounter_stop.
 */
enum pfs_class mounter_start(struct vfs *v, struct registry *r, const struct mount_spec *specs,
                             size_t n, struct mounter **ret, struct pfs_error *err);
/*
 * Waits until the mounts that need no other server have been tried, so that who starts a server and
 * uses it finds its own files; for OWN_MOUNTS_MAX_MS at most (a file system may hang).
 */
void mounter_await_own(struct mounter *m);
/* Those that were given up are tried again. */
void mounter_retry(struct mounter *m);
/* Waits for a mount that is being tried right now. NULL allowed. */
void mounter_stop(struct mounter *m);

#endif
