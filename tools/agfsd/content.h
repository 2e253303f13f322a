/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_CONTENT_H
#define AGFSD_CONTENT_H

/* Files piece by piece on the calling thread, which may block. */
#include "vfs.h"

/* One piece of the content; false ends the reading (which is no error). */
typedef bool content_fn(void *arg, const char *data, size_t n);

/*
 * Hands the content of req->path to fn. req gives deadline, hops, identity and fate. Errors: any;
 * those of vfs_is_over, which is looked at for each piece and while waiting for one.
 */
enum pfs_class content_read(struct vfs *v, const struct pfs_request *req, content_fn *fn, void *arg,
                            struct pfs_error *err);
/* The same; *ret_receipt is that of content which is nowhere else any more, or NULL. */
enum pfs_class content_take(struct vfs *v, const struct pfs_request *req, content_fn *fn, void *arg,
                            struct pfs_receipt **ret_receipt, struct pfs_error *err);

/*
 * Writes a file of driver d piece by piece, likewise: as a stream where the driver has them, else
 * gathered (TOOBIG beyond CONTENT_GATHER_MAX). It is replaced by content_put_end only.
 */
#define CONTENT_GATHER_MAX (64u << 20)
struct content_put;
/* req gives path, deadline, hops and identity, and is borrowed. Errors: any. */
enum pfs_class content_put_begin(struct vfs *v, struct pfs_driver *d, const struct pfs_request *req,
                                 struct content_put **ret, struct pfs_error *err);
enum pfs_class content_put(struct content_put *p, const char *data, size_t n,
                           struct pfs_error *err);
/* Commits, or leaves the old content; frees p. */
enum pfs_class content_put_end(struct content_put *p, bool commit, struct pfs_error *err);

#endif
