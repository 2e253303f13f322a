/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* The peer's transport in memory: what it writes is fed to a client session, what it reads is
 * drained from there. */
#include "h2/h2.h"
#include "support/h2peer.h"
#include <stdlib.h>
#include <string.h>

static ssize_t mem_read(struct h2peer *p, void *buf, size_t cap, int64_t deadline_ns)
{
    struct h2mem *m = p->transport;
    struct pfs_error err;
    size_t n = 0;

    (void)deadline_ns; /* nothing comes later */
    if (m->s->ops->drain(m->s, buf, cap, &n, &err) != PFS_OK) {
        m->fed = m->fed ? m->fed : err.cls;
        m->error = err;
        return 0;
    }
    return n ? (ssize_t)n : -1;
}

static bool mem_write(struct h2peer *p, const void *buf, size_t n)
{
    struct h2mem *m = p->transport;
    const char *at = buf;

    while (n > 0 && m->fed == PFS_OK) {
        size_t step = m->slice && m->slice < n ? m->slice : n;

        m->fed = m->s->ops->feed(m->s, at, step, m->now_ns, &m->error);
        at += step;
        n -= step;
    }
    return m->fed == PFS_OK;
}

void h2mem_open(struct h2mem *m, unsigned max_streams, unsigned n_pairs, const uint32_t *pairs)
{
    struct h2_options o = {
        .scheme = "http", .authority = "files.test:80", .max_streams = max_streams};

    *m = (struct h2mem){.now_ns = PFS_SEC};
    h2peer_init(&m->peer);
    m->peer.read = mem_read;
    m->peer.write = mem_write;
    m->peer.transport = m;
    if (h2_session_new(&o, &m->s, &m->error) != PFS_OK || !h2peer_hello(&m->peer, n_pairs, pairs)) {
        abort();
    }
}

void h2mem_close(struct h2mem *m)
{
    m->s->ops->free(m->s);
    h2peer_fini(&m->peer);
}

bool h2mem_get(struct h2mem *m, struct exchange *ex)
{
    struct pfs_error err;

    exchange_init(ex);
    ex->method = "GET";
    ex->target = "/x";
    ex->reply_max = 1000;
    return m->s->ops->submit(m->s, ex, &err) == PFS_OK;
}

bool h2mem_done(struct h2mem *m, struct exchange *ex)
{
    unsigned events = ex->events;

    if (events) {
        list_remove(&ex->ready);
        ex->events = 0;
    }
    return events & EXCHANGE_DONE;
}
