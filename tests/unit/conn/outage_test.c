/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* When the next connection may be made; the clock is the test's. */
#include "conn/generation_internal.h"
#include <criterion/criterion.h>

#define NOW (1000 * PFS_SEC)

static const struct pfs_error why = {.cls = PFS_CONN};

/* No connection, and no timer, for which it would have to have begun. */
static struct generation make(void)
{
    struct generation g = {.closing = true};

    list_init(&g.queue);
    return g;
}

/* One CONNECTING beside n_ready READY ones fails, n times. True: what waits must fail now. */
static bool fail(struct generation *g, unsigned n_ready, unsigned n)
{
    const struct conn c = {.created_ns = NOW};
    bool must_fail = false;

    g->n_conns = n_ready;
    for (unsigned i = 0; i < n; i++) {
        outage_on_failure_locked(g, &c, &why, NOW, &must_fail);
    }
    return must_fail;
}

Test(outage, A038_the_first_after_the_last_is_not_held_up_by_others_that_failed)
{
    struct generation g = make();

    cr_assert_not(fail(&g, 2, 20));
    cr_assert_gt(g.next_attempt_ns, NOW + 10 * PFS_SEC);
    cr_assert_eq(g.outage_since_ns, 0);
    int64_t next = g.next_attempt_ns;
    g.n_conns = 1;
    outage_on_loss_locked(&g);
    cr_assert_eq(g.next_attempt_ns, next, "one is left");
    g.n_conns = g.n_connecting = 1;
    outage_on_loss_locked(&g);
    cr_assert(g.next_attempt_ns == 0 && g.backoff_ns == 0);
}

Test(outage, A005_a_loss_in_an_outage_changes_nothing)
{
    struct generation g = make();

    fail(&g, 0, 20);
    cr_assert_eq(g.outage_since_ns, NOW);
    for (unsigned i = 0; i < 100; i++) { /* within a second of its return */
        fail(&g, 0, 1);
        cr_assert(g.next_attempt_ns > NOW + PFS_SEC / 2 && g.next_attempt_ns <= NOW + PFS_SEC);
    }
    int64_t next = g.next_attempt_ns;
    outage_on_loss_locked(&g); /* of one that drained for long */
    cr_assert_eq(g.next_attempt_ns, next);
    outage_over_locked(&g);
    cr_assert(g.outage_since_ns == 0 && g.next_attempt_ns == 0 && g.backoff_ns == 0);
}
