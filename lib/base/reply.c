/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Filling and freeing of the values of driver.h. Called by every host and driver. */
#include "base/reply.h"
#include "base/alloc.h"
#include "base/err.h"
#include <string.h>

static void drop_stat(struct pfs_stat *st)
{
    for (size_t i = 0; i < st->n_meta; i++) {
        pfs_free(st->meta[i].key);
        pfs_free(st->meta[i].value);
    }
    pfs_free(st->meta);
    pfs_free(st->name);
    pfs_free(st->meta_name);
    pfs_free(st->meta_type);
}

void pfs_stat_fini(struct pfs_stat *st)
{
    drop_stat(st);
    *st = (struct pfs_stat){0};
}

void pfs_reply_drop(struct pfs_reply *reply)
{
    if (reply->stream) {
        reply->stream->ops->close(reply->stream);
    }
    if (reply->receipt) {
        reply->receipt->end(reply->receipt, false);
    }
    for (size_t i = 0; i < reply->n_list; i++) {
        drop_stat(&reply->list[i]);
    }
    for (size_t i = 0; i < reply->n_matches; i++) {
        pfs_free(reply->matches[i].file);
        pfs_free(reply->matches[i].content);
    }
    drop_stat(&reply->stat);
    pfs_free(reply->list);
    pfs_free(reply->matches);
    pfs_free(reply->handle.path);
    pfs_free(reply->data);
    pfs_free(reply->text);
}

void pfs_reply_fini(struct pfs_reply *reply)
{
    pfs_reply_drop(reply);
    pfs_reply_init(reply);
}

bool pfs_stat_fill(struct pfs_stat *st, const char *name, const char *meta_name,
                   const char *meta_type)
{
    st->name = pfs_strdup(name);
    st->meta_name = pfs_strdup(meta_name);
    st->meta_type = pfs_strdup(meta_type);
    if (!st->name || !st->meta_name || !st->meta_type) {
        pfs_stat_fini(st);
        return false;
    }
    return true;
}

bool pfs_stat_add_meta(struct pfs_stat *st, const char *key, const char *value)
{
    for (size_t i = 0; i < st->n_meta; i++) {
        if (strcmp(st->meta[i].key, key) == 0) { /* of a mount further away: the nearest says it */
            char *fresh = pfs_strdup(value);

            if (fresh) {
                pfs_free(st->meta[i].value);
                st->meta[i].value = fresh;
            }
            return fresh != NULL;
        }
    }
    struct pfs_pair *more = pfs_realloc(st->meta, (st->n_meta + 1) * sizeof *more);
    char *k = pfs_strdup(key), *v = pfs_strdup(value);

    if (more) {
        st->meta = more;
    }
    if (!more || !k || !v) {
        pfs_free(k);
        pfs_free(v);
        return false;
    }
    st->meta[st->n_meta++] = (struct pfs_pair){k, v};
    return true;
}

void pfs_reply_take_range(struct pfs_reply *reply, char *text, size_t len,
                          const struct pfs_request *req)
{
    size_t from = req->offset > 0 ? (size_t)req->offset : 0;

    if (!text) {
        pfs_nomem(&reply->err, "a read");
        return;
    }
    from = from < len ? from : len;
    len -= from;
    len = req->size >= 0 && (uint64_t)req->size < len ? (size_t)req->size : len;
    if (len == 0) {
        pfs_free(text);
        return;
    }
    memmove(text, text + from, len);
    reply->data = text;
    reply->len = len;
}
