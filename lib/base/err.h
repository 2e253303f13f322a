/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_BASE_ERR_H
#define PFS_BASE_ERR_H

/* Filling and prefixing error values. All functions accept err == NULL and do nothing with it. */
#include "base/cold.h"
#include <proxyfs/error.h>
#include <stddef.h>

/*
 * Fills *err from scratch and returns cls, so that `return pfs_fail(err, ...)` ends a function. The
 * text's control characters are escaped and it is cut at PFS_ERROR_TEXT_MAX - 1 bytes.
 */
PFS_COLD enum pfs_class pfs_fail(struct pfs_error *err, enum pfs_class cls,
                                 enum pfs_outcome outcome, enum pfs_phase phase, const char *format,
                                 ...) PFS_PRINTF(5, 6);
/* The same with PFS_PHASE_LOCAL and PFS_OUTCOME_NA: a call refused before anything was sent. */
PFS_COLD enum pfs_class pfs_refuse(struct pfs_error *err, enum pfs_class cls, const char *format,
                                   ...) PFS_PRINTF(3, 4);
/* Out of memory before anything was sent; `what` names what could not be had. */
PFS_COLD enum pfs_class pfs_nomem(struct pfs_error *err, const char *what);
/* A remote took less than it was given: TRUNCATED, applied. */
PFS_COLD enum pfs_class pfs_short_write(struct pfs_error *err, int64_t written, size_t len);
/* Puts "PREFIX: " before the text. */
PFS_COLD void pfs_err_prefix(struct pfs_error *err, const char *format, ...) PFS_PRINTF(2, 3);
/* Class of an errno value of a local system call (files): ENOENT NOTFOUND, EACCES DENIED, ... */
enum pfs_class pfs_class_of_errno(int eno);
/*
 * Copies at most n bytes of s to dst as one safe line: control characters and invalid UTF-8 as
 * \xHH, cut at cap - 1 bytes without splitting an escape. Returns the length of the result.
 */
size_t pfs_escape_line(char *dst, size_t cap, const char *s, size_t n);

#endif
