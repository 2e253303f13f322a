/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "net/md5.h"
#include <openssl/evp.h>

/* struct md5 is OpenSSL's context by another name. */
static EVP_MD_CTX *context(struct md5 *m)
{
    return (EVP_MD_CTX *)(void *)m;
}

struct md5 *md5_new(void)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    if (ctx && EVP_DigestInit_ex(ctx, EVP_md5(), NULL) != 1) {
        EVP_MD_CTX_free(ctx);
        ctx = NULL;
    }
    return (struct md5 *)(void *)ctx;
}

bool md5_update(struct md5 *m, const void *data, size_t n)
{
    return EVP_DigestUpdate(context(m), data, n) == 1;
}

bool md5_final(struct md5 *m, char hex[33])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    bool good = EVP_DigestFinal_ex(context(m), raw, &n) == 1 && n == 16;

    for (unsigned i = 0; good && i < 16; i++) {
        hex[2 * i] = digits[raw[i] >> 4];
        hex[2 * i + 1] = digits[raw[i] & 15];
    }
    hex[32] = '\0';
    EVP_MD_CTX_free(context(m));
    return good;
}
