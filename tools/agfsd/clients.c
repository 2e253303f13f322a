/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "clients.h"
#include "base/alloc.h"
#include "limits.h"
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

/*
 * Addresses and identities stand in one table. Of 16 bytes an IPv4 address has zeros first, an IPv6
 * network last, and an identity ("uri:...", with its NUL) neither.
 */
struct client {
    struct client *next;
    unsigned n, n_handshakes;
    size_t len;
    unsigned char key[];
};

#define BUCKETS 1024 /* connections are bounded, so chains are too */

struct clients {
    const struct server_limits *limits; /* fixed after create */
    pthread_mutex_t mu;                 /* the rest */
    unsigned total;
    struct client *buckets[BUCKETS];
};

struct clients *clients_new(const struct server_limits *limits)
{
    struct clients *c = pfs_calloc(1, sizeof(*c));

    if (c) {
        c->limits = limits;
        pthread_mutex_init(&c->mu, NULL);
    }
    return c;
}

void clients_free(struct clients *c)
{
    if (!c) {
        return;
    }
    for (unsigned i = 0; i < BUCKETS; i++) {
        while (c->buckets[i]) {
            struct client *cl = c->buckets[i];

            c->buckets[i] = cl->next;
            pfs_free(cl);
        }
    }
    pthread_mutex_destroy(&c->mu);
    pfs_free(c);
}

static struct client_key key_of(const struct sockaddr *sa)
{
    struct client_key k = {{0}};

    if (sa->sa_family == AF_INET6) {
        const struct in6_addr *a = &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;

        memcpy(k.b, a, IN6_IS_ADDR_V4MAPPED(a) ? 16 : 8);
    } else if (sa->sa_family == AF_INET) {
        k.b[10] = k.b[11] = 0xff;
        memcpy(k.b + 12, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
    }
    return k;
}

static struct client **find_locked(struct clients *c, const void *key, size_t len)
{
    const unsigned char *b = key;
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < len; i++) {
        h = (h ^ b[i]) * 16777619u;
    }
    struct client **p = &c->buckets[(h ^ h >> 16) % BUCKETS];

    while (*p && ((*p)->len != len || memcmp((*p)->key, key, len) != 0)) {
        p = &(*p)->next;
    }
    return p;
}

/* One more of that key; false: there are max already, or no memory. */
static bool count_locked(struct clients *c, const void *key, size_t len, unsigned max)
{
    struct client **p = find_locked(c, key, len);

    if (!*p && max > 0 && (*p = pfs_calloc(1, sizeof(**p) + len))) {
        (*p)->len = len;
        memcpy((*p)->key, key, len);
    }
    if (!*p || (*p)->n >= max) {
        return false;
    }
    (*p)->n++;
    return true;
}

static bool uncount_locked(struct clients *c, const void *key, size_t len)
{
    struct client **p = find_locked(c, key, len);
    struct client *cl = *p;

    if (cl && --cl->n == 0) {
        *p = cl->next;
        pfs_free(cl);
    }
    return cl != NULL;
}

enum clients_verdict clients_enter(struct clients *c, const struct sockaddr *sa,
                                   struct client_key *ret)
{
    enum clients_verdict v = CLIENTS_OK;

    *ret = key_of(sa);
    pthread_mutex_lock(&c->mu);
    if (c->total >= c->limits->max_conns) {
        v = CLIENTS_TOO_MANY;
    } else if (!count_locked(c, ret->b, sizeof(ret->b), c->limits->max_conns_per_client)) {
        v = CLIENTS_TOO_MANY_HERE;
    } else {
        c->total++;
    }
    pthread_mutex_unlock(&c->mu);
    return v;
}

void clients_leave(struct clients *c, const struct client_key *key)
{
    pthread_mutex_lock(&c->mu);
    c->total -= uncount_locked(c, key->b, sizeof(key->b));
    pthread_mutex_unlock(&c->mu);
}

bool clients_handshake(struct clients *c, const struct client_key *key)
{
    bool ok = false;

    pthread_mutex_lock(&c->mu);
    struct client *cl = *find_locked(c, key->b, sizeof(key->b));

    if (cl && cl->n_handshakes < c->limits->max_handshakes_per_client) {
        cl->n_handshakes++;
        ok = true;
    }
    pthread_mutex_unlock(&c->mu);
    return ok;
}

void clients_handshaken(struct clients *c, const struct client_key *key)
{
    pthread_mutex_lock(&c->mu);
    struct client *cl = *find_locked(c, key->b, sizeof(key->b));

    if (cl) {
        cl->n_handshakes--;
    }
    pthread_mutex_unlock(&c->mu);
}

bool clients_identify(struct clients *c, const char *identity)
{
    pthread_mutex_lock(&c->mu);
    bool ok = count_locked(c, identity, strlen(identity) + 1, c->limits->max_conns_per_identity);

    pthread_mutex_unlock(&c->mu);
    return ok;
}

void clients_unidentify(struct clients *c, const char *identity)
{
    pthread_mutex_lock(&c->mu);
    uncount_locked(c, identity, strlen(identity) + 1);
    pthread_mutex_unlock(&c->mu);
}
