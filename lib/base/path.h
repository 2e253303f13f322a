/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_BASE_PATH_H
#define PFS_BASE_PATH_H

/* AGFS paths: "/a/b", normalised lexically (agfs-http-api.md 5.1, reliability bar A9). */
#include <proxyfs/error.h>
#include <stdbool.h>
#include <stddef.h>

#define PFS_PATH_MAX 4096 /* bytes, as Linux PATH_MAX */
#define PFS_COMPONENT_MAX 255

/*
 * Writes the normal form of the n bytes at s to dst (PFS_PATH_MAX + 1 bytes): leading '/', no
 * empty,
 * "." or ".." component (".." stops at the root), no trailing '/' except the root itself.
 * Errors: INVALID for NUL, invalid UTF-8, too long a path or component; text says which.
 */
PFS_MUST_CHECK enum pfs_class pfs_path_normalize(const char *s, size_t n, char *dst,
                                                 struct pfs_error *err);
/* Last component; "/" for the root. Points into path. */
const char *pfs_path_base(const char *path);
/*
 * True when `path` is `prefix` or below it (whole components); *ret_rest then points into path at
 * the rest with its leading '/', or at a static "/" when they are equal. Both normalised.
 */
bool pfs_path_below(const char *path, const char *prefix, const char **ret_rest);
/* Joins a normalised directory and a relative or absolute-looking name; false: too long. */
bool pfs_path_join(char dst[PFS_PATH_MAX + 1], const char *dir, const char *name);

#endif
