/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_KVFS_H
#define AGFSD_KVFS_H

/* Inside of kvfs: paths, and the table of pairs. */
#include "base/container.h"
#include <proxyfs/driver.h>
#include <pthread.h>

struct pair {
    char *key, *value;
    size_t len;
    int64_t mtime_ns;
};

struct kvfs {
    struct pfs_driver base; /* fixed after open, as are: */
    uint64_t max_bytes, max_value;
    pthread_rwlock_t lock; /* of everything below; never held across a wait */
    struct pair *pairs;    /* sorted by key */
    size_t n, cap;
    uint64_t total;
};

static inline struct kvfs *kvfs_of(struct pfs_driver *d)
{
    return container_of(d, struct kvfs, base);
}

enum kv_place { KV_ROOT, KV_README, KV_KEYS, KV_KEY, KV_ELSEWHERE };

/* What a path is; *ret_key: of a KV_KEY. */
enum kv_place kv_parse(const char *path, const char **ret_key);
/* pfs_driver_ops.is_long */
bool kvfs_is_long(struct pfs_driver *d, const struct pfs_request *req);

/* ---- the table: its functions want the lock; remove, rename and set for writing ---- */

/* How many bytes of a value a READ asks for. */
size_t kv_part(const struct pair *p, const struct pfs_request *req);
/* Index of the first pair whose key is not before `key`. */
size_t kv_place_locked(const struct kvfs *k, const char *key);
/* The pair of a key, NULL: none; the other says so in *err (NOTFOUND). Valid until the next set. */
struct pair *kv_find_locked(const struct kvfs *k, const char *key);
struct pair *kv_need_locked(const struct kvfs *k, const char *key, struct pfs_error *err);
void kv_remove_locked(struct kvfs *k, struct pair *p);
/* Gives a pair another key, which must be free. Errors: NOSPC (a longer one), NOMEM. */
enum pfs_class kv_rename_locked(struct kvfs *k, struct pair *p, const char *to,
                                struct pfs_error *err);
/* Sets a key to `value` (malloc'ed), which is taken on success. Errors: TOOBIG, NOSPC, NOMEM. */
enum pfs_class kv_set_locked(struct kvfs *k, const char *key, char *value, size_t len,
                             struct pfs_error *err);

#endif
