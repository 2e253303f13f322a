/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Over loopback: calls that are in flight during many reloads. Name: row of the fault table. */
#include "world.h"
#include <criterion/criterion.h>
#include <string.h>

#define KEPT_MAX 32 /* generations with calls in flight that a remote keeps */

/* Keeps all but health checks waiting until the test signals once more than *arg calls have come.
 */
static void keep_waiting(struct h2server *s, struct h2peer *p)
{
    const unsigned *n_calls = s->arg;

    h2peer_hello(p, 0, NULL);
    for (struct h2req *r; (r = h2peer_request(p)) != NULL;) {
        if (!strstr(r->path, "/health")) {
            h2server_count(s);
            h2server_signal(s);
            cr_expect(h2server_await(s, *n_calls + 1));
        }
        world_reply(p, r);
        h2peer_forget(r);
    }
}

static void begin(struct world_call *c, struct world *w, unsigned n_before)
{
    world_call_begin(c, w, world_mkdir);
    cr_assert(h2server_await(&w->server, n_before + 1));
}

/* They may be answered now: each is, and none was sent twice. */
static void end_all(struct world_call *callers, unsigned n, struct world *w)
{
    h2server_signal(&w->server);
    for (unsigned i = 0; i < n; i++) {
        world_call_join(&callers[i]);
        cr_assert_eq(callers[i].cls, PFS_OK, "%u: %s", i, callers[i].w.err.text);
    }
    cr_assert_eq(atomic_load(&w->server.n_requests), n);
}

Test(reload, A102_calls_in_flight_outlive_many_reloads)
{
    static struct world_call callers[12];
    unsigned n = sizeof callers / sizeof *callers;
    struct world w = {0};

    world_open(&w, keep_waiting, &n, OPTIONS("timeout", "60s"));
    for (unsigned i = 0; i < n; i++) {
        begin(&callers[i], &w, i);
        cr_assert_eq(pfs_reload(w.c, &w.err), PFS_OK, "%s", w.err.text);
    }
    end_all(callers, n, &w);
    world_close(&w);
}

Test(reload, A102_a_reload_too_many_is_refused_and_ends_no_call)
{
    static struct world_call callers[KEPT_MAX + 1];
    unsigned n = KEPT_MAX + 1;
    struct world w = {0};

    world_open(&w, keep_waiting, &n, OPTIONS("timeout", "60s"));
    for (unsigned i = 0; i < KEPT_MAX; i++) {
        begin(&callers[i], &w, i);
        cr_assert_eq(pfs_reload(w.c, &w.err), PFS_OK, "%u: %s", i, w.err.text);
    }
    begin(&callers[KEPT_MAX], &w, KEPT_MAX);
    unsigned n_conns = atomic_load(&w.server.n_conns);
    cr_assert_eq(pfs_reload(w.c, &w.err), PFS_OVERLOAD);
    cr_assert_eq(w.err.outcome, PFS_OUTCOME_NA);
    cr_assert_not_null(strstr(w.err.text, "still in flight"), "%s", w.err.text);
    cr_assert_eq(atomic_load(&w.server.n_conns), n_conns, "it connected all the same");
    end_all(callers, n, &w);
    int64_t until = pfs_now() + 10 * PFS_SEC;
    while (pfs_reload(w.c, &w.err) != PFS_OK) { /* until the old connections have closed */
        cr_assert_eq(w.err.cls, PFS_OVERLOAD, "%s", w.err.text);
        cr_assert(pfs_now() < until);
    }
    world_close(&w);
}
