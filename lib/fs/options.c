/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* One table: name, type, place, default, range. Unknown, malformed, contradictory: refused. */
#include "fs/options.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/path.h"
#include "fs/url.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum option_type { TEXT, BOOL, COUNT, DURATION, PROTOCOL };

static const struct option_row {
    const char *name;
    enum option_type type;
    size_t offset;
    const char *initial; /* default, in the form a user would give; NULL: none */
    int64_t min, max;    /* COUNT: as is; DURATION: in ns */
} rows[] = {
#define ROW(member, type, initial, min, max)                                                       \
    {                                                                                              \
#member, type, offsetof(struct options, member), initial, min, max                         \
    }
#define TIME(name, initial, min, max)                                                              \
    {                                                                                              \
#name, DURATION, offsetof(struct options, name##_ns), initial, min, max                    \
    }
    ROW(base_url, TEXT, NULL, 0, 0),
    ROW(protocol, PROTOCOL, "auto", 0, 0),
    ROW(ca_file, TEXT, NULL, 0, 0),
    ROW(client_cert, TEXT, NULL, 0, 0),
    ROW(client_key, TEXT, NULL, 0, 0),
    ROW(crl_file, TEXT, NULL, 0, 0),
    ROW(server_name, TEXT, NULL, 0, 0),
    ROW(min_tls, TEXT, NULL, 0, 0),
    ROW(insecure_skip_verify, BOOL, "false", 0, 0),
    ROW(token_file, TEXT, NULL, 0, 0),
    TIME(timeout, "30s", 1, 3600 * PFS_SEC),
    TIME(connect_timeout, "5s", PFS_MS, 300 * PFS_SEC),
    TIME(keepalive_interval, "10s", PFS_SEC, 3600 * PFS_SEC),
    TIME(keepalive_timeout, "5s", 100 * PFS_MS, 300 * PFS_SEC),
    TIME(spin, "200us", 0, PFS_MS),
    ROW(max_connections, COUNT, "0", 0, 64),
    ROW(max_streams, COUNT, "100", 1, 1000),
    ROW(transfer_streams, COUNT, "0", 0, 16),
    ROW(workers, COUNT, "64", 1, 1024),
    ROW(queue_depth, COUNT, "1024", 0, 1000000),
    ROW(retries, COUNT, "3", 1, 10),
    ROW(retry_writes, BOOL, "false", 0, 0),
    ROW(trust_refused, BOOL, "false", 0, 0),
    ROW(remote_path, TEXT, "/", 0, 0),
    ROW(read_only, BOOL, "false", 0, 0),
    ROW(lazy, BOOL, "false", 0, 0),
#undef ROW
#undef TIME
};
#define N_ROWS (sizeof rows / sizeof rows[0])

static bool parse_bool(const char *s, bool *ret)
{
    if (strcasecmp(s, "true") == 0 || strcmp(s, "1") == 0 || strcasecmp(s, "yes") == 0 ||
        strcasecmp(s, "on") == 0) {
        *ret = true;
        return true;
    }
    *ret = false;
    return strcasecmp(s, "false") == 0 || strcmp(s, "0") == 0 || strcasecmp(s, "no") == 0 ||
           strcasecmp(s, "off") == 0;
}

/* Digits, and what follows them. */
static bool parse_number(const char *s, int64_t *ret, const char **ret_end)
{
    char *end;

    if (!isdigit((unsigned char)*s)) {
        return false;
    }
    long long v = strtoll(s, &end, 10);
    *ret = v;
    *ret_end = end;
    return v < PFS_NEVER / (3600 * PFS_SEC);
}

static bool parse_duration(const char *s, int64_t *ret)
{
    static const struct {
        const char *unit;
        int64_t ns;
    } units[] = {{"", PFS_SEC}, {"s", PFS_SEC},      {"ms", PFS_MS},
                 {"us", 1000},  {"m", 60 * PFS_SEC}, {"h", 3600 * PFS_SEC}};
    const char *end;
    int64_t v;

    if (!parse_number(s, &v, &end)) {
        return false;
    }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(end, units[i].unit) == 0) {
            *ret = v * units[i].ns;
            return true;
        }
    }
    return false;
}

static enum pfs_class bad_value(struct pfs_error *err, const char *name, const char *value,
                                const char *form)
{
    return pfs_refuse(err, PFS_CONFIG, "invalid %s '%s': %s", name, value, form);
}

static enum pfs_class set_text(char **to, const char *value, struct pfs_error *err)
{
    char *copy = pfs_strdup(value);

    if (!copy) {
        return pfs_nomem(err, "options");
    }
    pfs_free(*to);
    *to = copy;
    return PFS_OK;
}

static enum pfs_class set_protocol(enum wire_protocol *to, const char *value, struct pfs_error *err)
{
    static const char *const names[] = {
        [PROTOCOL_AUTO] = "auto", [PROTOCOL_H2] = "h2", [PROTOCOL_H1] = "h1"};

    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(value, names[i]) == 0) {
            *to = (enum wire_protocol)i;
            return PFS_OK;
        }
    }
    return bad_value(err, "protocol", value, "it is one of auto, h2, h1");
}

static enum pfs_class set_option(struct options *o, const struct option_row *row, const char *value,
                                 struct pfs_error *err)
{
    void *to = (char *)o + row->offset;
    const char *end;
    int64_t v;

    switch (row->type) {
    case TEXT:
        return set_text(to, value, err);
    case PROTOCOL:
        return set_protocol(to, value, err);
    case BOOL:
        return parse_bool(value, to) ? PFS_OK
                                     : bad_value(err, row->name, value, "it is true or false");
    case COUNT:
        if (!parse_number(value, &v, &end) || *end || v < row->min || v > row->max) {
            char form[64];
            snprintf(form, sizeof form, "a number from %lld to %lld", (long long)row->min,
                     (long long)row->max);
            return bad_value(err, row->name, value, form);
        }
        *(unsigned *)to = (unsigned)v;
        return PFS_OK;
    case DURATION:
        if (!parse_duration(value, &v) || v < row->min || v > row->max) {
            char form[128];
            snprintf(form, sizeof form, "a time such as 250ms, 5s or 2m, %s %g s %s %g s",
                     row->min == 1 ? "more than" : "from",
                     row->min == 1 ? 0 : (double)row->min / PFS_SEC,
                     row->min == 1 ? "and at most" : "to", (double)row->max / PFS_SEC);
            return bad_value(err, row->name, value, form);
        }
        *(int64_t *)to = v;
        return PFS_OK;
    }
    return PFS_OK;
}

static const struct option_row *find_row(const char *name)
{
    for (size_t i = 0; i < N_ROWS; i++) {
        if (strcmp(rows[i].name, name) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

static enum pfs_class set_given(const struct pfs_option *list, size_t n, struct options *o,
                                struct pfs_error *err)
{
    for (size_t i = 0; i < n; i++) {
        const struct option_row *row = list[i].key ? find_row(list[i].key) : NULL;

        if (list[i].key && strcmp(list[i].key, "mount_path") == 0) {
            continue; /* the host says where it mounts; it makes no difference */
        }
        if (!row) {
            return pfs_refuse(err, PFS_CONFIG, "unknown configuration parameter '%s'",
                              list[i].key ? list[i].key : "");
        }
        for (size_t k = 0; k < i; k++) {
            if (strcmp(list[k].key, list[i].key) == 0) {
                return pfs_refuse(err, PFS_CONFIG, "%s is given twice", row->name);
            }
        }
        enum pfs_class cls = set_option(o, row, list[i].value ? list[i].value : "", err);
        if (cls != PFS_OK) {
            return cls;
        }
    }
    return PFS_OK;
}

static enum pfs_class check_together(struct options *o, struct pfs_error *err)
{
    char path[PFS_PATH_MAX + 1];
    bool tls_option = o->ca_file || o->client_cert || o->client_key || o->crl_file ||
                      o->server_name || o->min_tls || o->insecure_skip_verify;

    if (!o->use_tls && tls_option) {
        return pfs_refuse(
            err, PFS_CONFIG,
            "TLS options (ca_file, client_cert, ...) need an https base_url, not '%s'",
            o->masked_url);
    }
    if (!o->client_cert != !o->client_key) {
        return pfs_refuse(err, PFS_CONFIG,
                          "client_cert and client_key belong together: %s is missing",
                          o->client_cert ? "client_key" : "client_cert");
    }
    if (o->insecure_skip_verify && (o->ca_file || o->crl_file || o->server_name)) {
        return pfs_refuse(err, PFS_CONFIG,
                          "%s says what to check, insecure_skip_verify that nothing is: leave one "
                          "of them out",
                          o->ca_file    ? "ca_file"
                          : o->crl_file ? "crl_file"
                                        : "server_name");
    }
    if (o->userinfo && o->token_file) {
        return pfs_refuse(err, PFS_CONFIG,
                          "token_file and the user in base_url '%s' are two identities: leave one "
                          "of them out",
                          o->masked_url);
    }
    if (o->insecure_skip_verify && o->client_cert) {
        return pfs_refuse(
            err, PFS_CONFIG,
            "insecure_skip_verify shows the client certificate to anybody: leave one of them out");
    }
    if (o->server_name && !*o->server_name) {
        return pfs_refuse(err, PFS_CONFIG, "server_name is empty");
    }
    if (o->remote_path[0] != '/') {
        return bad_value(err, "remote_path", o->remote_path, "it must begin with '/'");
    }
    if (pfs_path_normalize(o->remote_path, strlen(o->remote_path), path, err) != PFS_OK) {
        pfs_err_prefix(err, "invalid remote_path");
        err->cls = PFS_CONFIG;
        return PFS_CONFIG;
    }
    return set_text(&o->remote_path, path, err);
}

enum pfs_class client_options_parse(const struct pfs_option *list, size_t n, struct options *o,
                                    struct pfs_error *err)
{
    struct pfs_error local;
    enum pfs_class cls = PFS_OK;

    err = err ? err : &local;
    *o = (struct options){0};
    for (size_t i = 0; i < N_ROWS && cls == PFS_OK; i++) {
        if (rows[i].initial) {
            cls = set_option(o, &rows[i], rows[i].initial, err);
        }
    }
    if (cls == PFS_OK) {
        cls = set_given(list, n, o, err);
    }
    if (cls == PFS_OK) {
        cls = url_parse(o, err);
    }
    if (cls == PFS_OK) {
        cls = check_together(o, err);
    }
    if (cls != PFS_OK) {
        client_options_fini(o);
    }
    return cls;
}

/* Strings made from base_url. */
static const size_t derived[] = {
    offsetof(struct options, host), offsetof(struct options, authority),
    offsetof(struct options, base_path), offsetof(struct options, masked_url),
    offsetof(struct options, userinfo)};

static bool copy_string(const struct options *o, struct options *to, size_t offset)
{
    char *const *from = (char *const *)((const char *)o + offset);
    char **dst = (char **)((char *)to + offset);

    *dst = *from ? pfs_strdup(*from) : NULL;
    return !*from || *dst;
}

bool client_options_copy(const struct options *o, struct options *to)
{
    bool ok = true;

    *to = *o;
    for (size_t i = 0; i < N_ROWS; i++) {
        if (rows[i].type == TEXT) {
            ok &= copy_string(o, to, rows[i].offset);
        }
    }
    for (size_t i = 0; i < sizeof derived / sizeof derived[0]; i++) {
        ok &= copy_string(o, to, derived[i]);
    }
    if (!ok) {
        client_options_fini(to);
    }
    return ok;
}

void client_options_fini(struct options *o)
{
    for (size_t i = 0; i < N_ROWS; i++) {
        if (rows[i].type == TEXT) {
            pfs_free(*(char **)((char *)o + rows[i].offset));
        }
    }
    for (size_t i = 0; i < sizeof derived / sizeof derived[0]; i++) {
        pfs_free(*(char **)((char *)o + derived[i]));
    }
    *o = (struct options){0};
}

/* Options that concern a single mount, not its connections. */
static bool is_per_mount(const char *name)
{
    static const char *const names[] = {"timeout",     "transfer_streams", "workers",
                                        "queue_depth", "retries",          "retry_writes",
                                        "remote_path", "read_only",        "lazy"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

char *client_options_key(const struct options *o)
{
    struct pfs_buf b = {0};
    bool ok = true;

    for (size_t i = 0; i < N_ROWS && ok; i++) {
        const void *p = (const char *)o + rows[i].offset;

        if (is_per_mount(rows[i].name)) {
            continue;
        }
        switch (rows[i].type) {
        case TEXT: /* "" is no option that was not given: a file of that name cannot be read */
            ok = pfs_buf_printf(&b, "%s%s\n", *(char *const *)p ? "=" : "",
                                *(char *const *)p ? *(char *const *)p : "");
            break;
        case BOOL:
            ok = pfs_buf_printf(&b, "%d\n", *(const bool *)p);
            break;
        case COUNT:
            ok = pfs_buf_printf(&b, "%u\n", *(const unsigned *)p);
            break;
        case DURATION:
            ok = pfs_buf_printf(&b, "%lld\n", (long long)*(const int64_t *)p);
            break;
        case PROTOCOL:
            ok = pfs_buf_printf(&b, "%d\n", (int)*(const enum wire_protocol *)p);
            break;
        }
    }
    char *key = ok ? pfs_buf_take(&b, NULL) : NULL;
    pfs_buf_fini(&b);
    return key;
}
