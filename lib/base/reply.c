/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Freeing of the values of driver.h. Called by every host and driver. */
#include "base/reply.h"
#include "base/alloc.h"

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
