/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* base_url: "https://[user:password@]host[:port][/prefix]/api/v1", of RFC 3986 what we allow. */
#include "fs/url.h"
#include "base/alloc.h"
#include "base/err.h"
#include "base/mask.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define API "/api/v1"
#define EXAMPLE "it looks like https://host:8443/api/v1 or http://host:8080/api/v1"

/* Where the parts of the URL lie. */
struct parts {
    const char *userinfo, *host, *port, *path;
    size_t n_userinfo, n_host, n_port;
};

static size_t scheme_length(const char *url)
{
    return strncasecmp(url, "https://", 8) == 0 ? 8 : strncasecmp(url, "http://", 7) == 0 ? 7 : 0;
}

static enum pfs_class bad(struct pfs_error *err, const struct options *o, const char *what)
{
    return pfs_refuse(err, PFS_CONFIG, "invalid base_url '%s': %s; " EXAMPLE, o->masked_url, what);
}

#define LETTERS_AND_DIGITS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
/* A host name; what may stand in a path (RFC 3986: pchar and '/', but '@'). Not by isalnum, which
 * depends on the host program's locale. */
#define HOST_CHARS LETTERS_AND_DIGITS "-._"
#define PATH_CHARS LETTERS_AND_DIGITS "-._~!$&'()*+,;=:%/"

/* host[:port] with IPv6 in brackets; false: malformed. */
static bool split_host(const char *s, size_t n, struct parts *p)
{
    size_t host_end;

    if (n > 0 && s[0] == '[') {
        const char *close = memchr(s, ']', n);
        if (!close) {
            return false;
        }
        p->host = s + 1;
        p->n_host = (size_t)(close - s) - 1;
        host_end = (size_t)(close - s) + 1;
    } else {
        const char *colon = memchr(s, ':', n);
        p->host = s;
        p->n_host = host_end = colon ? (size_t)(colon - s) : n;
    }
    if (host_end == n) {
        return true;
    }
    p->port = s + host_end + 1;
    p->n_port = n - host_end - 1;
    return s[host_end] == ':';
}

static bool split(const char *rest, struct parts *p)
{
    size_t n = strcspn(rest, "/?#");
    const char *at = NULL;

    *p = (struct parts){.path = rest + n};
    for (size_t i = 0; i < n; i++) {
        if (rest[i] == '@') {
            at = rest + i;
        }
    }
    if (at) {
        p->userinfo = rest;
        p->n_userinfo = (size_t)(at - rest);
        n -= p->n_userinfo + 1;
        rest = at + 1;
    }
    return split_host(rest, n, p);
}

/* In brackets: an IPv6 address, perhaps with a zone ("fe80::1%eth0"). */
static bool is_ipv6(const char *s, size_t n)
{
    char text[64];
    struct in6_addr ignored;
    size_t address = strcspn(s, "%]");

    if (n >= sizeof text || address > n || strspn(s + address, "%" HOST_CHARS) < n - address) {
        return false;
    }
    memcpy(text, s, address);
    text[address] = '\0';
    return inet_pton(AF_INET6, text, &ignored) == 1 && address + 1 != n;
}

static bool is_host(const struct parts *p)
{
    bool in_brackets = p->host[-1] == '[';
    size_t n = p->n_host;

    return in_brackets ? is_ipv6(p->host, n) : n > 0 && n < 254 && strspn(p->host, HOST_CHARS) >= n;
}

/* 1 to 65535 in decimal; 0: not a port. */
static unsigned parse_port(const char *s, size_t n)
{
    unsigned v = 0;

    for (size_t i = 0; i < n; i++) {
        if (!isdigit((unsigned char)s[i]) || v > 65535) {
            return 0;
        }
        v = v * 10 + (unsigned)(s[i] - '0');
    }
    return v <= 65535 ? v : 0;
}

static int hex_value(char c)
{
    return isdigit((unsigned char)c)    ? c - '0'
           : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10
                                        : -1;
}

/* Each '%' begins a byte, which is not 0. */
static bool is_encoded(const char *s)
{
    for (; (s = strchr(s, '%')) != NULL; s++) {
        if (hex_value(s[1]) < 0 || hex_value(s[2]) < 0 || (s[1] == '0' && s[2] == '0')) {
            return false;
        }
    }
    return true;
}

/* Decodes %XX in place of a fresh copy. */
static char *percent_decode(const char *s, size_t n)
{
    char *copy = pfs_strndup(s, n);
    size_t len = 0;

    for (size_t i = 0; copy && i < n; i++) {
        int hi = s[i] == '%' && i + 2 < n ? hex_value(s[i + 1]) : -1;
        int lo = hi >= 0 ? hex_value(s[i + 2]) : -1;

        copy[len++] = lo >= 0 ? (char)(hi * 16 + lo) : s[i];
        i += lo >= 0 ? 2 : 0;
    }
    if (copy) {
        copy[len] = '\0';
    }
    return copy;
}

static enum pfs_class set_path(struct options *o, const char *path, struct pfs_error *err)
{
    size_t n = strlen(path), api = strlen(API);

    while (n > 0 && path[n - 1] == '/') {
        n--;
    }
    if (strpbrk(path, "?#")) {
        return bad(err, o, "it has a query or fragment");
    }
    if (strchr(path, '@')) { /* of a password with a '/', and the host would be the user's name */
        return bad(err, o,
                   "it has an '@' after the host: a '/' in user or password is written %2F, "
                   "an '@' in the path %40");
    }
    if (path[strspn(path, PATH_CHARS)] || !is_encoded(path)) {
        return bad(err, o, "its path has a character that must be percent-encoded");
    }
    if (n == 0) {
        o->base_path = pfs_strdup(API);
    } else if (n < api || strncmp(path + n - api, API, api) != 0 || strstr(path, "//")) {
        return bad(err, o, "it must end in the API version, " API);
    } else {
        o->base_path = pfs_strndup(path, n);
    }
    return o->base_path ? PFS_OK : pfs_nomem(err, "base_url");
}

static enum pfs_class set_parts(struct options *o, const struct parts *p, struct pfs_error *err)
{
    unsigned port = p->port ? parse_port(p->port, p->n_port) : o->use_tls ? 443 : 80;
    bool ipv6 = memchr(p->host, ':', p->n_host) != NULL;
    size_t n = p->n_host + 10;

    if (p->n_host == 0) {
        return bad(err, o, "it names no host");
    }
    if (!is_host(p)) {
        return bad(err, o, "its host name is malformed");
    }
    if (port == 0) {
        return bad(err, o, "its port is not between 1 and 65535");
    }
    o->port = (uint16_t)port;
    o->host = pfs_strndup(p->host, p->n_host);
    o->authority = pfs_malloc(n);
    if (p->userinfo) {
        o->userinfo = percent_decode(p->userinfo, p->n_userinfo);
    }
    if (!o->host || !o->authority || (p->userinfo && !o->userinfo)) {
        return pfs_nomem(err, "base_url");
    }
    snprintf(o->authority, n, ipv6 ? "[%s]:%u" : "%s:%u", o->host, port);
    return set_path(o, p->path, err);
}

enum pfs_class url_parse(struct options *o, struct pfs_error *err)
{
    struct parts p;

    if (!o->base_url || !*o->base_url) {
        return pfs_refuse(err, PFS_CONFIG, "base_url is required in configuration; " EXAMPLE);
    }
    o->masked_url = pfs_mask_url(o->base_url);
    if (!o->masked_url) {
        return pfs_nomem(err, "base_url");
    }
    for (const char *s = o->base_url; *s; s++) {
        if ((unsigned char)*s <= ' ' || *s == 0x7f || *s == '\\') {
            return bad(err, o, "it has a blank or control character");
        }
    }
    size_t scheme = scheme_length(o->base_url);
    if (scheme == 0) {
        return bad(err, o,
                   strstr(o->base_url, "://") ? "only http and https are possible"
                                              : "it must begin with http:// or https://");
    }
    o->use_tls = scheme == 8;
    if (!split(o->base_url + scheme, &p)) {
        return bad(err, o, "its host is malformed");
    }
    return set_parts(o, &p, err);
}
