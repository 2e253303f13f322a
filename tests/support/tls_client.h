/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef TESTS_TLS_CLIENT_H
#define TESTS_TLS_CLIENT_H

#include <proxyfs/proxyfs.h>
#include <stdint.h>

/*
 * A client of what listens on loopback with the certificates of pki_dir, with n further options
 * (TLS_CLIENT_OPTIONS_MAX at most). Ends the process with a message where it cannot be made.
 */
#define TLS_CLIENT_OPTIONS_MAX 8
struct pfs_client *tls_client_new(uint16_t port, const char *pki_dir,
                                  const struct pfs_option *options, size_t n);
/* The same, which has had an answer of the server already, and so knows what it can do. */
struct pfs_client *tls_client_up(uint16_t port, const char *pki_dir,
                                 const struct pfs_option *options, size_t n);

#endif
