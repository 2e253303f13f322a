/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "driver_util.h"
#include "base/alloc.h"
#include "base/err.h"

struct pfs_stat *reply_add_entry(struct pfs_reply *reply, size_t *cap)
{
    struct pfs_stat *grown = pfs_grown(reply->list, reply->n_list, cap, sizeof *grown);

    if (!grown) {
        return NULL;
    }
    reply->list = grown;
    reply->list[reply->n_list] = (struct pfs_stat){0};
    return &reply->list[reply->n_list++];
}

bool lock_soon(pthread_rwlock_t *lock, bool changes)
{
    for (int i = 0; i < LOCK_TRIES; i++) {
        if ((changes ? pthread_rwlock_trywrlock(lock) : pthread_rwlock_tryrdlock(lock)) == 0) {
            return true;
        }
    }
    return false;
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
