/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_FS_SECRET_H
#define PFS_FS_SECRET_H

#include "fs/options.h"

/*
 * The value of the authorization header field: from token_file (Bearer, RFC 6750) or from the user
 * and password of base_url (Basic, RFC 7617). *ret: secret_free; NULL when there is neither.
 * Errors: CONFIG (file unreadable, not a regular one, empty, longer than 8 KiB, with control
 * characters), NOMEM. Never shown anywhere.
 */
PFS_MUST_CHECK enum pfs_class secret_authorization(const struct options *o, char **ret,
                                                   struct pfs_error *err);
/* Warns, with no lock held, when others may read the secret: in its file, or on the network. */
void secret_warn(const struct options *o);
/* Overwrites and frees. NULL allowed. */
void secret_free(char *s);

#endif
