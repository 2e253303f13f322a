/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_NATIVE_H
#define AGFSD_NATIVE_H

/*
 * The native plugin host: shared libraries with the stock ABI (proxyfs/agfs_plugin.h) as drivers.
 * It behaves as the stock Go host does, except where that would crash or leak: see native_ops.c.
 *
 * As there, a library has one instance, made when it is loaded; mounts of one library share it,
 * each is validated and initialised for itself, and the instance sees one Shutdown per unmount.
 * Nothing is ever unmapped, and the instance is never freed: threads of the plugin may still run.
 * Code of a plugin can crash the server. Functions: any thread; all may block in the plugin.
 */
#include <proxyfs/driver.h>

struct native;

/* Tells whether a type name is taken already (built-in drivers). */
typedef bool native_taken_fn(void *arg, const char *name);

/*
 * Loads the library at `path` (relative to the working directory or absolute). One that is loaded
 * already is copied to $TMPDIR/BASE.N.EXT and loaded from there, so that its static data is its
 * own. A name that another loaded library has, or that `taken` (may be NULL) claims, becomes
 * NAME-1, NAME-2, ... *ret: native_unload. Errors: NOTFOUND, CONFIG (no library for this machine,
 * no PluginNew, it returned nothing, no name), IO, NOMEM; texts as the stock server's.
 */
PFS_MUST_CHECK enum pfs_class native_load(const char *path, native_taken_fn *taken, void *arg,
                                          struct native **ret, struct pfs_error *err);

/* Name for mounting, the name the plugin gave itself, and the path opened. Owned by n. */
const char *native_name(const struct native *n);
const char *native_original_name(const struct native *n);
const char *native_path(const struct native *n);

/*
 * Mounts: PluginValidate and PluginInitialize with config_json (an object that holds mount_path
 * too; borrowed). *ret belongs to the caller; its ops->close, when no call is in flight, is the
 * unmount. Errors: CONFIG "failed to validate plugin: ...", the class the text names for "failed to
 * initialize plugin: ...", NOMEM.
 */
PFS_MUST_CHECK enum pfs_class native_driver_open(struct native *n, const char *config_json,
                                                 struct pfs_driver **ret, struct pfs_error *err);

/* PluginValidate only. Errors: CONFIG "failed to validate plugin: ...". */
PFS_MUST_CHECK enum pfs_class native_validate(struct native *n, const char *config_json,
                                              struct pfs_error *err);

/*
 * Shuts the instance down once more, as the stock host does, and forgets the library: n is freed.
 * The code stays mapped; loading the same path again finds it with its static data as left.
 * Errors: EXISTS (mounts are left; n stays as it is).
 */
PFS_MUST_CHECK enum pfs_class native_unload(struct native *n, struct pfs_error *err);

#endif
