/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_VFS_HOLDER_H
#define AGFSD_VFS_HOLDER_H

/*
 * Who has handles, and how many: a client by the name in its certificate, one without by the
 * address it comes from, so that none can take them all. Names and addresses stand in one list,
 * under the lock of the handles; a holder is in it while it has any.
 */
#include "base/list.h"
#include <proxyfs/driver.h>

struct holder {
    struct list link;
    unsigned n, n_uploads; /* handles, and those of HANDLE_REPLACE among them */
    bool is_named;         /* key is a name, else an address */
    size_t len;
    unsigned char key[];
};

/* For who asks; *ret NULL: neither name nor address is known. False: out of memory. */
bool holder_new(const struct pfs_request *req, struct holder **ret);
/* The one in the list that is the same; *spare, which is taken then, where there is none. */
struct holder *holder_enter_locked(struct list *holders, struct holder **spare);
/* It has one handle less; w NULL allowed. */
void holder_leave_locked(struct holder *w, bool is_upload);
/* Is that whose upload req may use? Of clients without a name each is as good as the other: their
 * addresses change. w NULL: had neither. */
bool holder_is_of(const struct holder *w, const struct pfs_request *req);

#endif
