/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "dedupe.h"
#include "base/alloc.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define BUCKETS 32768 /* two entries each at most, as a rule, and none of them is in the cache */
#define SLACK_MS 1000 /* between two clocks; the age itself is the most it can be on arrival */

struct dedupe_entry {
    struct list link;      /* in a bucket while known */
    uint64_t hash;         /* beside it: of most entries nothing else is looked at */
    struct list ended;     /* in dedupe.ended, in the order of ending */
    struct list with_body; /* in dedupe.with_body while a large body is kept */
    unsigned refs;         /* the table's, and one per request that looks at it */
    bool known, done;
    bool shared; /* with a repetition of its request */
    uint64_t what;
    int64_t began_ms, ended_ms;
    struct list waiting; /* of struct dedupe_wait */
    struct dedupe_response response;
    char *body;
    char id[33];
    char client[]; /* with a mark before it: "+name", or "-" for none */
};

struct dedupe {
    pthread_mutex_t mu; /* of everything; never held across a callback */
    size_t max_entries, max_bytes;
    struct list buckets[BUCKETS];
    struct list ended, with_body;
    size_t n_entries; /* known ones */
    size_t n_bytes;   /* sum of the bodies of known ones */
    int64_t lost_ms;  /* entries that began up to then may have been pushed out early; -1: none */
};

struct dedupe *dedupe_new(size_t max_entries, size_t max_bytes)
{
    struct dedupe *d = pfs_calloc(1, sizeof *d);

    if (d) {
        pthread_mutex_init(&d->mu, NULL);
        d->max_entries = max_entries;
        d->max_bytes = max_bytes;
        d->lost_ms = -1;
        list_init(&d->ended);
        list_init(&d->with_body);
        for (size_t i = 0; i < BUCKETS; i++) {
            list_init(&d->buckets[i]);
        }
    }
    return d;
}

static void unref_locked(struct dedupe_entry *e)
{
    if (--e->refs == 0) {
        pfs_free(e->body);
        pfs_free(e);
    }
}

static void forget_locked(struct dedupe *d, struct dedupe_entry *e)
{
    list_remove(&e->link);
    list_remove(&e->ended);
    list_remove(&e->with_body);
    d->n_entries--;
    d->n_bytes -= e->body ? e->response.len : 0;
    e->known = false;
    unref_locked(e);
}

void dedupe_free(struct dedupe *d)
{
    if (!d) {
        return;
    }
    while (!list_is_empty(&d->ended)) {
        forget_locked(d, list_entry(d->ended.next, struct dedupe_entry, ended));
    }
    pthread_mutex_destroy(&d->mu);
    pfs_free(d);
}

static bool is_client(const struct dedupe_entry *e, const char *client)
{
    return client ? e->client[0] == '+' && strcmp(e->client + 1, client) == 0 : e->client[0] == '-';
}

static struct dedupe_entry *find_locked(struct dedupe *d, const struct dedupe_key *key,
                                        uint64_t hash)
{
    list_for_each (it, &d->buckets[hash % BUCKETS]) {
        struct dedupe_entry *e = list_entry(it, struct dedupe_entry, link);

        if (e->hash == hash && is_client(e, key->client) && strcmp(e->id, key->id) == 0) {
            return e;
        }
    }
    return NULL;
}

/* Entries whose time is over go; when that makes no room, so does the oldest one that has ended. */
static bool make_room_locked(struct dedupe *d, int64_t now_ms)
{
    while (!list_is_empty(&d->ended)) {
        struct dedupe_entry *e = list_entry(d->ended.next, struct dedupe_entry, ended);
        bool early = now_ms - e->ended_ms < DEDUPE_LIFE_MS;

        if (early && d->n_entries < d->max_entries) {
            break;
        }
        if (early && e->began_ms > d->lost_ms) {
            d->lost_ms = e->began_ms;
        }
        forget_locked(d, e);
    }
    return d->n_entries < d->max_entries;
}

/* An id that is not known, but is said to have been here before: could it have been forgotten? */
static bool may_be_lost(const struct dedupe *d, const struct dedupe_key *key, int64_t now_ms)
{
    return key->age_ms >= 0 && (key->age_ms >= DEDUPE_LIFE_MS ||
                                (d->lost_ms >= 0 && now_ms - key->age_ms <= d->lost_ms + SLACK_MS));
}

static struct dedupe_entry *entry_new(const struct dedupe_key *key, uint64_t hash, int64_t now_ms)
{
    size_t n = key->client ? strlen(key->client) : 0;
    struct dedupe_entry *e = pfs_calloc(1, sizeof *e + n + 2);

    if (e) {
        list_init(&e->link);
        list_init(&e->ended);
        list_init(&e->with_body);
        list_init(&e->waiting);
        e->refs = 2; /* the table's and the caller's */
        e->known = true;
        e->hash = hash;
        e->what = key->what;
        e->began_ms = now_ms;
        memcpy(e->id, key->id, strnlen(key->id, sizeof e->id - 1));
        e->client[0] = key->client ? '+' : '-';
        memcpy(e->client + 1, key->client ? key->client : "", n);
    }
    return e;
}

static enum dedupe_verdict enter_locked(struct dedupe *d, const struct dedupe_key *key,
                                        int64_t now_ms, struct dedupe_wait *w,
                                        struct dedupe_entry **ret)
{
    uint64_t hash = XXH3_64bits(key->id, strlen(key->id));
    struct dedupe_entry *e = find_locked(d, key, hash);

    if (e && e->what != key->what) {
        return DEDUPE_OTHER;
    }
    if (e) {
        e->refs++;
        e->shared = true;
        *ret = e;
        if (!e->done) {
            list_append(&e->waiting, &w->link);
        }
        return e->done ? DEDUPE_DONE : DEDUPE_WAIT;
    }
    bool room = make_room_locked(d, now_ms);

    if (may_be_lost(d, key, now_ms)) {
        return DEDUPE_LOST;
    }
    e = room ? entry_new(key, hash, now_ms) : NULL;
    if (!e) {
        return DEDUPE_FULL;
    }
    list_append(&d->buckets[hash % BUCKETS], &e->link);
    d->n_entries++;
    *ret = e;
    return DEDUPE_NEW;
}

enum dedupe_verdict dedupe_enter(struct dedupe *d, const struct dedupe_key *key, int64_t now_ms,
                                 struct dedupe_wait *w, struct dedupe_entry **ret)
{
    pthread_mutex_lock(&d->mu);
    enum dedupe_verdict v = enter_locked(d, key, now_ms, w, ret);

    pthread_mutex_unlock(&d->mu);
    return v;
}

/* Large bodies go, oldest first, until the rest fits; their entries stay. */
static void trim_locked(struct dedupe *d)
{
    while (d->n_bytes > d->max_bytes && !list_is_empty(&d->with_body)) {
        struct dedupe_entry *e =
            list_entry(list_take_first(&d->with_body), struct dedupe_entry, with_body);

        d->n_bytes -= e->response.len;
        pfs_free(e->body);
        e->body = NULL;
    }
}

static void wake(struct list *waiting)
{
    struct list *it;

    while ((it = list_take_first(waiting))) {
        struct dedupe_wait *w = list_entry(it, struct dedupe_wait, link);

        w->fn(w);
    }
}

/* A copy of a body that is to be kept; NULL: it is not. */
static char *copy_body(const struct dedupe_response *r)
{
    char *body =
        r->len <= DEDUPE_BODY_MAX && (r->body || r->len == 0) ? pfs_malloc(r->len + 1) : NULL;

    if (body && r->len > 0) {
        memcpy(body, r->body, r->len);
    }
    return body;
}

static void end_locked(struct dedupe_entry *e, const struct dedupe_response *r, char *body,
                       struct list *waiting)
{
    e->response = *r;
    e->response.body = NULL;
    e->body = body;
    e->done = true;
    list_move_all(waiting, &e->waiting);
}

bool dedupe_finish(struct dedupe *d, struct dedupe_entry *e, const struct dedupe_response *r,
                   int64_t now_ms)
{
    char *body = copy_body(r);
    struct list waiting;

    list_init(&waiting);
    pthread_mutex_lock(&d->mu);
    end_locked(e, r, body, &waiting);
    e->ended_ms = now_ms;
    list_append(&d->ended, &e->ended);
    if (body) {
        d->n_bytes += r->len;
        if (r->len > DEDUPE_SMALL_MAX) {
            list_append(&d->with_body, &e->with_body);
        }
        trim_locked(d);
    }
    unref_locked(e);
    pthread_mutex_unlock(&d->mu);
    wake(&waiting);
    return body != NULL;
}

void dedupe_forget(struct dedupe *d, struct dedupe_entry *e, const struct dedupe_response *r)
{
    struct list waiting;

    list_init(&waiting);
    pthread_mutex_lock(&d->mu);
    bool shared = e->shared;

    forget_locked(d, e); /* before there is a body that would have to be counted */
    if (shared) {
        /* Nobody finds it any more: who waits now are all that will. */
        pthread_mutex_unlock(&d->mu);
        char *body = copy_body(r);

        pthread_mutex_lock(&d->mu);
        end_locked(e, r, body, &waiting);
    }
    unref_locked(e);
    pthread_mutex_unlock(&d->mu);
    wake(&waiting);
}

bool dedupe_response(struct dedupe *d, struct dedupe_entry *e, struct dedupe_response *ret)
{
    bool ok = true;

    pthread_mutex_lock(&d->mu);
    *ret = e->response;
    if (e->body) {
        char *copy = pfs_strndup(e->body, ret->len);

        ok = copy != NULL;
        ret->body = copy;
    }
    pthread_mutex_unlock(&d->mu);
    return ok;
}

void dedupe_ref(struct dedupe *d, struct dedupe_entry *e)
{
    pthread_mutex_lock(&d->mu);
    e->refs++;
    pthread_mutex_unlock(&d->mu);
}

bool dedupe_take_back(struct dedupe *d, struct dedupe_entry *e)
{
    pthread_mutex_lock(&d->mu);
    bool alone = !e->shared;

    if (alone && e->known) {
        forget_locked(d, e);
    }
    pthread_mutex_unlock(&d->mu);
    return alone;
}

void dedupe_unref(struct dedupe *d, struct dedupe_entry *e)
{
    pthread_mutex_lock(&d->mu);
    unref_locked(e);
    pthread_mutex_unlock(&d->mu);
}
