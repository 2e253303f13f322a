/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_NATIVE_FILE_H
#define AGFSD_NATIVE_FILE_H

/* Files of plugin libraries. Any thread. Strings returned are malloc'ed. */
#include <proxyfs/error.h>

/* The absolute, lexically clean form of `path`, by which a library is known. Errors: INVALID. */
PFS_MUST_CHECK enum pfs_class native_file_key(const char *path, char **ret, struct pfs_error *err);
/*
 * Checks that the file is a shared library for this machine before the dynamic linker sees it.
 * Errors: NOTFOUND, DENIED, CONFIG.
 */
PFS_MUST_CHECK enum pfs_class native_file_check(const char *path, struct pfs_error *err);
/*
 * Copies it to $TMPDIR/BASE.N.EXT with the first free N. *ret: the copy's path; the file is the
 * caller's to remove. Errors: those of the file system.
 */
PFS_MUST_CHECK enum pfs_class native_file_copy(const char *path, char **ret, struct pfs_error *err);

#endif
