/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "backend.h"
#include <proxyfs/proxyfs.h>

enum pfs_class backend_check(const struct pfs_option *options, size_t n, struct pfs_error *err)
{
    struct pfs_client *c;
    enum pfs_class cls = pfs_client_new(options, n, &c, err);

    if (cls == PFS_OK) {
        pfs_client_free(c);
    }
    return cls;
}

enum pfs_class backend_open(const struct pfs_option *options, size_t n, struct pfs_driver **ret,
                            struct pfs_error *err)
{
    return pfs_proxyfs_open(options, n, ret, err);
}
