/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Which operations of queues in memory are not done on an event loop. */
#include "driver_rig.h"
#include "queuefs.h"
#include <pthread.h>

static bool is_long(struct pfs_driver *d, enum pfs_op op, const char *path, uint64_t handle,
                    size_t len)
{
    const struct pfs_request req = {
        .op = op, .path = path, .handle = handle, .len = len, .offset = -1, .size = -1};

    return d->ops->is_long(d, &req);
}

static void *ask_while_locked(void *arg)
{
    cr_expect(is_long(arg, PFS_OP_STAT, "/a", 0, 0));
    cr_expect(is_long(arg, PFS_OP_WRITE, "/a/enqueue", 0, 1));
    return NULL;
}

/* Called with the lock of the queues held. */
static bool ask_from_elsewhere(void *d, const char *child)
{
    pthread_t t;

    cr_assert_eq(pthread_create(&t, NULL, ask_while_locked, d), 0);
    pthread_join(t, NULL);
    return false;
}

Test(queuefs_long, says_what_takes_long_in_memory)
{
    static char big[1 << 20];
    struct pfs_driver *d = rig_open(queuefs_open, NULL);
    struct queue_backend *b = ((struct queuefs *)d)->backend;
    char path[40];

    cr_assert_not_null(d->ops->is_long);
    rig_put(d, "/a/enqueue", "small");
    uint64_t h = rig_hopen(d, "/a/peek", PFS_OPEN_RDONLY);
    uint64_t w = rig_hopen(d, "/b/enqueue", PFS_OPEN_WRONLY);
    struct pfs_reply r = rig_write(d, "/b/enqueue", big, sizeof big / 2);

    cr_assert_eq(r.count, sizeof big / 2);
    cr_assert_not(is_long(d, PFS_OP_READ, "/a/peek", 0, 0));
    cr_assert_not(is_long(d, PFS_OP_READ, "/none/dequeue", 0, 0));
    cr_assert_not(is_long(d, PFS_OP_READ, "/b/size", 0, 0));
    cr_assert_not(is_long(d, PFS_OP_HANDLE_READ, NULL, h, 0));
    cr_assert_not(is_long(d, PFS_OP_WRITE, "/b/clear", 0, 0));
    cr_assert(is_long(d, PFS_OP_READ, "/b/dequeue", 0, 0), "it is spelled as JSON");
    cr_assert(is_long(d, PFS_OP_READ, "/b/peek", 0, 0));
    cr_assert_not(is_long(d, PFS_OP_WRITE, "/a/enqueue", 0, 1000));
    cr_assert(is_long(d, PFS_OP_WRITE, "/a/enqueue", 0, sizeof big));
    cr_assert_not(is_long(d, PFS_OP_HANDLE_WRITE, NULL, w, 1000));
    cr_assert(is_long(d, PFS_OP_HANDLE_WRITE, NULL, w, sizeof big));
    uint64_t g = rig_hopen(d, "/b/peek", PFS_OPEN_RDONLY);

    cr_assert(is_long(d, PFS_OP_HANDLE_READ, NULL, g, 0));
    r = rig_handle(d, PFS_OP_HANDLE_READ, g); /* now it has the text, of three mebibytes */
    pfs_reply_fini(&r);
    cr_assert(is_long(d, PFS_OP_HANDLE_READ, NULL, g, 0));
    cr_assert_not(is_long(d, PFS_OP_HANDLE_SEEK, NULL, g, 0));
    cr_assert_not(is_long(d, PFS_OP_READDIR, "/", 0, 0));
    b->ops->children(b, "", ask_from_elsewhere, d, NULL);
    for (int i = 0; i < 3000; i++) {
        snprintf(path, sizeof path, "/q%d", i);
        rig_ok(d, PFS_OP_MKDIR, path);
    }
    cr_assert(is_long(d, PFS_OP_READDIR, "/", 0, 0));
    cr_assert_not(is_long(d, PFS_OP_STAT, "/q1", 0, 0));
    r = rig_write(d, "/b/enqueue", big, sizeof big);
    cr_assert(is_long(d, PFS_OP_WRITE, "/b/clear", 0, 0));
    cr_assert(is_long(d, PFS_OP_REMOVE_ALL, "/b", 0, 0));
    d->ops->close(d);
}
