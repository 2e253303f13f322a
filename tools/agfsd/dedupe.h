/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_DEDUPE_H
#define AGFSD_DEDUPE_H

/*
 * The exactly-once table (reliability bar B5): the results of requests that carry an id, so that a
 * request whose reply was lost can be made again without being carried out again. An entry is made
 * when a request begins to run and holds its response afterwards. Any thread; nothing here waits.
 */
#include "base/list.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEDUPE_ENTRIES_MAX 65536     /* about 10 MiB of entries */
#define DEDUPE_LIFE_MS 600000        /* clients give up after 30 s; proxies may take longer */
#define DEDUPE_BYTES_MAX (64u << 20) /* of all bodies kept */
#define DEDUPE_BODY_MAX (1u << 20)   /* of one; a larger one is not kept */
#define DEDUPE_SMALL_MAX 512         /* such bodies are kept even when bytes run short */

struct dedupe;
struct dedupe_entry;

/* A complete response. */
struct dedupe_response {
    int status;
    bool counted;     /* with the header x-bytes-read */
    const char *type; /* content type: a static string, or NULL */
    const void *body; /* NULL with len > 0: it was not kept */
    size_t len;
};

/* Who a request is: the same client and id mean the same request. */
struct dedupe_key {
    const char *client; /* identity of its certificate, NULL: none */
    const char *id;     /* 32 hexadecimal digits */
    uint64_t what;      /* hash of method, path and query */
    int64_t age_ms;     /* a repetition's: how old the first attempt can be at most; else -1 */
};

/* A request that waits for the first one with its id to end. */
struct dedupe_wait {
    struct list link;
    /* Called once, by whoever ends the first one, with no lock held. *w is the owner's again. */
    void (*fn)(struct dedupe_wait *w);
};

enum dedupe_verdict {
    DEDUPE_NEW,   /* run it, then end the entry with dedupe_finish or dedupe_forget */
    DEDUPE_WAIT,  /* it is running: w->fn comes; then the response is there */
    DEDUPE_DONE,  /* the response is there */
    DEDUPE_OTHER, /* the id belongs to another request */
    DEDUPE_LOST,  /* the first attempt may have been forgotten: it must not run again */
    DEDUPE_FULL   /* no room, or no memory */
};

/* The limits may be smaller than those above. NULL: out of memory. */
struct dedupe *dedupe_new(size_t max_entries, size_t max_bytes);
/* No request is in flight any more. NULL allowed. */
void dedupe_free(struct dedupe *d);

/*
 * With NEW, WAIT and DONE *ret is a reference for dedupe_finish, dedupe_forget or dedupe_unref.
 * now_ms: any monotonic clock.
 */
enum dedupe_verdict dedupe_enter(struct dedupe *d, const struct dedupe_key *key, int64_t now_ms,
                                 struct dedupe_wait *w, struct dedupe_entry **ret);
/* Ends a running entry, gives up the reference. False: the body was not kept. */
bool dedupe_finish(struct dedupe *d, struct dedupe_entry *e, const struct dedupe_response *r,
                   int64_t now_ms);
/* The same for what was not carried out: who waits gets the response, a later request runs. */
void dedupe_forget(struct dedupe *d, struct dedupe_entry *e, const struct dedupe_response *r);
/* The response of an entry that has ended; the caller owns its body. False: out of memory. */
bool dedupe_response(struct dedupe *d, struct dedupe_entry *e, struct dedupe_response *ret);
/* One more reference to an entry that is held. */
void dedupe_ref(struct dedupe *d, struct dedupe_entry *e);
/*
 * The response of an entry that has ended reached nobody. True: nobody else has had it, nor will
 * have: the entry is forgotten, a repetition runs again.
 */
bool dedupe_take_back(struct dedupe *d, struct dedupe_entry *e);
void dedupe_unref(struct dedupe *d, struct dedupe_entry *e);

#endif
