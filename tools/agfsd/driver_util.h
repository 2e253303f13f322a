/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_DRIVER_UTIL_H
#define AGFSD_DRIVER_UTIL_H

/* What the built-in drivers share: filling listings, and what the flags of a write mean. */
#include <proxyfs/driver.h>

#define MODE_TYPE_DIR 0x80000000u /* Go's os.FileMode bits (agfs-http-api.md 8.2) */
#define MODE_TYPE_LINK 0x08000000u

/* Puts one more entry at the end of reply->list (zeroed); NULL: out of memory. *cap: its room. */
struct pfs_stat *reply_add_entry(struct pfs_reply *reply, size_t *cap);

/* What a WRITE or OPEN_WRITE asks for, after checking that offset and flags agree. */
struct write_plan {
    bool create, exclusive, sync;
    bool append;
    bool replace; /* the whole content: offset -1 without append, or truncate */
    int64_t at;   /* where the bytes go when neither append nor a pure replacement */
};

/* Errors: BADARG. */
enum pfs_class write_plan_of(const struct pfs_request *req, struct write_plan *ret,
                             struct pfs_error *err);

#endif
