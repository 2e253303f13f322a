/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "driver_rig.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define N_THREADS 8
#define N_MESSAGES 4000

static char dir[] = "/tmp/queuefs-test.XXXXXX";
static char db_option[64];
static const char *const sqlite_pairs[] = {"backend=sqlite", db_option, NULL};

static void make_dir(void)
{
    cr_assert_not_null(mkdtemp(dir));
    snprintf(db_option, sizeof db_option, "db_path=%s/q.db", dir);
}

static void remove_dir(void)
{
    static const char *const names[] = {"q.db", "q.db-wal", "q.db-shm"};
    char path[64];

    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
}

TestSuite(queuefs, .init = make_dir, .fini = remove_dir);

/* The data of a dequeued or peeked message; "" for {}. */
static const char *data_of(const char *json)
{
    static _Thread_local char data[256];
    const char *s = strstr(json, "\"data\":\"");

    data[0] = '\0';
    if (s) {
        sscanf(s, "\"data\":\"%255[^\"]", data);
    }
    return data;
}

/* What both backends do alike. */
static void check_messages(struct pfs_driver *d)
{
    struct pfs_reply r;
    char first[512];

    rig_ok(d, PFS_OP_MKDIR, "/a");
    rig_ok(d, PFS_OP_MKDIR, "/a"); /* repeating it is fine */
    cr_assert_str_eq(rig_ls(d, "/a"), "enqueue dequeue peek size clear ");
    cr_assert_str_eq(rig_cat(d, "/a/dequeue"), "{}");
    cr_assert_str_eq(rig_cat(d, "/a/peek"), "{}");
    cr_assert_str_eq(rig_cat(d, "/a/size"), "0");
    rig_put(d, "/a/enqueue", "one");
    r = rig_write(d, "/a/enqueue", "<\xff\0>", 4);
    cr_assert_eq(r.count, 4);
    pfs_reply_fini(&r);
    rig_put(d, "/a/enqueue", "");
    cr_assert_str_eq(rig_cat(d, "/a/size"), "3");
    snprintf(first, sizeof first, "%s", rig_cat(d, "/a/peek"));
    cr_assert_str_eq(rig_cat(d, "/a/dequeue"), first);
    cr_assert_eq(strncmp(first, "{\"id\":\"", 7), 0);
    cr_assert_eq(first[7 + 14], '7', "%s", first); /* UUIDv7 */
    cr_assert_not_null(strchr("89ab", first[7 + 19]));
    cr_assert_not_null(strstr(first, "\",\"data\":\"one\",\"timestamp\":\"20"));
    cr_assert_eq(first[strlen(first) - 1], '}');
    cr_assert_not_null(
        strstr(rig_cat(d, "/a/dequeue"), "\"data\":\"\\u003c\\ufffd\\u0000\\u003e\""));
    cr_assert_not_null(strstr(rig_cat(d, "/a/dequeue"), "\"data\":\"\""));
    cr_assert_str_eq(rig_cat(d, "/a/dequeue"), "{}");
    rig_put(d, "/a/enqueue", "x");
    r = rig_write(d, "/a/clear", "abc", 3);
    cr_assert_eq(r.count, 0);
    pfs_reply_fini(&r);
    cr_assert_str_eq(rig_cat(d, "/a/size"), "0");
}

static void check_tree(struct pfs_driver *d, const char *backend)
{
    struct pfs_reply r;

    rig_ok(d, PFS_OP_MKDIR, "/n/e/s");
    rig_ok(d, PFS_OP_MKDIR, "/n-1");
    cr_assert_str_eq(rig_ls(d, "/"), "README a n n-1 ");
    cr_assert_str_eq(rig_ls(d, "/n"), "e ");
    cr_assert_str_eq(rig_ls(d, "/n/e/s"), "enqueue dequeue peek size clear ");
    cr_assert_str_eq(rig_ls(d, "/zzz"), "enqueue dequeue peek size clear ");
    rig_ok(d, PFS_OP_MKDIR, "/a/sub");
    cr_assert_str_eq(rig_ls(d, "/a"), "sub "); /* no messages of its own */
    rig_put(d, "/a/enqueue", "m");
    cr_assert_str_eq(rig_ls(d, "/a"), "enqueue dequeue peek size clear ");
    r = rig_call(d, PFS_OP_STAT, "/");
    cr_assert_str_eq(r.stat.meta[0].value, backend);
    cr_assert_str_eq(r.stat.meta_type, "");
    pfs_reply_fini(&r);
    r = rig_call(d, PFS_OP_STAT, "/n");
    cr_assert(r.stat.is_dir && r.stat.mode == 0755 && strcmp(r.stat.meta_type, "queue") == 0);
    pfs_reply_fini(&r);
    r = rig_call(d, PFS_OP_STAT, "/none/size"); /* of a control file always succeeds */
    cr_assert(r.err.cls == PFS_OK && r.stat.mode == 0444 && r.stat.size == 1);
    pfs_reply_fini(&r);
    rig_fails(d, PFS_OP_STAT, "/zzz", PFS_NOTFOUND, "no such file or directory: /zzz");
    rig_fails(d, PFS_OP_REMOVE, "/n", PFS_BADARG, "use RemoveAll instead");
    rig_fails(d, PFS_OP_REMOVE_ALL, "/n/size", PFS_DENIED, "cannot remove control files");
    rig_ok(d, PFS_OP_REMOVE_ALL, "/n");
    rig_ok(d, PFS_OP_REMOVE_ALL, "/not-there");
    cr_assert_str_eq(rig_ls(d, "/"), "README a n-1 ");
    rig_ok(d, PFS_OP_MKDIR, "/n\001b"); /* after all below n */
    rig_ok(d, PFS_OP_MKDIR, "/n/a");
    rig_ok(d, PFS_OP_MKDIR, "/n/c");
    cr_assert_str_eq(rig_ls(d, "/"), "README a n n\001b n-1 ");
    rig_ok(d, PFS_OP_REMOVE_ALL, "/");
    cr_assert_str_eq(rig_ls(d, "/"), "README ");
    cr_assert_str_eq(rig_cat(d, "/a/dequeue"), "{}");
}

static void check_refusals(struct pfs_driver *d)
{
    rig_fails(d, PFS_OP_READ, "/", PFS_BADARG, "is a directory");
    rig_fails(d, PFS_OP_READ, "/q", PFS_BADARG, "is a directory: /q");
    rig_fails(d, PFS_OP_READ, "/q/enqueue", PFS_DENIED, "permission denied: /q/enqueue is write");
    rig_fails(d, PFS_OP_READ, "/q/clear", PFS_DENIED, "write-only");
    rig_fails(d, PFS_OP_READ, "/dequeue", PFS_BADARG, "operation without queue name");
    rig_fails(d, PFS_OP_WRITE, "/q/dequeue", PFS_DENIED, "cannot write to: /q/dequeue");
    rig_fails(d, PFS_OP_WRITE, "/q/size", PFS_DENIED, "cannot write to");
    rig_fails(d, PFS_OP_MKDIR, "/q/enqueue", PFS_BADARG, "is not a valid directory path");
    rig_fails(d, PFS_OP_MKDIR, "/enqueue", PFS_BADARG, "operation without queue name");
    rig_fails(d, PFS_OP_MKDIR, "/README", PFS_EXISTS, "already exists");
    rig_fails(d, PFS_OP_RENAME, "/q", PFS_DENIED, "cannot rename files");
    rig_fails(d, PFS_OP_CHMOD, "/q", PFS_DENIED, "cannot change permissions");
    rig_fails(d, PFS_OP_READDIR, "/q/size", PFS_BADARG, "not a directory");
    rig_ok(d, PFS_OP_TRUNCATE, "/q/enqueue");
    rig_ok(d, PFS_OP_TOUCH, "/q/enqueue");
    rig_ok(d, PFS_OP_CREATE, "/q/enqueue");
    cr_assert_str_eq(rig_cat(d, "/q/size"), "0"); /* none of these enqueued */
    cr_assert_eq(strncmp(rig_cat(d, "/README"), "QueueFS", 7), 0);
}

static void check_handles(struct pfs_driver *d)
{
    struct pfs_request req = PFS_REQUEST_INIT;
    struct pfs_reply r;

    rig_ok(d, PFS_OP_MKDIR, "/h");
    uint64_t in = rig_hopen(d, "/h/enqueue", PFS_OPEN_WRONLY);
    uint64_t out = rig_hopen(d, "/h/dequeue", PFS_OPEN_RDONLY);

    req.op = PFS_OP_HANDLE_WRITE;
    req.handle = in;
    req.data = "hi";
    req.len = 2;
    for (int i = 0; i < 2; i++) {
        r = rig_run(d, req);
        cr_assert_eq(r.count, 2);
        pfs_reply_fini(&r);
    }
    req = (struct pfs_request)PFS_REQUEST_INIT;
    req.op = PFS_OP_HANDLE_READ;
    req.handle = out;
    req.size = 7;
    r = rig_run(d, req);
    cr_assert(r.len == 7 && memcmp(r.data, "{\"id\":\"", 7) == 0);
    pfs_reply_fini(&r);
    req.size = -1;
    r = rig_run(d, req);
    cr_assert_not_null(memmem(r.data, r.len, "\"data\":\"hi\"", 11));
    pfs_reply_fini(&r);
    r = rig_run(d, req);
    cr_assert_eq(r.len, 0); /* once per handle: the second message is still there */
    pfs_reply_fini(&r);
    cr_assert_str_eq(rig_cat(d, "/h/size"), "1");
    req.handle = in;
    r = rig_run(d, req);
    cr_assert(r.err.cls == PFS_OK && r.len == 0);
    pfs_reply_fini(&r);
    req.op = PFS_OP_HANDLE_WRITE;
    req.handle = out;
    r = rig_run(d, req);
    cr_assert(r.err.cls == PFS_DENIED && strstr(r.err.text, "cannot write to dequeue"));
    pfs_reply_fini(&r);
    r = rig_handle(d, PFS_OP_HANDLE_CLOSE, out);
    cr_assert_eq(r.err.cls, PFS_OK);
    r = rig_handle(d, PFS_OP_HANDLE_CLOSE, out);
    cr_assert_eq(r.err.cls, PFS_NOTFOUND); /* `in` is freed with the driver */
}

/* The reply to a dequeue, with its receipt. */
static struct pfs_reply taken(struct pfs_driver *d, const char *path)
{
    struct pfs_request req = PFS_REQUEST_INIT;

    req.op = PFS_OP_READ;
    req.path = path;
    struct pfs_reply r = rig_run(d, req);

    cr_assert_eq(r.err.cls, PFS_OK);
    return r;
}

static void lose(struct pfs_reply *r)
{
    r->receipt->end(r->receipt, true);
    r->receipt = NULL;
    pfs_reply_fini(r);
}

/* What surely reached nobody comes back in its old place, unless its queue has gone. */
static void check_receipts(struct pfs_driver *d)
{
    struct pfs_reply r[3];

    rig_ok(d, PFS_OP_MKDIR, "/r");
    rig_put(d, "/r/enqueue", "one");
    rig_put(d, "/r/enqueue", "");
    rig_put(d, "/r/enqueue", "three");
    for (int i = 0; i < 3; i++) {
        r[i] = taken(d, "/r/dequeue");
        cr_assert_not_null(r[i].receipt);
    }
    cr_assert_str_eq(rig_cat(d, "/r/dequeue"), "{}");
    char *first = strndup(r[0].data, r[0].len);
    lose(&r[2]);
    lose(&r[0]);
    pfs_reply_fini(&r[1]); /* this one arrived */
    cr_assert_str_eq(rig_cat(d, "/r/size"), "2");
    cr_assert_str_eq(rig_cat(d, "/r/dequeue"), first, "the same id and time");
    free(first);
    cr_assert_not_null(strstr(rig_cat(d, "/r/dequeue"), "\"data\":\"three\""));
    struct pfs_reply none = taken(d, "/r/dequeue");
    cr_assert_null(none.receipt);
    pfs_reply_fini(&none);
    rig_put(d, "/r/enqueue", "gone");
    r[0] = taken(d, "/r/dequeue");
    rig_ok(d, PFS_OP_REMOVE_ALL, "/r");
    lose(&r[0]);
    rig_ok(d, PFS_OP_MKDIR, "/r");
    cr_assert_str_eq(rig_cat(d, "/r/size"), "0");
    rig_ok(d, PFS_OP_REMOVE_ALL, "/r");
}

Test(queuefs, memory)
{
    struct pfs_driver *d = rig_open(queuefs_open, NULL);

    cr_assert(d->ops->nonblocking);
    check_messages(d);
    check_receipts(d);
    check_tree(d, "memory");
    check_refusals(d);
    check_handles(d);
    rig_put(d, "/made/on/the/way/enqueue", "x");
    cr_assert_str_eq(rig_cat(d, "/made/on/the/way/size"), "1");
    d->ops->close(d);
}

Test(queuefs, sqlite)
{
    struct pfs_driver *d = rig_open(queuefs_open, sqlite_pairs);

    cr_assert(!d->ops->nonblocking);
    check_messages(d);
    check_receipts(d);
    check_tree(d, "sqlite");
    check_refusals(d);
    check_handles(d);
    struct pfs_reply r = rig_write(d, "/none/enqueue", "x", 1);

    cr_assert_eq(r.err.cls, PFS_NOTFOUND);
    cr_assert_not_null(strstr(r.err.text, "queue does not exist: none (create it with mkdir"));
    pfs_reply_fini(&r);
    d->ops->close(d);
}

/* Messages without content are not free either. */
static void check_empty_messages(struct pfs_driver *d)
{
    struct pfs_reply r;
    int n = 0;

    for (; n < 100; n++) {
        r = rig_write(d, "/c/enqueue", "", 0);
        if (r.err.cls != PFS_OK) {
            break;
        }
        pfs_reply_fini(&r);
    }
    cr_assert_eq(r.err.cls, PFS_NOSPC);
    cr_assert_eq(n, 2);
    rig_cat(d, "/c/dequeue");
    rig_put(d, "/c/enqueue", "");
}

static void check_limits(const char *const *pairs)
{
    struct pfs_driver *d = rig_open(queuefs_open, pairs);
    struct pfs_reply r;

    rig_ok(d, PFS_OP_MKDIR, "/a");
    r = rig_write(d, "/a/enqueue", "12345", 5);
    cr_assert_eq(r.err.cls, PFS_TOOBIG);
    rig_put(d, "/a/enqueue", "1234");
    rig_put(d, "/a/enqueue", "1234");
    r = rig_write(d, "/a/enqueue", "12", 2);
    cr_assert_eq(r.err.cls, PFS_NOSPC);
    rig_cat(d, "/a/dequeue");
    rig_put(d, "/a/enqueue", "12");
    rig_ok(d, PFS_OP_MKDIR, "/b");
    rig_fails(d, PFS_OP_MKDIR, "/c", PFS_NOSPC, "too many queues");
    rig_ok(d, PFS_OP_MKDIR, "/b");
    rig_ok(d, PFS_OP_REMOVE_ALL, "/a");
    rig_ok(d, PFS_OP_MKDIR, "/c");
    rig_put(d, "/c/enqueue", "1234");
    rig_put(d, "/c/clear", "");
    check_empty_messages(d);
    d->ops->close(d);
}

Test(queuefs, limits)
{
    const char *memory[] = {"max_message_bytes=4", "max_bytes=207", "max_queues=2", NULL};
    const char *sqlite[] = {"max_message_bytes=4", "max_bytes=207", "max_queues=2",
                            "backend=sqlite",      db_option,       NULL};
    struct pfs_option bad[] = {{"backend", "tidb"}, {"max_bytes", "many"}, {"colour", "red"}};
    struct pfs_driver *d;
    struct pfs_error err;

    check_limits(memory);
    check_limits(sqlite);
    for (size_t i = 0; i < 3; i++) {
        cr_assert_eq(queuefs_open(&bad[i], 1, &d, &err), PFS_CONFIG);
    }
}

/* ---- one message to exactly one reader ---- */

struct race {
    struct pfs_driver *d;
    atomic_uint next, n_taken;
    atomic_uint seen[N_MESSAGES];
    unsigned n;
};

static void *produce_and_consume(void *arg)
{
    struct race *r = arg;

    while (atomic_load(&r->n_taken) < r->n) {
        unsigned i = atomic_fetch_add(&r->next, 1);
        char text[16];

        if (i < r->n) {
            snprintf(text, sizeof text, "%u", i);
            rig_put(r->d, "/q/enqueue", text);
        }
        const char *got = data_of(rig_cat(r->d, "/q/dequeue"));

        if (got[0]) {
            atomic_fetch_add(&r->seen[atoi(got)], 1);
            atomic_fetch_add(&r->n_taken, 1);
        }
    }
    return NULL;
}

static void check_race(struct pfs_driver *d, unsigned n)
{
    static struct race r;
    pthread_t threads[N_THREADS];

    memset(&r, 0, sizeof r);
    r.d = d;
    r.n = n;
    rig_ok(d, PFS_OP_MKDIR, "/q");
    for (size_t i = 0; i < N_THREADS; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, produce_and_consume, &r), 0);
    }
    for (size_t i = 0; i < N_THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    for (unsigned i = 0; i < n; i++) {
        cr_assert_eq(r.seen[i], 1u, "message %u came %u times", i, r.seen[i]);
    }
    cr_assert_str_eq(rig_cat(d, "/q/dequeue"), "{}");
    d->ops->close(d);
}

Test(queuefs, every_message_reaches_one_reader)
{
    check_race(rig_open(queuefs_open, NULL), N_MESSAGES);
    check_race(rig_open(queuefs_open, sqlite_pairs), N_MESSAGES / 20); /* each waits for the disk */
}

/* ---- what was acknowledged survives ---- */

/* Enqueues for ever and writes each number to the pipe once it was acknowledged. */
static void enqueue_until_killed(int out)
{
    struct pfs_driver *d = rig_open(queuefs_open, sqlite_pairs);

    rig_ok(d, PFS_OP_MKDIR, "/q");
    for (unsigned i = 0;; i++) {
        char text[16];

        snprintf(text, sizeof text, "%u", i);
        rig_put(d, "/q/enqueue", text);
        if (write(out, &i, sizeof i) != sizeof i) {
            _exit(1);
        }
    }
}

Test(queuefs, acknowledged_messages_survive_kill_9)
{
    int fds[2], status;
    unsigned last = 0, n = 0;

    cr_assert_eq(pipe(fds), 0);
    pid_t pid = fork();

    if (pid == 0) {
        enqueue_until_killed(fds[1]);
    }
    close(fds[1]);
    while (last < 50 && read(fds[0], &last, sizeof last) == sizeof last) {
    }
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    while (read(fds[0], &last, sizeof last) == sizeof last) {
    }
    close(fds[0]);
    cr_assert_geq(last, 50u);
    struct pfs_driver *d = rig_open(queuefs_open, sqlite_pairs);

    for (const char *got; (got = data_of(rig_cat(d, "/q/dequeue")))[0]; n++) {
        cr_assert_eq((unsigned)atoi(got), n); /* in order, so none twice and none missing */
    }
    cr_assert(n == last + 1 || n == last + 2, "%u acknowledged, %u there", last + 1, n);
    d->ops->close(d);
}
