/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "certs.h"
#include "base/err.h"
#include <string.h>

static void look(const struct config *c, struct stat seen[4])
{
    const char *const files[4] = {c->cert, c->key, c->client_ca, c->crl};

    memset(seen, 0, 4 * sizeof *seen);
    for (int i = 0; i < 4; i++) {
        if (files[i] && stat(files[i], &seen[i]) != 0) {
            memset(&seen[i], 0, sizeof seen[i]);
        }
    }
}

enum pfs_class certs_read(struct certs *s, const struct config *c, struct tls_ctx **ret,
                          struct pfs_error *err)
{
    const struct tls_options o = {
        .server = true,
        .ca_file = c->client_ca,
        .cert_file = c->cert,
        .key_file = c->key,
        .crl_file = c->crl,
        .client_cert = c->client_cert_set ? c->client_cert
                       : c->client_ca     ? TLS_CLIENT_CERT_REQUIRED
                                          : TLS_CLIENT_CERT_NONE,
        .clients = (const char *const *)c->clients.items,
        .alpn = "h2,http/1.1",
    };

    look(c, s->seen); /* before: what changes while we read is read again */
    enum pfs_class cls = tls_ctx_new(&o, ret, err);

    if (cls != PFS_OK) {
        pfs_err_prefix(err, "TLS at %s", c->tls_address);
    }
    return cls;
}

bool certs_changed(const struct certs *s, const struct config *c)
{
    struct stat now[4];
    bool changed = false;

    look(c, now);
    for (int i = 0; i < 4; i++) {
        const struct stat *a = &s->seen[i], *b = &now[i];

        changed |= a->st_ino != b->st_ino || a->st_dev != b->st_dev || a->st_size != b->st_size ||
                   memcmp(&a->st_mtim, &b->st_mtim, sizeof a->st_mtim) != 0;
    }
    return changed;
}
