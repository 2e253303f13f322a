/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/alloc.h"
#include "base/err.h"
#include "support/h2peer.h"
#include <criterion/criterion.h>

/* Memory that runs out here is no word of the peer, to whom nothing was sent. */
static void check(const struct exchange *ex, unsigned long nth)
{
    if (ex->failure == FAILURE_NONE) {
        return;
    }
    cr_assert_neq(ex->failure, FAILURE_REFUSED, "allocation %lu: %s", nth, ex->err.text);
    cr_assert_eq(ex->err.outcome, PFS_OUTCOME_NA, "allocation %lu: %s", nth, ex->err.text);
    /* HPACK's lack of memory is one of its errors; nghttp2 does not tell them apart. */
    cr_assert(ex->err.cls == PFS_NOMEM || ex->failure == FAILURE_NOT_SENT, "allocation %lu: %s",
              nth, ex->err.text);
}

/* True: the allocation was one of those that were made. */
static bool try_nth(unsigned long nth)
{
    struct exchange ex;
    struct h2mem m;
    char out[4096];
    size_t n = 0;
    struct pfs_error err;

    h2mem_open(&m, 100, 0, NULL);
    m.s->ops->rest(m.s); /* no block is kept: all come from the allocator */
    pfs_alloc_fail_nth(nth);
    bool taken = h2mem_get(&m, &ex);
    enum pfs_class cls = taken ? m.s->ops->drain(m.s, out, sizeof out, &n, &err) : PFS_OK;
    bool reached = pfs_alloc_count() >= nth;

    pfs_alloc_fail_nth(0);
    if (taken && cls != PFS_OK) { /* as the connection does */
        m.s->ops->fail_all(m.s, &err);
    }
    if (taken) {
        check(&ex, nth);
        h2mem_done(&m, &ex);
        if (ex.in_session) {
            pfs_nomem(&err, "the test");
            m.s->ops->fail_all(m.s, &err);
            h2mem_done(&m, &ex);
        }
    }
    exchange_fini(&ex);
    h2mem_close(&m);
    return reached;
}

Test(nomem, no_memory_for_a_request_is_said_as_such)
{
    unsigned long nth = 1;

    while (try_nth(nth)) {
        nth++;
    }
    cr_assert_gt(nth, 4, "only %lu allocations", nth);
}
