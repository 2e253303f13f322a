/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "body_share.h"
#include "base/err.h"
#include "meters.h"

static _Thread_local size_t taken; /* by the operation that runs on this thread */

bool share_take(const char *what, size_t n, struct pfs_error *err)
{
    if (n < SHARE_MIN) {
        return true;
    }
    if (!gauge_take(GAUGE_BODY_MEMORY, (int64_t)n)) {
        meter_hit(METER_BODY_MEMORY, NULL, NULL);
        pfs_refuse(err, PFS_OVERLOAD, "%s: too many bodies are in memory", what);
        return false;
    }
    taken += n;
    return true;
}

size_t share_begin(void)
{
    size_t outer = taken;

    taken = 0;
    return outer;
}

size_t share_end(size_t outer)
{
    size_t n = taken;

    taken = outer;
    return n;
}

void share_give(size_t n)
{
    if (n > 0) {
        gauge_add(GAUGE_BODY_MEMORY, -(int64_t)n);
    }
}

size_t share_complete(size_t share, const struct pfs_reply *reply)
{
    if (reply->len < SHARE_MIN || reply->len <= share) {
        return share;
    }
    gauge_add(GAUGE_BODY_MEMORY, (int64_t)(reply->len - share));
    return reply->len;
}
