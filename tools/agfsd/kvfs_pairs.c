/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* The table of kvfs: an array of pairs, sorted by key. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "kvfs.h"
#include <inttypes.h>
#include <string.h>

#define ENTRY_COST 64 /* of a key's table entry, counted as bytes */

size_t kv_part(const struct pair *p, const struct pfs_request *req)
{
    size_t from = req->offset > 0 ? (size_t)req->offset : 0;
    size_t left = from < p->len ? p->len - from : 0;

    return req->size >= 0 && (uint64_t)req->size < left ? (size_t)req->size : left;
}

size_t kv_place_locked(const struct kvfs *k, const char *key)
{
    size_t low = 0, high = k->n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (strcmp(k->pairs[mid].key, key) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

struct pair *kv_find_locked(const struct kvfs *k, const char *key)
{
    size_t i = kv_place_locked(k, key);

    return i < k->n && strcmp(k->pairs[i].key, key) == 0 ? &k->pairs[i] : NULL;
}

struct pair *kv_need_locked(const struct kvfs *k, const char *key, struct pfs_error *err)
{
    struct pair *p = kv_find_locked(k, key);

    if (!p) {
        pfs_refuse(err, PFS_NOTFOUND, "key not found: %s", key);
    }
    return p;
}

static uint64_t cost(const char *key, size_t len)
{
    return ENTRY_COST + strlen(key) + len;
}

void kv_remove_locked(struct kvfs *k, struct pair *p)
{
    k->total -= cost(p->key, p->len);
    pfs_free(p->key);
    pfs_free(p->value);
    k->n--;
    memmove(p, p + 1, (size_t)(k->pairs + k->n - p) * sizeof *p);
}

static bool grow_locked(struct kvfs *k)
{
    struct pair *grown = pfs_grown(k->pairs, k->n, &k->cap, sizeof *grown);

    k->pairs = grown ? grown : k->pairs;
    return grown != NULL;
}

enum pfs_class kv_rename_locked(struct kvfs *k, struct pair *p, const char *to,
                                struct pfs_error *err)
{
    struct pair moved = *p;
    uint64_t others = k->total - cost(p->key, p->len);

    if (strlen(to) > strlen(p->key) && others + cost(to, p->len) > k->max_bytes) {
        return pfs_refuse(err, PFS_NOSPC, "no space left: %" PRIu64 " bytes are allowed",
                          k->max_bytes);
    }
    moved.key = pfs_strdup(to);
    if (!moved.key) {
        return pfs_nomem(err, "a key");
    }
    moved.mtime_ns = pfs_wall_now();
    k->total = others + cost(to, p->len);
    pfs_free(p->key);
    k->n--;
    memmove(p, p + 1, (size_t)(k->pairs + k->n - p) * sizeof *p);
    size_t at = kv_place_locked(k, to);

    memmove(&k->pairs[at + 1], &k->pairs[at], (k->n - at) * sizeof *k->pairs);
    k->pairs[at] = moved;
    k->n++;
    return PFS_OK;
}

enum pfs_class kv_set_locked(struct kvfs *k, const char *key, char *value, size_t len,
                             struct pfs_error *err)
{
    struct pair *old = kv_find_locked(k, key);
    uint64_t others = k->total - (old ? cost(key, old->len) : 0);

    if (len > k->max_value) {
        return pfs_refuse(err, PFS_TOOBIG, "value too large: %zu bytes, %" PRIu64 " are allowed",
                          len, k->max_value);
    }
    if (cost(key, len) > k->max_bytes || others > k->max_bytes - cost(key, len)) {
        return pfs_refuse(err, PFS_NOSPC, "no space left: %" PRIu64 " bytes are allowed",
                          k->max_bytes);
    }
    if (!old) {
        char *copy = pfs_strdup(key);

        if (!copy || !grow_locked(k)) {
            pfs_free(copy);
            return pfs_nomem(err, "a key");
        }
        size_t at = kv_place_locked(k, key);

        memmove(&k->pairs[at + 1], &k->pairs[at], (k->n - at) * sizeof *k->pairs);
        k->n++;
        old = &k->pairs[at];
        *old = (struct pair){.key = copy};
    }
    pfs_free(old->value);
    old->value = value;
    old->len = len;
    old->mtime_ns = pfs_wall_now();
    k->total = others + cost(key, len);
    return PFS_OK;
}
