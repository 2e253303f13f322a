/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Which operations of kvfs take too long for an event loop: those that copy, clear or free long
 * values, list many keys or move much of the table, and any that would wait for one of those.
 */
#include "driver_util.h"
#include "kvfs.h"
#include <string.h>

/* A write makes a new value of the old one. */
static size_t write_effort(const struct pair *old, const struct pfs_request *req)
{
    size_t at = req->offset > 0 ? (size_t)req->offset : 0;

    return (old ? old->len : 0) + (at < LONG_BYTES ? at : LONG_BYTES) + req->len;
}

/* Bytes of the table behind the place of a key: they move when one comes or goes there. */
static size_t shift_effort(const struct kvfs *k, const char *key)
{
    return (k->n - kv_place_locked(k, key)) * sizeof *k->pairs;
}

static size_t effort_locked(const struct kvfs *k, const struct pfs_request *req, const char *key)
{
    const struct pair *p = kv_find_locked(k, key);

    if (req->op == PFS_OP_CREATE || req->op == PFS_OP_TOUCH || req->op == PFS_OP_WRITE) {
        return write_effort(p, req) + (p ? 0 : shift_effort(k, key));
    }
    if (!p) {
        return 0;
    }
    if (req->op == PFS_OP_READ) {
        return kv_part(p, req);
    }
    if (req->op == PFS_OP_TRUNCATE) {
        return p->len + (req->size > 0 ? (size_t)req->size : 0);
    }
    if (req->op == PFS_OP_REMOVE || req->op == PFS_OP_REMOVE_ALL) {
        return p->len + shift_effort(k, key);
    }
    return req->op == PFS_OP_RENAME ? k->n * sizeof *k->pairs : 0;
}

bool kvfs_is_long(struct pfs_driver *d, const struct pfs_request *req)
{
    struct kvfs *k = kvfs_of(d);
    bool changes = req->op != PFS_OP_READ && req->op != PFS_OP_READDIR && req->op != PFS_OP_STAT;
    const char *key = NULL;
    enum kv_place place = kv_parse(req->path, &key);

    if (place != KV_KEY && place != KV_KEYS) {
        return false; /* it will not ask for the lock */
    }
    if (!lock_soon(&k->lock, changes)) {
        return true;
    }
    size_t bytes = place == KV_KEY             ? effort_locked(k, req, key)
                   : req->op == PFS_OP_READDIR ? k->n * ENTRY_BYTES
                                               : 0;

    pthread_rwlock_unlock(&k->lock);
    return bytes >= LONG_BYTES;
}
