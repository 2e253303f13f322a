/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_REGISTRY_H
#define AGFSD_REGISTRY_H

/*
 * Which types of file systems there are (built in, or in loaded libraries), and making drivers of
 * them. Any thread; opening may block.
 */
#include "vfs.h"
#include "wire/json.h"

struct registry;

struct registry *registry_new(void); /* NULL: out of memory */
/* Every driver made by it must be closed. NULL allowed. */
void registry_free(struct registry *r);

/* A built-in type whose files are this server's own: opening it waits for no other machine. */
bool registry_is_own(const char *type);
/*
 * Makes a driver. config: a JSON object's text or NULL; mount_path is added to it. Errors: CONFIG
 * "unknown filesystem type: X; there are ...", "failed to validate plugin: ...", "failed to
 * initialize plugin:
 * ...", and other classes the driver's start can have.
 */
enum pfs_class registry_open(struct registry *r, const char *type, const char *config,
                             const char *mount_path, struct pfs_driver **ret,
                             struct pfs_error *err);
/*
 * Whether registry_open has a chance: options and files are looked at as it does, but nothing is
 * connected to and nothing made. Errors as there.
 */
enum pfs_class registry_check(struct registry *r, const char *type, const char *config,
                              const char *mount_path, struct pfs_error *err);

/*
 * A configuration as plugins get it (plugin-abi.md 5.1): compact, keys sorted; mount_path is ours,
 * or left out when NULL. malloc'ed; NULL: out of memory.
 */
char *registry_config_text(struct json_value config, const char *mount_path);

/* A loaded library. Strings are borrowed during the call; original NULL: not renamed. */
struct registry_type {
    const char *name, *library_path, *original;
};
/* Loads a library; fn is told of it, before anybody can unload it. Errors: of native_load. */
enum pfs_class registry_load(struct registry *r, const char *path,
                             void (*fn)(void *arg, const struct registry_type *t), void *arg,
                             struct pfs_error *err);
/* Forgets a library by the path it was opened from. Errors: NOTFOUND, EXISTS (mounted). */
enum pfs_class registry_unload(struct registry *r, const char *path, struct pfs_error *err);
/* Calls fn for each type, under the registry's lock. */
void registry_each(struct registry *r, void (*fn)(void *arg, const struct registry_type *t),
                   void *arg);

#endif
