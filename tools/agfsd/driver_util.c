/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "driver_util.h"
#include "base/alloc.h"
#include "base/err.h"
#include <string.h>

bool stat_fill(struct pfs_stat *st, const char *name, const char *meta_name, const char *meta_type)
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

bool stat_add_meta(struct pfs_stat *st, const char *key, const char *value)
{
    struct pfs_pair *grown = pfs_realloc(st->meta, (st->n_meta + 1) * sizeof *grown);

    if (!grown) {
        return false;
    }
    st->meta = grown;
    grown[st->n_meta] = (struct pfs_pair){pfs_strdup(key), pfs_strdup(value)};
    st->n_meta++;
    return grown[st->n_meta - 1].key && grown[st->n_meta - 1].value;
}

void reply_nomem(struct pfs_reply *reply, const char *what)
{
    pfs_nomem(&reply->err, what);
}

struct pfs_stat *reply_add_entry(struct pfs_reply *reply, size_t *cap)
{
    if (reply->n_list == *cap) {
        size_t room = *cap ? *cap * 2 : 16;
        struct pfs_stat *grown = pfs_realloc(reply->list, room * sizeof *grown);

        if (!grown) {
            return NULL;
        }
        reply->list = grown;
        *cap = room;
    }
    reply->list[reply->n_list] = (struct pfs_stat){0};
    return &reply->list[reply->n_list++];
}

void reply_take_range(struct pfs_reply *reply, char *text, size_t len,
                      const struct pfs_request *req)
{
    size_t from = req->offset > 0 ? (size_t)req->offset : 0;

    if (!text) {
        reply_nomem(reply, "a read");
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

enum pfs_class write_plan_of(const struct pfs_request *req, struct write_plan *ret,
                             struct pfs_error *err)
{
    bool append = req->flags & PFS_WRITE_APPEND;
    bool exclusive = req->flags & PFS_WRITE_EXCLUSIVE;

    if (req->flags & ~PFS_WRITE_ALL_FLAGS) {
        return pfs_refuse(err, PFS_BADARG, "%s: %s: unknown flags %u", pfs_op_name(req->op),
                          req->path, req->flags);
    }
    if (append && req->offset != -1) {
        return pfs_refuse(err, PFS_BADARG, "%s: %s: append with an offset", pfs_op_name(req->op),
                          req->path);
    }
    if (req->offset < -1) {
        return pfs_refuse(err, PFS_BADARG, "%s: %s: negative offset", pfs_op_name(req->op),
                          req->path);
    }
    *ret = (struct write_plan){
        .create = exclusive || (req->flags & PFS_WRITE_CREATE),
        .exclusive = exclusive,
        .sync = req->flags & PFS_WRITE_SYNC,
        .append = append,
        .replace = (req->flags & PFS_WRITE_TRUNCATE) || (req->offset == -1 && !append),
        .at = req->offset > 0 ? req->offset : 0,
    };
    return PFS_OK;
}
