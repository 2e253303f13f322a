/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_FS_REMOTE_H
#define PFS_FS_REMOTE_H

/*
 * A remote: one base URL with its options; owns its connections, a generation of them at a time.
 * Clients with the same connection options share one remote (a registry by key), and so a reload by
 * one of them renews the connections of all.
 */
#include "conn/generation.h"
#include "fs/fence.h"
#include "fs/options.h"
#include <proxyfs/proxyfs.h>

struct remote;

/* What is known of the server behind the current connections, from its agfs-boot header field. */
#define FEATURE_KNOWN 1u  /* a reply was seen: the rest is true */
#define FEATURE_OFFSET 2u /* PUT honours offset and flags */
#define FEATURE_ATOMIC_BODY 4u
#define FEATURE_DEDUPE 8u
#define FEATURE_RANGES 16u /* parts of files, with the version of the content */
#define FEATURE_PARTS 32u  /* HANDLE_REPLACE: files written in parts */

struct remote_knowledge {
    unsigned features;
    char boot[40];   /* id of the server process; "": not one of ours, or not known */
    unsigned serial; /* changes whenever boot does */
};

/* A reference to the remote with these options, made if need be. Errors: CONFIG, NOMEM, NOFILE. */
PFS_MUST_CHECK enum pfs_class remote_get(const struct options *o, struct remote **ret,
                                         struct pfs_error *err);
/* The last one closes all connections; waits for that. */
void remote_put(struct remote *r);

/* The current generation with a reference: generation_unref. */
struct generation *remote_generation(struct remote *r);
struct io *remote_io(struct remote *r);
/* Value of the authorization header field, "" when none; valid until *ret is freed with free().
 * NULL: no memory. */
char *remote_authorization(struct remote *r);
bool remote_has_authorization(struct remote *r);

/* What a reload puts into the place of what is there. */
struct renewal {
    struct generation *generation;
    char *authorization; /* NULL: none */
};
/* One reload at a time; false: another one is under way. The thread that begins it ends it. */
bool remote_reload_begin(struct remote *r);
void remote_reload_end(struct remote *r);
/*
 * During a reload, first. The calls in flight finish on the connections that they are on, so these
 * stay; when too many reloads have left some there is no room for more: OVERLOAD.
 */
PFS_MUST_CHECK enum pfs_class remote_may_renew(struct remote *r, struct pfs_error *err);
/*
 * During a reload. Reads the files anew, here and only here: certificates, keys, token; connects to
 * nothing yet. *ret: renewal_drop or remote_swap_in, which takes it. Errors: CONFIG, NOMEM, NOFILE.
 */
PFS_MUST_CHECK enum pfs_class remote_renew(struct remote *r, struct renewal *ret,
                                           struct pfs_error *err);
void renewal_drop(struct renewal *fresh);
void remote_swap_in(struct remote *r, const struct renewal *fresh);

/* What a reply told about the server (head.boot), and what is known now. */
void remote_learn(struct remote *r, const char *boot);
struct remote_knowledge remote_knows(struct remote *r);
/* Only its serial, without a lock. */
unsigned remote_boot_serial(struct remote *r);
/* A reply with that head.boot says that its request took nothing away and may be repeated. */
bool boot_says_plain(const char *boot);
/* Replies have come, and none of them ever from one of our servers. */
bool remote_is_stranger(struct remote *r);

/* What began at began_ns was answered just now, at its first attempt. */
void remote_replied(struct remote *r, int64_t began_ns);
/* No reply took less than that since the last reload. */
#define REMOTE_FAR_NS (5 * PFS_MS)
bool remote_is_far(const struct remote *r);

struct fences *remote_fences(struct remote *r);

/* The retry budget in tenths of a token: a success gives one back, a retry costs ten. */
unsigned remote_tokens(struct remote *r);
void remote_token_change(struct remote *r, int tenths);

void remote_stats(struct remote *r, struct pfs_stats *ret);
/* Counters that operations add to. */
struct remote_counters {
    atomic_ullong calls, attempts, errors;
};
struct remote_counters *remote_counters(struct remote *r);

#endif
