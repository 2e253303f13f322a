/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "tls_client.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void die(const struct pfs_error *err)
{
    fprintf(stderr, "FAIL: client: %s\n", err->text);
    _exit(1);
}

struct pfs_client *tls_client_new(uint16_t port, const char *pki_dir,
                                  const struct pfs_option *options, size_t n)
{
    char url[64], ca[512];
    struct pfs_option o[2 + TLS_CLIENT_OPTIONS_MAX] = {{"base_url", url}, {"ca_file", ca}};
    struct pfs_client *c;
    struct pfs_error err;

    snprintf(url, sizeof url, "https://127.0.0.1:%u", port);
    snprintf(ca, sizeof ca, "%s/ca.pem", pki_dir);
    if (n > TLS_CLIENT_OPTIONS_MAX) {
        abort();
    }
    for (size_t i = 0; i < n; i++) {
        o[2 + i] = options[i];
    }
    if (pfs_client_new(o, 2 + n, &c, &err) != PFS_OK) {
        die(&err);
    }
    return c;
}

struct pfs_client *tls_client_up(uint16_t port, const char *pki_dir,
                                 const struct pfs_option *options, size_t n)
{
    struct pfs_client *c = tls_client_new(port, pki_dir, options, n);
    struct pfs_error err;

    if (pfs_health(c, &err) != PFS_OK) {
        die(&err);
    }
    return c;
}
