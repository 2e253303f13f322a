/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "driver_rig.h"
#include "streamfs.h"
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>

static struct pfs_stream *follow(struct pfs_driver *d, const char *path)
{
    struct pfs_request req = PFS_REQUEST_INIT;

    req.op = PFS_OP_OPEN_READ;
    req.path = path;
    req.flags = PFS_READ_STREAM;
    struct pfs_reply r = rig_run(d, req);

    cr_assert_eq(r.err.cls, PFS_OK, "%s", r.err.text);
    cr_assert_not_null(r.stream);
    cr_assert(!r.stream->ops->blocking && r.stream->size == -1);
    return r.stream;
}

/* A read in flight and how it ended. */
struct pending {
    char buf[64];
    int n_calls;
    size_t n;
    enum pfs_class cls;
};

static void on_read(void *arg, size_t n, const struct pfs_error *err)
{
    struct pending *p = arg;

    p->n_calls++;
    p->n = n;
    p->cls = err->cls;
    p->buf[n] = '\0';
}

static void start(struct pfs_stream *s, struct pending *p, size_t cap)
{
    *p = (struct pending){.n_calls = 0};
    s->ops->read(s, p->buf, cap, on_read, p);
}

static bool got(const struct pending *p, const char *text)
{
    return p->n_calls == 1 && p->cls == PFS_OK && p->n == strlen(text) &&
           memcmp(p->buf, text, p->n) == 0;
}

Test(streamfs, history_then_live_to_every_reader)
{
    struct pfs_driver *d = rig_open(streamfs_open, NULL);
    struct pending a, b;

    rig_put(d, "/s", "old;");
    struct pfs_stream *one = follow(d, "/s"), *two = follow(d, "/s");

    start(one, &a, 3);
    cr_assert(got(&a, "old"));
    start(one, &a, 63);
    cr_assert(got(&a, ";"));
    start(one, &a, 63);
    cr_assert_eq(a.n_calls, 0); /* waits */
    start(two, &b, 63);
    cr_assert(got(&b, "old;"));
    start(two, &b, 63);
    rig_put(d, "/s", "new");
    cr_assert(got(&a, "new"));
    cr_assert(got(&b, "new"));
    rig_put(d, "/s", "1");
    rig_put(d, "/s", "2");
    start(one, &a, 63);
    cr_assert(got(&a, "12")); /* whole backlog at once */
    struct pfs_reply r = rig_call(d, PFS_OP_STAT, "/s");

    cr_assert_eq(r.stat.size, 9);
    cr_assert_str_eq(r.stat.meta[0].key, "active_readers");
    cr_assert_str_eq(r.stat.meta[0].value, "2");
    cr_assert_str_eq(r.stat.meta[1].value, "9");
    pfs_reply_fini(&r);
    one->ops->close(one);
    two->ops->close(two);
    d->ops->close(d);
}

Test(streamfs, the_end_of_a_stream_and_of_a_reader)
{
    struct pfs_driver *d = rig_open(streamfs_open, NULL);
    struct pending a, b, c;
    struct pfs_stream *one = follow(d, "/s"), *two = follow(d, "/s"); /* made by reading */
    struct pfs_stream *late = follow(d, "/s");

    cr_assert_str_eq(rig_ls(d, "/"), "README s ");
    start(one, &a, 63);
    start(two, &b, 63);
    two->ops->close(two);
    cr_assert(b.n_calls == 1 && b.cls == PFS_CANCELLED);
    rig_put(d, "/s", "last");
    cr_assert(got(&a, "last"));
    start(one, &a, 63);
    rig_ok(d, PFS_OP_REMOVE, "/s");
    cr_assert(got(&a, "")); /* a clean end */
    start(late, &c, 63);
    cr_assert(got(&c, "last")); /* what was written before is still read */
    start(late, &c, 63);
    cr_assert(got(&c, ""));
    one->ops->close(one);
    late->ops->close(late);
    cr_assert_str_eq(rig_ls(d, "/"), "README ");
    d->ops->close(d);
}

Test(streamfs, nobody_waits_in_a_driver_that_is_being_unmounted)
{
    struct pfs_driver *d = rig_open(streamfs_open, NULL);
    struct pending a, b;
    struct pfs_stream *waits = follow(d, "/s"), *busy = follow(d, "/s");

    start(waits, &a, 63);
    d->ops->unmounting(d, true);
    cr_assert(got(&a, ""));
    rig_put(d, "/s", "last");
    start(busy, &b, 63);
    cr_assert(got(&b, "last"));
    start(busy, &b, 63);
    cr_assert(got(&b, ""));
    uint64_t h = rig_hopen(d, "/s", PFS_OPEN_RDONLY);

    for (int i = 0; i < 2; i++) {
        struct pfs_reply r = rig_handle(d, PFS_OP_HANDLE_READ, h);

        cr_assert_eq(r.err.cls, PFS_OK);
        cr_assert_eq(r.len, i == 0 ? 4 : 0);
        pfs_reply_fini(&r);
    }
    d->ops->unmounting(d, false); /* somebody else was in the way */
    start(waits, &a, 63);
    cr_assert(got(&a, "last"));
    start(waits, &a, 63);
    cr_assert_eq(a.n_calls, 0);
    waits->ops->close(waits);
    busy->ops->close(busy);
    d->ops->close(d);
}

Test(streamfs, slow_readers_are_bounded)
{
    const char *const pairs[] = {"ring_buffer_size=4", "channel_buffer_size=136", NULL};
    struct pfs_driver *d = rig_open(streamfs_open, pairs);
    struct pending a;
    struct pfs_stream *slow = follow(d, "/s");

    rig_put(d, "/s", "aaaa");
    start(slow, &a, 2);
    cr_assert(got(&a, "aa"));
    rig_put(d, "/s", "bbbb");
    rig_put(d, "/s", "cccc");
    rig_put(d, "/s", "dddd"); /* a and b are dropped; the reader is inside a */
    start(slow, &a, 63);
    cr_assert(got(&a, "aaccccdddd"));
    struct pfs_stream *fresh = follow(d, "/s");

    start(fresh, &a, 63);
    cr_assert(got(&a, "dddd")); /* the history is shorter than the backlog */
    rig_put(d, "/s", "a chunk larger than all that");
    start(slow, &a, 63);
    cr_assert(got(&a, "a chunk larger than all that"));
    slow->ops->close(slow);
    fresh->ops->close(fresh);
    d->ops->close(d);
}

#define MANY 400000

/* What many chunks cost is to follow from their number: a search for each takes minutes. */
Test(streamfs, a_long_history_is_read_in_one_go, .timeout = 30)
{
    const char *const pairs[] = {"ring_buffer_size=12MB", "channel_buffer_size=32MB", NULL};
    struct pfs_driver *d = rig_open(streamfs_open, pairs);
    char text[16];
    struct pending a;
    size_t n = 0;

    for (int i = 0; i < MANY; i++) {
        snprintf(text, sizeof text, "%08d", i);
        rig_put(d, "/s", text);
    }
    for (int i = 0; i < MANY / 100; i++) {
        struct pfs_stream *s = follow(d, "/s");

        s->ops->close(s);
    }
    struct pfs_stream *all = follow(d, "/s");

    for (int i = 0; i < MANY; i++) {
        snprintf(text, sizeof text, "%08d", i);
        start(all, &a, 8);
        cr_assert(got(&a, text), "%d", i);
        n += a.n;
    }
    start(all, &a, 8);
    cr_assert_eq(a.n_calls, 0);
    rig_put(d, "/s", "new");
    cr_assert(got(&a, "new"));
    cr_assert_eq(n, MANY * 8);
    all->ops->close(all);
    d->ops->close(d);
}

Test(streamfs, who_has_fallen_behind_goes_on_with_the_first_that_is_kept)
{
    const char *const pairs[] = {"ring_buffer_size=40", "channel_buffer_size=6800", NULL};
    struct pfs_driver *d = rig_open(streamfs_open, pairs);
    struct pfs_stream *behind = follow(d, "/s"), *late;
    char text[16];
    struct pending a;

    for (int i = 0; i < 200; i++) {
        snprintf(text, sizeof text, "%04d", i);
        rig_put(d, "/s", text);
    }
    late = follow(d, "/s");
    for (int i = 100; i < 200; i++) {
        snprintf(text, sizeof text, "%04d", i);
        start(behind, &a, 4);
        cr_assert(got(&a, text), "%d", i);
    }
    start(late, &a, 63);
    cr_assert(got(&a, "0190019101920193019401950196019701980199"));
    static const char large[6800];
    struct pfs_reply r = rig_write(d, "/s", large, sizeof large); /* not one of the others stays */

    cr_assert_eq(r.count, sizeof large);
    do {
        start(late, &a, 63);
    } while (a.n_calls > 0);
    rig_put(d, "/s", "x"); /* the ring has become smaller meanwhile */
    cr_assert(got(&a, "x"));
    late->ops->close(late);
    behind->ops->close(behind);
    d->ops->close(d);
}

static const char *all_of(struct pfs_driver *d, const char *path)
{
    static struct pending p;
    struct pfs_stream *s = follow(d, path);

    start(s, &p, 63);
    s->ops->close(s);
    return p.buf;
}

Test(streamfs, a_full_mount_forgets_the_oldest_and_takes_what_is_new)
{
    const char *const pairs[] = {"ring_buffer_size=8", "channel_buffer_size=136", NULL};
    static const char big[300];
    struct pfs_driver *d = rig_open(streamfs_open, pairs);
    struct streamfs *f = (struct streamfs *)d;
    struct pending a;

    f->max_kept = 20 + 4 * CHUNK_COST;
    rig_put(d, "/one", "1111");
    rig_put(d, "/one", "2222");
    rig_put(d, "/two", "aaaaaaaa");
    rig_put(d, "/three", "xxxx");
    rig_put(d, "/one", "3333"); /* in the place of what it drops itself */
    cr_assert_str_eq(all_of(d, "/one"), "22223333");
    cr_assert_str_eq(all_of(d, "/two"), "aaaaaaaa");
    rig_put(d, "/three", "y"); /* two was written to longest ago */
    cr_assert_str_eq(all_of(d, "/three"), "xxxxy");
    cr_assert_str_eq(all_of(d, "/two"), "");
    rig_put(d, "/two", "bbbbbbbb"); /* one loses its first chunk only */
    cr_assert_str_eq(all_of(d, "/one"), "3333");
    cr_assert_eq(f->kept, 17 + 4 * CHUNK_COST);
    struct pfs_reply r = rig_write(d, "/two", big, sizeof big);

    cr_assert_eq(r.err.cls, PFS_NOSPC);
    pfs_reply_fini(&r);
    struct pfs_stream *reads_on = follow(d, "/two");

    rig_ok(d, PFS_OP_REMOVE, "/two"); /* its reader still has it */
    r = rig_write(d, "/one", big, 12 + 2 * CHUNK_COST + 1);
    cr_assert_eq(r.err.cls, PFS_NOSPC, "%s", r.err.text);
    pfs_reply_fini(&r);
    cr_assert_str_eq(all_of(d, "/three"), "xxxxy", "nothing is lost for what is refused");
    start(reads_on, &a, 63);
    cr_assert(got(&a, "bbbbbbbb"));
    reads_on->ops->close(reads_on);
    cr_assert_eq(f->kept, 9 + 3 * CHUNK_COST);
    d->ops->close(d);
}

Test(streamfs, small_chunks_are_not_free)
{
    struct pfs_driver *d = rig_open(streamfs_open, NULL);
    struct streamfs *f = (struct streamfs *)d;
    size_t before = mallinfo2().uordblks;

    for (int i = 0; i < 300000; i++) {
        rig_put(d, "/s", "x");
    }
    cr_assert_leq(f->kept, STREAM_RETENTION_DEFAULT);
    cr_assert_leq(mallinfo2().uordblks - before, f->kept, "%zu bytes in use, %llu counted",
                  mallinfo2().uordblks - before, (unsigned long long)f->kept);
    d->ops->close(d);
}

Test(streamfs, refusals)
{
    struct pfs_driver *d = rig_open(streamfs_open, NULL);
    struct pfs_option bad = {"ring_buffer_size", "12 parsecs"};
    struct pfs_error err;
    struct pfs_driver *none;

    rig_ok(d, PFS_OP_CREATE, "/s");
    rig_fails(d, PFS_OP_CREATE, "/s", PFS_EXISTS, "stream already exists: /s");
    rig_fails(d, PFS_OP_READ, "/s", PFS_BADARG, "use stream mode for reading stream files");
    rig_fails(d, PFS_OP_OPEN_READ, "/s", PFS_BADARG, "use stream mode");
    rig_fails(d, PFS_OP_STAT, "/none", PFS_NOTFOUND, "stream not found: /none");
    rig_fails(d, PFS_OP_REMOVE, "/none", PFS_NOTFOUND, "stream not found: /none");
    rig_fails(d, PFS_OP_MKDIR, "/d", PFS_UNSUPPORTED, "streamfs does not support directories");
    rig_fails(d, PFS_OP_RENAME, "/s", PFS_UNSUPPORTED, "streamfs does not support rename");
    rig_fails(d, PFS_OP_CHMOD, "/s", PFS_UNSUPPORTED, "streamfs does not support chmod");
    rig_fails(d, PFS_OP_WRITE, "/README", PFS_DENIED, "permission denied");
    rig_fails(d, PFS_OP_WRITE, "/a/b", PFS_UNSUPPORTED, "not support directories");
    rig_fails(d, PFS_OP_READDIR, "/s", PFS_BADARG, "not a directory: /s");
    cr_assert_eq(strncmp(rig_cat(d, "/README"), "StreamFS", 8), 0);
    cr_assert_eq(streamfs_open(&bad, 1, &none, &err), PFS_CONFIG);
    d->ops->close(d);
}

/* ---- many threads ---- */

#define N_READERS 4
#define N_CHUNKS 2000

struct counter {
    struct pfs_stream *s;
    atomic_size_t total;
    char buf[64];
};

static void count(void *arg, size_t n, const struct pfs_error *err)
{
    struct counter *c = arg;

    if (err->cls == PFS_OK && n > 0) {
        atomic_fetch_add(&c->total, n);
        c->s->ops->read(c->s, c->buf, sizeof c->buf, count, c);
    }
}

static void *write_chunks(void *arg)
{
    for (int i = 0; i < N_CHUNKS; i++) {
        rig_put(arg, "/s", "8 bytes;");
    }
    return NULL;
}

Test(streamfs, concurrent_writers_lose_nothing)
{
    struct pfs_driver *d = rig_open(streamfs_open, NULL);
    static struct counter counters[N_READERS];
    pthread_t threads[2];

    for (size_t i = 0; i < N_READERS; i++) {
        counters[i].s = follow(d, "/s");
        counters[i].s->ops->read(counters[i].s, counters[i].buf, sizeof counters[i].buf, count,
                                 &counters[i]);
    }
    for (size_t i = 0; i < 2; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, write_chunks, d), 0);
    }
    for (size_t i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
    for (size_t i = 0; i < N_READERS; i++) {
        counters[i].s->ops->close(counters[i].s);
        cr_assert_eq(counters[i].total, 2u * N_CHUNKS * 8);
    }
    d->ops->close(d);
}
