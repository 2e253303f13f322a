/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "vfs_holder.h"
#include "base/alloc.h"
#include "clients.h"
#include "vfs.h"
#include <string.h>

bool holder_new(const struct pfs_request *req, struct holder **ret)
{
    const struct vfs_fate *f = req->host;
    const void *key = req->client ? (const void *)req->client : f ? (const void *)f->from : NULL;
    size_t len = req->client ? strlen(req->client) : sizeof *f->from;

    *ret = NULL;
    if (!key) {
        return true;
    }
    struct holder *w = pfs_malloc(sizeof *w + len);

    if (w) {
        list_init(&w->link);
        w->n = w->n_uploads = 0;
        w->is_named = req->client != NULL;
        w->len = len;
        memcpy(w->key, key, len);
    }
    *ret = w;
    return w != NULL;
}

static bool is_same(const struct holder *a, const struct holder *b)
{
    return a->is_named == b->is_named && a->len == b->len && memcmp(a->key, b->key, a->len) == 0;
}

struct holder *holder_enter_locked(struct list *holders, struct holder **spare)
{
    struct holder *w = *spare;

    list_for_each (it, holders) {
        struct holder *other = list_entry(it, struct holder, link);

        if (is_same(other, w)) {
            return other;
        }
    }
    list_append(holders, &w->link);
    *spare = NULL;
    return w;
}

void holder_leave_locked(struct holder *w, bool is_upload)
{
    if (!w) {
        return;
    }
    w->n_uploads -= is_upload;
    if (--w->n == 0) {
        list_remove(&w->link);
        pfs_free(w);
    }
}

bool holder_is_of(const struct holder *w, const struct pfs_request *req)
{
    if (!w || !w->is_named || !req->client) {
        return (!w || !w->is_named) && !req->client;
    }
    return w->len == strlen(req->client) && memcmp(w->key, req->client, w->len) == 0;
}
