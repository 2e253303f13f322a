/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "fs/remote.h"
#include "base/alloc.h"
#include "base/err.h"
#include "base/mutex.h"
#include "fs/retry.h"
#include "fs/secret.h"
#include <sched.h>
#include <stdio.h>
#include <string.h>

/*
 * Retired generations whose last exchanges are not done yet, each with a connection at least; our
 * server takes 64 of one certificate. A reload beyond is refused.
 */
#define RETIRED_MAX 32

struct remote {
    /* fixed after create */
    struct options options; /* the first client's; all that matters here is equal for all */
    char *key;
    struct conn_config config;
    struct io *io;
    struct remote *next; /* registry_mu */
    unsigned n_users;    /* registry_mu */

    atomic_llong keepalive_ns; /* stays through reloads: the peer is the same */
    struct conn_counters conn_counters;
    struct remote_counters counters;
    atomic_ullong n_reloads;
    atomic_int tokens;
    struct fences *fences;
    atomic_uint boot_serial; /* that of knowledge */
    atomic_bool is_stranger; /* as remote_is_stranger says */
    atomic_bool is_near;     /* a reply was quick */

    _Atomic(struct generation *) current; /* set under reload_mu */
    atomic_uint n_taking; /* threads that may have read it and not taken their reference yet */

    pthread_mutex_t mu;  /* authorization, knowledge */
    char *authorization; /* "Bearer ..."; NULL: none */
    struct remote_knowledge knowledge;

    pthread_mutex_t reload_mu;               /* one reload at a time */
    unsigned next_generation;                /* reload_mu */
    struct generation *retired[RETIRED_MAX]; /* reload_mu: each closes itself after its last call */
    unsigned n_retired;
};

static pthread_mutex_t registry_mu = PTHREAD_MUTEX_INITIALIZER;
static struct remote *registry;

/* A forked child begins with an empty registry: the remotes in it are its parent's. */
static void on_fork_child(void)
{
    pthread_mutex_init(&registry_mu, NULL);
    registry = NULL;
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, on_fork_child);
}

static enum pfs_class make_tls(const struct options *o, struct tls_ctx **ret, struct pfs_error *err)
{
    struct tls_options t = {
        .ca_file = o->ca_file,
        .cert_file = o->client_cert,
        .key_file = o->client_key,
        .crl_file = o->crl_file,
        .min_tls = o->min_tls,
        .insecure_skip_verify = o->insecure_skip_verify,
        .alpn = o->protocol == PROTOCOL_H2   ? "h2"
                : o->protocol == PROTOCOL_H1 ? "http/1.1"
                                             : "h2,http/1.1",
    };

    *ret = NULL;
    return o->use_tls ? tls_ctx_new(&t, ret, err) : PFS_OK;
}

static void close_generation(struct generation *g)
{
    if (g) {
        generation_close(g);
        generation_unref(g);
    }
}

void renewal_drop(struct renewal *fresh)
{
    close_generation(fresh->generation);
    secret_free(fresh->authorization);
    *fresh = (struct renewal){NULL, NULL};
}

enum pfs_class remote_renew(struct remote *r, struct renewal *ret, struct pfs_error *err)
{
    struct tls_ctx *tls = NULL;
    struct renewal fresh = {NULL, NULL};
    enum pfs_class cls = secret_authorization(&r->options, &fresh.authorization, err);

    if (cls == PFS_OK) {
        cls = make_tls(&r->options, &tls, err);
    }
    if (cls == PFS_OK) {
        cls = generation_new(&r->config, r->io, tls, ++r->next_generation, &fresh.generation, err);
    }
    tls_ctx_unref(tls);
    if (cls != PFS_OK) {
        renewal_drop(&fresh);
        return cls;
    }
    *ret = fresh;
    return PFS_OK;
}

static void set_config(struct remote *r)
{
    const struct options *o = &r->options;

    atomic_init(&r->keepalive_ns, o->keepalive_interval_ns);
    r->config = (struct conn_config){
        .host = o->host,
        .authority = o->authority,
        .server_name = o->server_name ? o->server_name : o->host,
        .port = o->port,
        .use_tls = o->use_tls,
        .warn_insecure = o->insecure_skip_verify,
        .protocol = o->protocol,
        .connect_timeout_ns = o->connect_timeout_ns,
        .keepalive_interval_ns = o->keepalive_interval_ns,
        .keepalive_timeout_ns = o->keepalive_timeout_ns,
        .keepalive_ns = &r->keepalive_ns,
        .max_connections = o->max_connections,
        .max_streams = o->max_streams,
        .spin_ns = o->spin_ns,
        .counters = &r->conn_counters,
    };
}

static void remote_free(struct remote *r)
{
    fences_free(r->fences); /* first: they hold connections */
    close_generation(r->current);
    for (unsigned i = 0; i < r->n_retired; i++) {
        close_generation(r->retired[i]);
    }
    if (r->io) {
        io_put();
    }
    secret_free(r->authorization);
    client_options_fini(&r->options);
    pfs_free(r->key);
    pthread_mutex_destroy(&r->mu);
    pthread_mutex_destroy(&r->reload_mu);
    pfs_free(r);
}

static enum pfs_class remote_new(const struct options *o, char *key, struct remote **ret,
                                 struct pfs_error *err)
{
    struct remote *r = pfs_calloc(1, sizeof *r);

    if (!r) {
        pfs_free(key);
        return pfs_nomem(err, "a remote");
    }
    r->key = key;
    pfs_mutex_init_short(&r->mu);
    pthread_mutex_init(&r->reload_mu, NULL);
    atomic_init(&r->tokens, RETRY_TOKENS_MAX);
    r->fences = fences_new();
    enum pfs_class cls =
        r->fences && client_options_copy(o, &r->options) ? PFS_OK : pfs_nomem(err, "a remote");
    if (cls == PFS_OK) {
        set_config(r);
        cls = io_get(&r->io, err);
    }
    if (cls == PFS_OK) {
        struct renewal first = {NULL, NULL};

        cls = remote_renew(r, &first, err);
        atomic_init(&r->current, first.generation);
        r->authorization = first.authorization;
    }
    if (cls != PFS_OK) {
        remote_free(r);
        return cls;
    }
    r->n_users = 1;
    *ret = r;
    return PFS_OK;
}

enum pfs_class remote_get(const struct options *o, struct remote **ret, struct pfs_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    char *key = client_options_key(o);
    enum pfs_class cls = PFS_OK;
    struct remote *r;
    bool made;

    if (!key) {
        return pfs_nomem(err, "a remote");
    }
    pthread_once(&once, watch_forks);
    pthread_mutex_lock(&registry_mu);
    for (r = registry; r && strcmp(r->key, key) != 0; r = r->next) {
    }
    made = !r;
    if (r) {
        r->n_users++;
        pfs_free(key);
    } else {
        cls = remote_new(o, key, &r, err);
        if (cls == PFS_OK) {
            r->next = registry;
            registry = r;
        }
    }
    pthread_mutex_unlock(&registry_mu);
    if (cls == PFS_OK && made) {
        secret_warn(o);
    }
    if (cls == PFS_OK) {
        *ret = r;
    }
    return cls;
}

void remote_put(struct remote *r)
{
    pthread_mutex_lock(&registry_mu);
    bool last = --r->n_users == 0;
    if (last) {
        struct remote **p = &registry;
        while (*p != r) {
            p = &(*p)->next;
        }
        *p = r->next;
    }
    pthread_mutex_unlock(&registry_mu);
    if (last) {
        remote_free(r);
    }
}

struct generation *remote_generation(struct remote *r)
{
    atomic_fetch_add(&r->n_taking, 1);
    struct generation *g = generation_ref(atomic_load(&r->current));
    atomic_fetch_sub(&r->n_taking, 1);
    return g;
}

struct fences *remote_fences(struct remote *r)
{
    return r->fences;
}

struct io *remote_io(struct remote *r)
{
    return r->io;
}

bool remote_has_authorization(struct remote *r)
{
    return r->options.userinfo || r->options.token_file;
}

char *remote_authorization(struct remote *r)
{
    pthread_mutex_lock(&r->mu);
    char *copy = pfs_strdup(r->authorization ? r->authorization : "");
    pthread_mutex_unlock(&r->mu);
    return copy;
}

enum pfs_class remote_may_renew(struct remote *r, struct pfs_error *err)
{
    unsigned n_kept = 0;

    for (unsigned i = 0; i < r->n_retired; i++) {
        struct generation *g = r->retired[i];

        if (generation_is_empty(g)) {
            generation_unref(g);
        } else {
            r->retired[n_kept++] = g;
        }
    }
    r->n_retired = n_kept;
    return n_kept < RETIRED_MAX
               ? PFS_OK
               : pfs_refuse(err, PFS_OVERLOAD,
                            "calls begun before each of %u reloads are still in flight: reload "
                            "again when some have ended",
                            n_kept);
}

void remote_swap_in(struct remote *r, const struct renewal *fresh)
{
    pthread_mutex_lock(&r->mu);
    struct generation *old = atomic_exchange(&r->current, fresh->generation);
    char *old_authorization = r->authorization;
    r->authorization = fresh->authorization;
    pthread_mutex_unlock(&r->mu);
    while (atomic_load(&r->n_taking) > 0) { /* for a few instructions each */
        sched_yield();
    }
    generation_retire(old, fresh->generation);
    r->retired[r->n_retired++] = old; /* remote_may_renew has seen to the room */
    secret_free(old_authorization);
    atomic_store(&r->is_near, false);
    atomic_fetch_add(&r->n_reloads, 1);
}

bool remote_reload_begin(struct remote *r)
{
    return pthread_mutex_trylock(&r->reload_mu) == 0;
}

void remote_reload_end(struct remote *r)
{
    pthread_mutex_unlock(&r->reload_mu);
}

bool boot_says_plain(const char *boot)
{
    static const char plain[] = "; plain";
    size_t n = strlen(boot), n_plain = sizeof plain - 1;

    return n >= n_plain && memcmp(boot + n - n_plain, plain, n_plain) == 0;
}

/* "<id>; features=offset,flags,..." */
static struct remote_knowledge parse_boot(const char *boot)
{
    static const struct {
        const char *name;
        unsigned bit;
    } names[] = {{"offset", FEATURE_OFFSET},
                 {"atomic-body", FEATURE_ATOMIC_BODY},
                 {"dedupe", FEATURE_DEDUPE},
                 {"ranges", FEATURE_RANGES},
                 {"parts", FEATURE_PARTS}};
    struct remote_knowledge k = {.features = FEATURE_KNOWN};
    size_t n = strcspn(boot, ";");
    const char *list = strstr(boot, "features=");

    snprintf(k.boot, sizeof k.boot, "%.*s", (int)n, boot);
    for (list = list ? list + 9 : ""; *list;) {
        size_t len = strcspn(list, ",; ");

        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
            if (len == strlen(names[i].name) && strncmp(list, names[i].name, len) == 0) {
                k.features |= names[i].bit;
            }
        }
        list += len + (list[len] != '\0');
    }
    return k;
}

void remote_learn(struct remote *r, const char *boot)
{
    if (boot[0] == '\0' && remote_is_stranger(r)) {
        return; /* what all its replies said */
    }
    pthread_mutex_lock(&r->mu);
    size_t n = strlen(r->knowledge.boot);
    bool known = (r->knowledge.features & FEATURE_KNOWN) &&
                 strncmp(boot, r->knowledge.boot, n) == 0 && (boot[n] == '\0' || boot[n] == ';') &&
                 (n > 0) == (boot[0] != '\0');
    if (!known) {
        r->knowledge = parse_boot(boot);
        r->knowledge.serial = atomic_fetch_add(&r->boot_serial, 1) + 1;
        atomic_store(&r->is_stranger, r->knowledge.serial == 1 && !r->knowledge.boot[0]);
    }
    pthread_mutex_unlock(&r->mu);
}

struct remote_knowledge remote_knows(struct remote *r)
{
    pthread_mutex_lock(&r->mu);
    struct remote_knowledge k = r->knowledge;
    pthread_mutex_unlock(&r->mu);
    return k;
}

unsigned remote_boot_serial(struct remote *r)
{
    return atomic_load(&r->boot_serial);
}

bool remote_is_stranger(struct remote *r)
{
    return atomic_load_explicit(&r->is_stranger, memory_order_relaxed);
}

void remote_replied(struct remote *r, int64_t began_ns)
{
    if (remote_is_far(r) && pfs_now() - began_ns < REMOTE_FAR_NS) {
        atomic_store_explicit(&r->is_near, true, memory_order_relaxed);
    }
}

bool remote_is_far(const struct remote *r)
{
    return !atomic_load_explicit(&r->is_near, memory_order_relaxed);
}

unsigned remote_tokens(struct remote *r)
{
    return (unsigned)atomic_load_explicit(&r->tokens, memory_order_relaxed);
}

void remote_token_change(struct remote *r, int tenths)
{
    int old = atomic_load_explicit(&r->tokens, memory_order_relaxed), fresh;

    if (tenths > 0 && old == RETRY_TOKENS_MAX) {
        return; /* the usual case: full, and stays so */
    }
    do {
        fresh = old + tenths;
        fresh = fresh < 0 ? 0 : fresh > RETRY_TOKENS_MAX ? RETRY_TOKENS_MAX : fresh;
    } while (!atomic_compare_exchange_weak(&r->tokens, &old, fresh));
}

struct remote_counters *remote_counters(struct remote *r)
{
    return &r->counters;
}

void remote_stats(struct remote *r, struct pfs_stats *ret)
{
    struct generation *g = remote_generation(r);

    *ret = (struct pfs_stats){
        .calls = atomic_load(&r->counters.calls),
        .attempts = atomic_load(&r->counters.attempts),
        .errors = atomic_load(&r->counters.errors),
        .bytes_in = atomic_load(&r->conn_counters.bytes_in),
        .bytes_out = atomic_load(&r->conn_counters.bytes_out),
        .connects = atomic_load(&r->conn_counters.connects),
        .reloads = atomic_load(&r->n_reloads),
        .connections = atomic_load(&r->conn_counters.connections),
        .streams = generation_n_streams(g),
        .generation = generation_id(g),
    };
    generation_unref(g);
}
