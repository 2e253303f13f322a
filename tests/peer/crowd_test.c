/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* When a crowd of calls gets one more connection, and which connection takes the next call. */
#include "world.h"
#include <criterion/criterion.h>
#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

/* As lib/conn/choose.c has it. */
#define PARALLEL_FROM 24
#define TOGETHER 8

static atomic_uint n_on[2]; /* requests, by connection */

static bool is_parallel(void)
{
    cpu_set_t cores;

    cr_assert_eq(sched_getaffinity(0, sizeof cores, &cores), 0);
    return CPU_COUNT(&cores) > 1;
}

/*
 * The first connection answers its first request, then the crowd once it is complete, and keeps
 * everything else waiting. Tells of each connection and each request.
 */
static void hold(struct h2server *s, struct h2peer *p)
{
    struct h2req *crowd[1 + PARALLEL_FROM];
    unsigned n = 0;

    h2peer_hello(p, 0, NULL);
    h2server_signal(s);
    for (struct h2req *r; (r = h2peer_request(p)) != NULL;) {
        unsigned i = atomic_fetch_add(&n_on[p->index % 2], 1);

        if (p->index == 0 && i == 0) {
            world_reply(p, r);
        }
        if (p->index == 0 && i > 0 && i <= 1 + PARALLEL_FROM) {
            crowd[n++] = r;
        } else {
            h2peer_forget(r);
        }
        if (n == 1 + PARALLEL_FROM) {
            while (n > 0) {
                world_reply(p, crowd[--n]);
                h2peer_forget(crowd[n]);
            }
        }
        h2server_signal(s);
    }
    while (n > 0) {
        h2peer_forget(crowd[--n]);
    }
}

static void on_done(void *arg, struct pfs_reply *r)
{
    atomic_uint *n_done = arg;

    cr_expect(r->err.cls == PFS_OK || r->err.cls == PFS_SHUTDOWN, "%s", r->err.text);
    pfs_reply_fini(r);
    atomic_fetch_add(n_done, 1);
}

static void submit(struct world *w, unsigned n, atomic_uint *n_done)
{
    struct pfs_request req = PFS_REQUEST_INIT;

    req.op = PFS_OP_TOUCH;
    req.path = "/f";
    for (unsigned i = 0; i < n; i++) {
        pfs_submit(w->c, &req, on_done, n_done);
    }
}

static unsigned n_io_threads(void)
{
    DIR *d = opendir("/proc/self/task");
    unsigned n = 0;

    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char path[300], name[32] = "";

        snprintf(path, sizeof path, "/proc/self/task/%s/comm", e->d_name);
        FILE *f = fopen(path, "r");
        if (f) {
            n += fgets(name, sizeof name, f) && strcmp(name, "proxyfs-io\n") == 0;
            fclose(f);
        }
    }
    closedir(d);
    return n;
}

Test(crowd, gets_one_more_connection_when_a_core_is_free_for_it)
{
    struct world w = {0};
    atomic_uint n_done = 0;
    unsigned more = is_parallel(), ticks = 2 + PARALLEL_FROM; /* connection, first call, crowd */

    world_open(&w, hold, NULL, OPTIONS("timeout", "60s"));
    cr_assert_eq(world_mkdir(&w), PFS_OK, "%s", w.err.text);
    submit(&w, PARALLEL_FROM, &n_done);
    cr_assert(h2server_await(&w.server, ticks));
    cr_assert_eq(atomic_load(&w.server.n_conns), 1);
    cr_assert_eq(n_io_threads(), 1);
    submit(&w, 1, &n_done);
    cr_assert(h2server_await(&w.server, ticks + 1 + more));
    cr_assert_eq(atomic_load(&w.server.n_conns), 1 + more);
    cr_assert_eq(n_io_threads(), 1 + more);
    world_close(&w);
    cr_assert_eq(atomic_load(&n_done), PARALLEL_FROM + 1);
}

Test(crowd, few_calls_stay_together)
{
    struct world w = {0};
    atomic_uint n_done = 0;
    unsigned ticks = 1 + 1 + PARALLEL_FROM + 1 + is_parallel(), n_more = 0;

    world_open(&w, hold, NULL, OPTIONS("timeout", "60s"));
    cr_assert_eq(world_mkdir(&w), PFS_OK, "%s", w.err.text);
    submit(&w, PARALLEL_FROM + 1, &n_done);
    cr_assert(h2server_await(&w.server, ticks));
    world_mark(&w);
    while (atomic_load(&n_done) <= PARALLEL_FROM) { /* nothing is under way */
        cr_assert(world_ms(&w) < 10000);
        sched_yield();
    }
    submit(&w, TOGETHER, &n_done);
    cr_assert(h2server_await(&w.server, ticks + TOGETHER));
    cr_assert_eq(atomic_load(&n_on[1]), 0, "on the first, although the second is idle");
    while (is_parallel() && atomic_load(&n_on[1]) == 0) { /* once it is ready: ever less often */
        cr_assert(n_more < 64);
        submit(&w, 1, &n_done);
        cr_assert(h2server_await(&w.server, ticks + TOGETHER + ++n_more));
        for (int64_t until = world_ms(&w) + n_more; world_ms(&w) < until;) {
            sched_yield();
        }
    }
    world_close(&w);
}
