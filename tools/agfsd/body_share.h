/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_BODY_SHARE_H
#define AGFSD_BODY_SHARE_H

/*
 * Content that an operation brings into memory counts with the bodies of requests from before it is
 * asked for until the response has it. The driver takes the share; who runs the operation collects
 * what was taken on its thread, and gives it up when the reply has been delivered.
 */
#include <proxyfs/driver.h>

#define SHARE_MIN 4096 /* smaller content is bounded by the number of requests */

/* Takes a share for n bytes of content of `what`. False: OVERLOAD, nothing was taken. */
bool share_take(const char *what, size_t n, struct pfs_error *err);
/* Around an operation; what share_begin returned is for share_end, which returns what was taken. */
size_t share_begin(void);
size_t share_end(size_t outer);
/* n bytes are counted no more, or elsewhere. */
void share_give(size_t n);
/* Counts what a reply holds beyond its share, of drivers that take none. Returns all of it. */
size_t share_complete(size_t share, const struct pfs_reply *reply);

#endif
