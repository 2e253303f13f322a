/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_LINKS_H
#define AGFSD_LINKS_H

/*
 * The server's own symbolic links (agfs-http-api.md 5.4): a table in memory, over any driver. Paths
 * are normalised. Any thread; no waiting.
 */
#include "base/path.h"
#include <proxyfs/driver.h>

#define LINKS_MAX 10000      /* entries: clients make them */
#define LINKS_NESTING_MAX 10 /* as the stock server */

struct links;

struct links *links_new(void); /* NULL: out of memory */
void links_free(struct links *l);

/* Errors: EXISTS, OVERLOAD (LINKS_MAX), NOMEM. The target is kept as given. */
enum pfs_class links_add(struct links *l, const char *path, const char *target,
                         struct pfs_error *err);
/* True when there was one. */
bool links_remove(struct links *l, const char *path);
/* Renames a link. Errors: NOTFOUND, EXISTS (`to` is one), NOMEM. */
enum pfs_class links_rename(struct links *l, const char *from, const char *to,
                            struct pfs_error *err);
/* The target of the link at path, malloc'ed; NULL: none there, or (*err NOMEM) no memory. */
char *links_target(struct links *l, const char *path, struct pfs_error *err);
/*
 * Writes path with its links resolved to dst; the last component only when follow_last. Errors:
 * BADARG (nested too deeply), INVALID (too long).
 */
enum pfs_class links_resolve(struct links *l, const char *path, bool follow_last,
                             char dst[PFS_PATH_MAX + 1], struct pfs_error *err);
/* Names of the links directly in directory dir: calls fn for each, stops when it says false. */
void links_each(struct links *l, const char *dir, bool (*fn)(void *arg, const char *name),
                void *arg);

#endif
