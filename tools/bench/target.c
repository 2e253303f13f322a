/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Opening and closing targets. What is made there: prepare.c. */
#include "target.h"
#include "limit.h"
#include "process.h"
#include "target_spec.h"
#include "util.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static const char *option(const struct target_spec *spec, const char *key)
{
    for (size_t i = 0; i < spec->n_options; i++) {
        if (strcmp(spec->options[i].key, key) == 0)
            return spec->options[i].value;
    }
    return NULL;
}

/* Who checks nothing needs no authority to check with: the library refuses both together. */
static bool is_moot(const struct target_spec *spec, const char *key)
{
    const char *insecure = option(spec, "insecure_skip_verify");

    return strcmp(key, "ca_file") == 0 && insecure && strcmp(insecure, "true") == 0;
}

/* A client; `extra` options (NULL key: unused) after those of the command line. */
static enum pfs_class new_client(const struct target_spec *spec, const char *url,
                                 const struct pfs_option extra[2], struct pfs_client **ret,
                                 struct pfs_error *err)
{
    size_t n = 0;
    struct pfs_option *o = xcalloc(spec->n_options + 3, sizeof *o);

    o[n++] = (struct pfs_option){"base_url", url};
    for (size_t i = 0; i < spec->n_options; i++) {
        if (!is_moot(spec, spec->options[i].key))
            o[n++] = spec->options[i];
    }
    for (int i = 0; i < 2; i++) {
        if (extra[i].key && option(spec, extra[i].key) == NULL)
            o[n++] = extra[i];
    }
    enum pfs_class cls = pfs_client_new(o, n, ret, err);
    free(o);
    return cls;
}

/*
 * Clients of one URL with the same options share connections. Where the URL has no "%n", a
 * keep-alive time that differs by milliseconds makes each a remote of its own, as if it were
 * another server.
 */
static enum pfs_class open_remote(struct target *t, unsigned number, struct pfs_error *err)
{
    struct remote *r = &t->remotes[number];
    char apart[32];
    struct pfs_option extra[2] = {{NULL, NULL}, {NULL, NULL}};

    r->account = &t->account;
    char *url = spec_numbered(t->spec->url, number + 1);
    if (number && strstr(t->spec->url, "%n") == NULL) {
        snprintf(apart, sizeof apart, "%ums", 10000 + number);
        extra[0] = (struct pfs_option){"keepalive_interval", apart};
    }
    enum pfs_class cls = new_client(t->spec, url, extra, &r->client, err);
    if (cls == PFS_OK) {
        extra[1] = (struct pfs_option){"timeout", "20s"};
        cls = new_client(t->spec, url, extra, &r->control, err);
    }
    if (cls == PFS_OK && t->spec->file == NULL) /* else it may be no AGFS server */
        cls = pfs_health(r->client, err);
    free(url);
    return cls;
}

/* With file= it may be no AGFS server: what it answers does not matter, only that it does. */
static bool answers_h2(const struct target_spec *spec)
{
    struct pfs_option extra[2] = {{"protocol", "h2"}, {NULL, NULL}};
    struct target_spec trial = *spec;
    struct pfs_client *c = NULL;
    struct pfs_error err;
    char *url = spec_numbered(spec->url, 1);

    trial.options = xcalloc(spec->n_options, sizeof *trial.options);
    trial.n_options = 0;
    for (size_t i = 0; i < spec->n_options; i++) { /* one that is given would win over the extra */
        if (strcmp(spec->options[i].key, "protocol") != 0)
            trial.options[trial.n_options++] = spec->options[i];
    }
    bool h2 = new_client(&trial, url, extra, &c, &err) == PFS_OK &&
              (pfs_health(c, &err) == PFS_OK || (spec->file && err.http_status != 0));
    pfs_client_free(c);
    free(trial.options);
    free(url);
    return h2;
}

/* The library does not say what was negotiated, so it is tried out. */
static const char *find_protocol(const struct target_spec *spec)
{
    const char *wanted = option(spec, "protocol");
    bool tls = spec_is_tls(spec->url), h2 = wanted && strcmp(wanted, "h2") == 0;

    if (tls && (wanted == NULL || strcmp(wanted, "auto") == 0))
        h2 = answers_h2(spec);
    return tls  ? h2 ? "HTTP/2 over TLS" : "HTTP/1.1 over TLS"
           : h2 ? "HTTP/2, clear"
                : "HTTP/1.1, clear";
}

static void make_id(char id[16])
{
    unsigned char random[6] = {0};

    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        snprintf((char *)random, sizeof random, "%05x", (unsigned)now_ns() & 0xfffff);
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(id + 2 * i, 3, "%02x", random[i]);
}

static pid_t process_of_first(const struct target_spec *spec)
{
    char *url = spec_numbered(spec->url, 1);
    pid_t pid = process_of_url(url);

    free(url);
    return pid;
}

enum pfs_class target_open(const struct target_spec *spec, unsigned n_remotes, struct target **ret,
                           struct pfs_error *err)
{
    struct target *t = xcalloc(1, sizeof *t);
    enum pfs_class cls = PFS_OK;

    t->spec = spec;
    t->url = spec_masked(spec->url);
    t->name = xstrdup(spec->name ? spec->name : t->url);
    t->n_remotes = n_remotes;
    t->remotes = xcalloc(n_remotes, sizeof *t->remotes);
    make_id(t->id);
    for (unsigned i = 0; i < n_remotes && cls == PFS_OK; i++)
        cls = open_remote(t, i, err);
    if (cls != PFS_OK) {
        target_free(t);
        return cls;
    }
    t->protocol = find_protocol(spec);
    /* With "%n" the remotes are other processes: the CPU time of the first would pass for all. */
    t->server = n_remotes > 1 && strstr(spec->url, "%n") ? 0 : process_of_first(spec);
    *ret = t;
    return PFS_OK;
}

struct target *target_of_limit(struct limit *l, enum bench_op op)
{
    struct target *t = xcalloc(1, sizeof *t);

    t->limit = l;
    t->limit_op = op;
    t->server = limit_pid(l);
    t->name = xstrdup(op == OP_PING ? "bare TLS round trip" : "bare TLS pipe");
    t->url = xstrdup("");
    t->path = xstrdup("");
    t->protocol = "TLS 1.3, AES-128-GCM, loopback";
    return t;
}

void target_free(struct target *t)
{
    if (t == NULL)
        return;
    for (unsigned i = 0; i < t->n_remotes; i++) {
        pfs_client_free(t->remotes[i].client);
        pfs_client_free(t->remotes[i].control);
        free(t->remotes[i].base);
        free(t->remotes[i].queue);
    }
    free(t->remotes);
    free(t->name);
    free(t->url);
    free(t->path);
    free(t);
}
