/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "clients.h"
#include "base/alloc.h"
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

struct client {
    struct client *next;
    struct client_key key;
    unsigned n;
};

#define BUCKETS 1024 /* connections are bounded, so chains are too */

struct clients {
    unsigned max_total, max_per_client; /* fixed after create */
    pthread_mutex_t mu;                 /* the rest */
    unsigned total;
    struct client *buckets[BUCKETS];
};

struct clients *clients_new(unsigned max_total, unsigned max_per_client)
{
    struct clients *c = pfs_calloc(1, sizeof(*c));

    if (c) {
        c->max_total = max_total;
        c->max_per_client = max_per_client;
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

static struct client **find_locked(struct clients *c, const struct client_key *k)
{
    uint32_t h = 2166136261u;

    for (unsigned i = 0; i < sizeof(k->b); i++) {
        h = (h ^ k->b[i]) * 16777619u;
    }
    struct client **p = &c->buckets[(h ^ h >> 16) % BUCKETS];

    while (*p && memcmp(&(*p)->key, k, sizeof(*k)) != 0) {
        p = &(*p)->next;
    }
    return p;
}

bool clients_enter(struct clients *c, const struct sockaddr *sa, struct client_key *ret,
                   const char **ret_why)
{
    struct client_key key = key_of(sa);
    const char *why = NULL;

    pthread_mutex_lock(&c->mu);
    struct client **p = find_locked(c, &key);

    if (c->total >= c->max_total) {
        why = "too many connections";
    } else if (*p && (*p)->n >= c->max_per_client) {
        why = "too many connections of this client";
    } else if (!*p) {
        *p = pfs_calloc(1, sizeof(**p));
        if (*p) {
            (*p)->key = key;
        } else {
            why = "out of memory";
        }
    }
    if (!why) {
        (*p)->n++;
        c->total++;
    }
    pthread_mutex_unlock(&c->mu);
    *ret = key;
    *ret_why = why;
    return !why;
}

void clients_leave(struct clients *c, const struct client_key *key)
{
    pthread_mutex_lock(&c->mu);
    struct client **p = find_locked(c, key);

    if (*p) {
        struct client *cl = *p;

        c->total--;
        if (--cl->n == 0) {
            *p = cl->next;
            pfs_free(cl);
        }
    }
    pthread_mutex_unlock(&c->mu);
}
