/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* What a certificate says: whose it is, and until when. */
#include "base/clock.h"
#include "base/err.h"
#include "net/tls_internal.h"
#include <openssl/x509v3.h>
#include <stdio.h>

/* The first SAN of `type`, as "PREFIX:VALUE"; control characters cannot come through. */
static bool san_identity(const GENERAL_NAMES *names, int type, const char *prefix, char *dst,
                         size_t cap)
{
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

        if (name->type == type) {
            const ASN1_IA5STRING *s = name->d.ia5; /* URI, DNS and e-mail are all IA5 */
            char value[256];

            pfs_escape_line(value, sizeof value, (const char *)ASN1_STRING_get0_data(s),
                            (size_t)ASN1_STRING_length(s));
            snprintf(dst, cap, "%s:%s", prefix, value);
            return true;
        }
    }
    return false;
}

void tls_cert_identity(X509 *cert, char *dst, size_t cap)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    bool found = names && (san_identity(names, GEN_URI, "uri", dst, cap) ||
                           san_identity(names, GEN_DNS, "dns", dst, cap) ||
                           san_identity(names, GEN_EMAIL, "email", dst, cap));
    GENERAL_NAMES_free(names);
    if (!found) {
        char cn[128] = "";
        char value[256];
        int n =
            X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, cn, sizeof cn);

        pfs_escape_line(value, sizeof value, cn, n > 0 ? (size_t)n : 0);
        snprintf(dst, cap, "cn:%s", value);
    }
}

/*
 * CLOCK_REALTIME; OpenSSL's own difference, as time_t from a broken-down time has no UTC call. A
 * certificate without an end says the year 9999, which nanoseconds do not reach.
 */
int64_t tls_cert_expires(const X509 *cert)
{
    int64_t now = pfs_wall_now();
    int days, seconds;

    if (!ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(cert))) {
        return PFS_NEVER;
    }
    int64_t left_s = (int64_t)days * 86400 + seconds;

    return left_s < (PFS_NEVER - now) / PFS_SEC ? now + left_s * PFS_SEC : PFS_NEVER;
}
