/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "fs/secret.h"
#include "base/alloc.h"
#include "base/err.h"
#include "base/log.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define TOKEN_MAX 8192

void secret_free(char *s)
{
    if (s) {
        explicit_bzero(s, strlen(s));
        pfs_free(s);
    }
}

/*
 * Up to TOKEN_MAX + 1 bytes; -1 and errno, 0 in errno: no regular file. Nothing that would keep its
 * reader waiting, as a pipe may: all other clients that begin wait for this.
 */
static ssize_t read_regular(const char *file, char token[TOKEN_MAX + 1])
{
    struct stat st;
    ssize_t n = -1;
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0) {
        return -1;
    }
    if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode)) {
        errno = 0;
    } else {
        n = read(fd, token, TOKEN_MAX + 1);
    }
    int eno = errno;
    close(fd);
    errno = eno;
    return n;
}

static enum pfs_class read_token(const char *file, char token[TOKEN_MAX + 1], struct pfs_error *err)
{
    ssize_t n = read_regular(file, token);

    if (n < 0) {
        int eno = errno;

        pfs_refuse(err, PFS_CONFIG, "token_file '%s': %s", file,
                   eno ? strerror(eno) : "not a regular file");
        if (err) {
            err->sys_errno = eno;
        }
        return PFS_CONFIG;
    }
    while (n > 0 && (token[n - 1] == '\n' || token[n - 1] == '\r' || token[n - 1] == ' ')) {
        n--;
    }
    if (n == 0 || n > TOKEN_MAX) {
        return pfs_refuse(err, PFS_CONFIG, "token_file '%s' is %s", file,
                          n ? "longer than 8 KiB" : "empty");
    }
    for (ssize_t i = 0; i < n; i++) {
        if (token[i] <= ' ' || token[i] > '~') {
            return pfs_refuse(err, PFS_CONFIG,
                              "token_file '%s' has a blank or control character in it", file);
        }
    }
    token[n] = '\0';
    return PFS_OK;
}

static char *join(const char *scheme, const char *value)
{
    size_t n = strlen(scheme) + strlen(value) + 2;
    char *s = pfs_malloc(n);

    if (s) {
        snprintf(s, n, "%s %s", scheme, value);
    }
    return s;
}

/* RFC 4648 section 4. */
static char *base64(const char *s)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = strlen(s);
    char *out = pfs_malloc((n + 2) / 3 * 4 + 1), *p = out;

    for (size_t i = 0; out && i < n; i += 3) {
        unsigned b0 = (unsigned char)s[i], b1 = i + 1 < n ? (unsigned char)s[i + 1] : 0,
                 b2 = i + 2 < n ? (unsigned char)s[i + 2] : 0;

        *p++ = digits[b0 >> 2];
        *p++ = digits[(b0 & 3) << 4 | b1 >> 4];
        *p++ = i + 1 < n ? digits[(b1 & 15) << 2 | b2 >> 6] : '=';
        *p++ = i + 2 < n ? digits[b2 & 63] : '=';
    }
    if (out) {
        *p = '\0';
    }
    return out;
}

enum pfs_class secret_authorization(const struct options *o, char **ret, struct pfs_error *err)
{
    char token[TOKEN_MAX + 1];
    enum pfs_class cls = PFS_OK;

    *ret = NULL;
    if (o->token_file) {
        cls = read_token(o->token_file, token, err);
        if (cls == PFS_OK) {
            *ret = join("Bearer", token);
        }
        explicit_bzero(token, sizeof token);
    } else if (o->userinfo) {
        char *encoded = base64(o->userinfo);
        *ret = encoded ? join("Basic", encoded) : NULL;
        secret_free(encoded);
    } else {
        return PFS_OK;
    }
    return cls != PFS_OK || *ret ? cls : pfs_nomem(err, "an authorization");
}

static bool is_loopback(const char *host)
{
    struct in6_addr a;
    struct in_addr a4;

    if (inet_pton(AF_INET, host, &a4) == 1) {
        return ntohl(a4.s_addr) >> 24 == 127;
    }
    return strcasecmp(host, "localhost") == 0 ||
           (inet_pton(AF_INET6, host, &a) == 1 && IN6_IS_ADDR_LOOPBACK(&a));
}

void secret_warn(const struct options *o)
{
    struct stat st;

    if (o->token_file && stat(o->token_file, &st) == 0 && st.st_mode & (S_IROTH | S_IWOTH)) {
        log_warn("token_file '%s' is everybody's to read or write (mode %03o): chmod 600 it",
                 o->token_file, (unsigned)(st.st_mode & 0777));
    }
    if ((o->token_file || o->userinfo) && !o->use_tls && !is_loopback(o->host)) {
        log_warn("%s: the %s over the network in clear text: use https", o->masked_url,
                 o->token_file ? "token goes" : "user and password go");
    }
}
