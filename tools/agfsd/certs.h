/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_CERTS_H
#define AGFSD_CERTS_H

/* The files of the server's TLS: reading them, and noticing that they were replaced. */
#include "config.h"
#include "net/tls.h"
#include <sys/stat.h>

/* How the files looked when they were read last. */
struct certs {
    struct stat seen[4];
};

/* Reads them, whole or not at all: tls_ctx_unref(*ret). Errors: CONFIG, NOMEM. */
enum pfs_class certs_read(struct certs *s, const struct config *c, struct tls_ctx **ret,
                          struct pfs_error *err);
/* True when one of them is another than at the last reading, good or bad. */
bool certs_changed(const struct certs *s, const struct config *c);

#endif
