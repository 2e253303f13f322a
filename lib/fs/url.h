/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_FS_URL_H
#define PFS_FS_URL_H

#include "fs/options.h"

/*
 * Splits o->base_url into use_tls, host, port, authority, base_path, userinfo and masked_url.
 * Errors: CONFIG (says how a base_url looks), NOMEM.
 */
PFS_MUST_CHECK enum pfs_class url_parse(struct options *o, struct pfs_error *err);

#endif
