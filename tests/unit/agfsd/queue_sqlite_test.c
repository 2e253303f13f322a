/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* What operations on a queue in SQLite cost while another one is long, counted in SQLite's steps.
 */
#include "driver_rig.h"
#include <sqlite3.h>
#include <stdlib.h>
#include <unistd.h>

#define N_OTHERS 20000
#define FEW 100 /* hundreds of steps: what one message may cost */

static char dir[] = "/tmp/queue-sqlite.XXXXXX", file[64], option[80];
static const char *const pairs[] = {"backend=sqlite", option, "max_bytes=100MB", NULL};
static unsigned n_steps; /* hundreds of them */

static int count_steps(void *arg)
{
    n_steps++;
    return 0;
}

static int watch(sqlite3 *db, char **err, const void *api)
{
    sqlite3_progress_handler(db, 100, count_steps, NULL);
    return SQLITE_OK;
}

static void init(void)
{
    cr_assert_not_null(mkdtemp(dir));
    snprintf(file, sizeof file, "%s/q.db", dir);
    snprintf(option, sizeof option, "db_path=%s", file);
}

static void fini(void)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    char path[80];

    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s%s", file, ends[i]);
        unlink(path);
    }
    rmdir(dir);
}

TestSuite(queue_sqlite, .init = init, .fini = fini);

/* With many messages in a queue that nobody touches. */
static struct pfs_driver *open_with_others(void)
{
    struct pfs_driver *d = rig_open(queuefs_open, pairs);
    sqlite3 *db;

    rig_ok(d, PFS_OP_MKDIR, "/others");
    rig_ok(d, PFS_OP_MKDIR, "/a");
    rig_ok(d, PFS_OP_MKDIR, "/a/b");
    rig_ok(d, PFS_OP_MKDIR, "/a0");
    d->ops->close(d);
    cr_assert_eq(sqlite3_open(file, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db,
                              "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
                              "WHERE i < 20000) INSERT INTO messages(queue, time_ns, id, data) "
                              "SELECT 'others', i, 'x', CAST('abc' AS BLOB) FROM n",
                              NULL, NULL, NULL),
                 SQLITE_OK);
    sqlite3_close(db);
    cr_assert_eq(sqlite3_auto_extension((void (*)(void))watch), SQLITE_OK);
    d = rig_open(queuefs_open, pairs);
    cr_assert_gt(n_steps, N_OTHERS / 100); /* counted once, at the begin */
    return d;
}

static void took_few_steps(const char *what)
{
    cr_expect_leq(n_steps, FEW, "%s: %u00 steps", what, n_steps);
    n_steps = 0;
}

Test(queue_sqlite, what_is_in_other_queues_costs_nothing)
{
    struct pfs_driver *d = open_with_others();

    rig_put(d, "/a/enqueue", "one");
    n_steps = 0;
    struct pfs_reply r = rig_call(d, PFS_OP_READ, "/a/dequeue");

    cr_assert_not_null(r.receipt);
    r.receipt->end(r.receipt, true);
    r.receipt = NULL;
    pfs_reply_fini(&r);
    took_few_steps("put back");
    cr_expect_str_eq(rig_cat(d, "/a/size"), "1");
    n_steps = 0;
    rig_put(d, "/a/clear", "");
    took_few_steps("clear");
    rig_put(d, "/a/enqueue", "one");
    rig_put(d, "/a/b/enqueue", "one");
    rig_put(d, "/a0/enqueue", "stays");
    n_steps = 0;
    rig_ok(d, PFS_OP_REMOVE_ALL, "/a");
    took_few_steps("remove");
    cr_expect_str_eq(rig_ls(d, "/"), "README a0 others ");
    cr_expect_str_eq(rig_cat(d, "/a0/size"), "1");
    cr_expect_str_eq(rig_cat(d, "/others/size"), "20000");
    rig_ok(d, PFS_OP_MKDIR, "/a");
    rig_ok(d, PFS_OP_MKDIR, "/a/b");
    cr_expect_str_eq(rig_cat(d, "/a/b/size"), "0");
    d->ops->close(d);
}

/* The room that is left is what it would be if all were counted anew. */
static void check_room(struct pfs_driver **d, const char *const *small, bool fits)
{
    for (int i = 0; i < 2; i++) {
        struct pfs_reply r = rig_write(*d, "/a/enqueue", "1234", 4);

        cr_expect_eq(r.err.cls, fits ? PFS_OK : PFS_NOSPC, "%s", r.err.text);
        pfs_reply_fini(&r);
        if (fits) {
            r = rig_call(*d, PFS_OP_READ, "/a/dequeue");
            r.receipt->end(r.receipt, false);
            r.receipt = NULL;
            pfs_reply_fini(&r);
        }
        (*d)->ops->close(*d);
        *d = rig_open(queuefs_open, small);
    }
}

Test(queue_sqlite, the_total_follows_what_comes_back_and_goes)
{
    const char *const small[] = {"backend=sqlite", option, "max_bytes=330", NULL}; /* for three */
    struct pfs_driver *d = rig_open(queuefs_open, small);

    rig_ok(d, PFS_OP_MKDIR, "/a");
    rig_ok(d, PFS_OP_MKDIR, "/b");
    rig_ok(d, PFS_OP_MKDIR, "/b/c");
    rig_put(d, "/b/enqueue", "1234");
    rig_put(d, "/b/enqueue", "1234");
    rig_put(d, "/b/c/enqueue", "1234");
    check_room(&d, small, false);
    struct pfs_reply r = rig_call(d, PFS_OP_READ, "/b/dequeue");

    rig_put(d, "/a/enqueue", "1234"); /* in its place */
    r.receipt->end(r.receipt, true);
    r.receipt = NULL;
    pfs_reply_fini(&r);
    rig_put(d, "/a/clear", "");
    check_room(&d, small, false);
    r = rig_call(d, PFS_OP_READ, "/b/dequeue");
    rig_ok(d, PFS_OP_REMOVE_ALL, "/b"); /* and all below; what was taken has no queue any more */
    r.receipt->end(r.receipt, true);
    r.receipt = NULL;
    pfs_reply_fini(&r);
    check_room(&d, small, true);
    rig_put(d, "/a/enqueue", "1234");
    rig_put(d, "/a/enqueue", "1234");
    rig_put(d, "/a/enqueue", "1234");
    check_room(&d, small, false);
    rig_put(d, "/a/clear", "");
    check_room(&d, small, true);
    d->ops->close(d);
}
