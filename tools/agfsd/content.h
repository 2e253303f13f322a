/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_CONTENT_H
#define AGFSD_CONTENT_H

/* Reading a file of the tree piece by piece on the calling thread, which may block. */
#include "vfs.h"

/* One piece of the content; false ends the reading (which is no error). */
typedef bool content_fn(void *arg, const char *data, size_t n);

/* Hands the content of req->path to fn. req gives deadline, hops and identity. Errors: any. */
enum pfs_class content_read(struct vfs *v, const struct pfs_request *req, content_fn *fn, void *arg,
                            struct pfs_error *err);

#endif
