/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/clock.h"
#include "driver_rig.h"
#include "streamfs.h"
#include <pthread.h>
#include <stdatomic.h>

struct waiting_read {
    struct pfs_driver *d;
    uint64_t handle;
    struct pfs_reply reply;
};

static void *read_handle(void *arg)
{
    struct waiting_read *w = arg;

    w->reply = rig_handle(w->d, PFS_OP_HANDLE_READ, w->handle);
    return NULL;
}

static void submitted(void *arg, struct pfs_reply *reply)
{
    *(struct pfs_reply *)arg = *reply;
}

Test(streamfs_handles, read_write_close)
{
    struct pfs_driver *d = rig_open(streamfs_open, NULL);
    struct pfs_request req = PFS_REQUEST_INIT;
    uint64_t h = rig_hopen(d, "/s", PFS_OPEN_RDWR | PFS_OPEN_CREATE);
    struct pfs_reply r = {0};
    struct waiting_read w = {d, h, {{0}}};
    pthread_t thread;

    req.op = PFS_OP_HANDLE_READ;
    req.handle = h;
    cr_assert_eq(pthread_create(&thread, NULL, read_handle, &w), 0);
    req.op = PFS_OP_HANDLE_WRITE;
    req.data = "abc";
    req.len = 3;
    cr_assert(d->ops->submit(d, &req, submitted, &r));
    cr_assert_eq(r.count, 3);
    pthread_join(thread, NULL);
    cr_assert(w.reply.len == 3 && memcmp(w.reply.data, "abc", 3) == 0);
    pfs_reply_fini(&w.reply);
    cr_assert(d->ops->submit(d, &req, submitted, &r));
    req.op = PFS_OP_HANDLE_READ;
    req.offset = 3; /* where it is */
    cr_assert(d->ops->submit(d, &req, submitted, &r));
    cr_assert_eq(r.len, 3);
    pfs_reply_fini(&r);
    req.offset = 0;
    r = rig_run(d, req);
    cr_assert_eq(r.err.cls, PFS_BADARG);
    cr_assert_eq(pthread_create(&thread, NULL, read_handle, &w), 0);
    r = rig_handle(d, PFS_OP_HANDLE_CLOSE, h); /* ends the read, whenever it begins */
    cr_assert_eq(r.err.cls, PFS_OK);
    pthread_join(thread, NULL);
    cr_assert_eq(w.reply.err.cls, PFS_NOTFOUND);
    rig_hopen(d, "/s", PFS_OPEN_RDONLY); /* freed with the driver */
    d->ops->close(d);
}

/* A read that waits, without a thread. */
struct later {
    struct pfs_reply reply;
    atomic_int n_calls;
};

static void on_reply(void *arg, struct pfs_reply *reply)
{
    struct later *l = arg;

    l->reply = *reply;
    atomic_fetch_add(&l->n_calls, 1);
}

static void read_later(struct pfs_driver *d, uint64_t h, struct later *l)
{
    struct pfs_request req = PFS_REQUEST_INIT;

    *l = (struct later){0};
    req.op = PFS_OP_HANDLE_READ;
    req.handle = h;
    req.ticket = l;
    cr_assert(d->ops->submit(d, &req, on_reply, l), "it needs no worker");
}

/* It has ended once, so; its reply goes. */
static bool ended(struct later *l, enum pfs_class cls, const char *text)
{
    bool so = l->n_calls == 1 && l->reply.err.cls == cls && l->reply.len == strlen(text) &&
              memcmp(l->reply.data ? l->reply.data : "", text, l->reply.len) == 0;

    pfs_reply_fini(&l->reply);
    return so;
}

Test(streamfs_handles, reads_of_handles_wait_without_a_thread)
{
    static struct later waits[100];
    struct pfs_driver *d = rig_open(streamfs_open, NULL);
    uint64_t handles[100];

    for (int i = 0; i < 100; i++) {
        handles[i] = rig_hopen(d, i % 2 ? "/odd" : "/even", PFS_OPEN_RDWR | PFS_OPEN_CREATE);
        read_later(d, handles[i], &waits[i]);
    }
    struct pfs_reply r = rig_handle(d, PFS_OP_HANDLE_READ, handles[0]);

    cr_assert_eq(r.err.cls, PFS_BUSY, "it is being read");
    pfs_reply_fini(&r);
    rig_put(d, "/odd", "news");
    for (int i = 0; i < 100; i++) {
        cr_assert_eq(waits[i].n_calls, i % 2);
        cr_assert(i % 2 == 0 || ended(&waits[i], PFS_OK, "news"));
    }
    d->ops->cancel(d, &waits[0]);
    d->ops->cancel(d, &waits[1]); /* has ended */
    cr_assert(ended(&waits[0], PFS_CANCELLED, ""));
    cr_assert_eq(waits[2].n_calls, 0);
    r = rig_handle(d, PFS_OP_HANDLE_CLOSE, handles[2]);
    cr_assert_eq(r.err.cls, PFS_OK);
    cr_assert(ended(&waits[2], PFS_NOTFOUND, ""));
    rig_put(d, "/even", "kept");
    cr_assert(ended(&waits[4], PFS_OK, "kept"));
    read_later(d, handles[0], &waits[0]); /* who gave up has taken nothing */
    cr_assert(ended(&waits[0], PFS_OK, "kept"));
    read_later(d, handles[0], &waits[0]);
    read_later(d, handles[1], &waits[1]);
    rig_ok(d, PFS_OP_REMOVE, "/even");
    cr_assert(ended(&waits[0], PFS_OK, ""));
    d->ops->unmounting(d, true);
    cr_assert(ended(&waits[1], PFS_OK, ""));
    for (int i = 6; i < 100; i += 2) {
        cr_assert(ended(&waits[i], PFS_OK, "kept"));
    }
    d->ops->close(d);
}

Test(streamfs_handles, a_read_of_a_handle_ends_before_its_deadline)
{
    struct pfs_driver *d = rig_open(streamfs_open, NULL);
    struct pfs_request req = PFS_REQUEST_INIT;
    uint64_t h = rig_hopen(d, "/s", PFS_OPEN_RDWR | PFS_OPEN_CREATE);

    req.op = PFS_OP_HANDLE_READ;
    req.handle = h;
    req.deadline_ns = pfs_now() + PFS_SEC / 2 + PFS_MS; /* half a second is for the reply */
    struct pfs_reply r = rig_run(d, req);

    cr_assert_eq(r.err.cls, PFS_OK);
    cr_assert_eq(r.len, 0);
    pfs_reply_fini(&r);
    rig_put(d, "/s", "later");
    r = rig_handle(d, PFS_OP_HANDLE_READ, h);
    cr_assert_eq(r.len, 5);
    pfs_reply_fini(&r);
    d->ops->close(d);
}
