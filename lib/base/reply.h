/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_BASE_REPLY_H
#define PFS_BASE_REPLY_H

/* Empty errors and replies. Their texts are two thirds of them and are ended, not zeroed. */
#include <proxyfs/driver.h>
#include <stddef.h>
#include <string.h>

static inline void pfs_error_init(struct pfs_error *err)
{
    memset(err, 0, offsetof(struct pfs_error, origin));
    err->origin[0] = err->text[0] = '\0';
}

static inline void pfs_reply_init(struct pfs_reply *reply)
{
    pfs_error_init(&reply->err);
    memset(&reply->data, 0, sizeof *reply - offsetof(struct pfs_reply, data));
}

/* As pfs_reply_fini, for one that is used no more: it is not made empty. */
void pfs_reply_drop(struct pfs_reply *reply);

#endif
