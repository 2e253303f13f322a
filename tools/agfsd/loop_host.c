/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * The loop as host of the connections of proxied mounts (proxyfs/host.h): a proxied request goes
 * out and its answer comes in on the loop's own thread. The host has a descriptor of its own, which
 * the loop polls like a socket.
 */
#include "base/clock.h"
#include "loop.h"
#include <proxyfs/host.h>

static void call_host(struct loop *l, void (*fn)(struct pfs_host *h))
{
    l->in_host = true;
    fn(l->host);
    l->in_host = false;
}

void http_complete(struct loop *l, struct post *p)
{
    if (!loop_is_here(l) || !l->in_host) {
        http_post(l, p);
        return;
    }
    l->in_host = false; /* what p leads to may complete something else, and so on: one at a time */
    p->fn(p);
    l->in_host = true;
}

static void on_host_ready(uv_poll_t *handle, int status, int events)
{
    call_host(handle->data, pfs_host_turn);
}

static void on_host_time(struct loop *l)
{
    l->host_due_ms = INT64_MAX;
    call_host(l, pfs_host_turn);
}

void loop_host_work(struct loop *l)
{
    call_host(l, pfs_host_work);
}

void loop_host_before_sleep(struct loop *l)
{
    int64_t until = pfs_host_before_sleep(l->host), due_ms = until / PFS_MS;

    if (until == PFS_NEVER || due_ms >= l->host_due_ms) {
        return; /* the timer comes too early at worst, and is set again then */
    }
    int64_t ms = due_ms - loop_now_ms(l);

    l->host_due_ms = due_ms;
    loop_timer_set(&l->host_timer, ms + 1, 0);
}

enum pfs_class loop_host_init(struct loop *l, struct pfs_error *err)
{
    enum pfs_class cls = pfs_host_new(&l->host, err);

    if (cls != PFS_OK) {
        return cls;
    }
    cls = loop_timer_init(&l->host_timer, l, on_host_time, err);
    if (cls != PFS_OK) {
        pfs_host_free(l->host);
        return cls;
    }
    int rc = uv_poll_init(&l->uv, &l->host_poll, pfs_host_fd(l->host));

    if (rc != 0) {
        loop_timer_close(&l->host_timer);
        pfs_host_free(l->host);
        return loop_lacks(rc, err);
    }
    l->host_poll.data = l;
    l->host_due_ms = INT64_MAX;
    uv_poll_start(&l->host_poll, UV_READABLE, on_host_ready);
    return PFS_OK;
}

void loop_host_close(struct loop *l)
{
    uv_close((uv_handle_t *)&l->host_poll, NULL);
    loop_timer_close(&l->host_timer);
}
