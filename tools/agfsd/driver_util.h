/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_DRIVER_UTIL_H
#define AGFSD_DRIVER_UTIL_H

/* What the built-in drivers share: filling listings, and what the flags of a write mean. */
#include <proxyfs/driver.h>
#include <pthread.h>

#define MODE_TYPE_DIR 0x80000000u /* Go's os.FileMode bits (agfs-http-api.md 8.2) */
#define MODE_TYPE_LINK 0x08000000u

/* Puts one more entry at the end of reply->list (zeroed); NULL: out of memory. *cap: its room. */
struct pfs_stat *reply_add_entry(struct pfs_reply *reply, size_t *cap);

/* ---- what takes too long for an event loop: pfs_driver_ops.is_long ---- */

#define LONG_BYTES (1u << 20) /* moved in a tenth of a millisecond; with new pages in one */
#define ENTRY_BYTES 512       /* what an entry of a listing costs, in bytes moved */
/* Most owners of a lock that is for no wait have it for less than a microsecond. */
#define LOCK_TRIES 100

/* Takes the lock, for writing if the operation changes something. False: somebody is long at it. */
bool lock_soon(pthread_rwlock_t *lock, bool changes);

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
