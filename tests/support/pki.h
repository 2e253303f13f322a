/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_TESTS_PKI_H
#define PFS_TESTS_PKI_H

/* Certificates for tests, made on the spot with OpenSSL in a directory of its own. */
#include <stdbool.h>

struct pki {
    char dir[64];
};

struct pki_cert {
    const char *name;   /* files NAME.crt and NAME.key (mode 0600) */
    const char *issuer; /* name of one made before; NULL: self-signed */
    const char *san;    /* "DNS:a,IP:127.0.0.1"; NULL: none */
    const char *eku;    /* "serverAuth"; NULL: none */
    const char *cn;     /* NULL: the name */
    bool is_ca;
    int from_days, to_days; /* validity, relative to now; both 0: -1 to +1 */
    int to_seconds;         /* added to that end */
};

/* Makes the directory, with "ca" (a root) in it. Aborts on failure, as the others do. */
void pki_open(struct pki *p);
/* Removes it. */
void pki_close(struct pki *p);
void pki_make(const struct pki *p, const struct pki_cert *c);
/* Writes the key of NAME to a file, encrypted; traditional: not as PKCS #8. */
void pki_encrypt_key(const struct pki *p, const char *name, bool traditional, const char *file);
/* Writes crl.pem of `issuer` that revokes certificate `revoked` (NULL: nobody). */
void pki_revoke(const struct pki *p, const char *issuer, const char *revoked, const char *file);
/* The path of a file in the directory: a static buffer, eight of them in turn. */
const char *pki_path(const struct pki *p, const char *file);

#endif
