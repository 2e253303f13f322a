/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Queues in SQLite on a disk that is full: a small one of memory, which needs the right to mount.
 */
#include "driver_rig.h"
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#define MESSAGE 60000

static char dir[] = "/tmp/queue-disk.XXXXXX";
static struct pfs_driver *d;

/* False: not here. */
static bool open_on_small_disk(void)
{
    char option[64];
    const char *const pairs[] = {"backend=sqlite", option, NULL};

    cr_assert_not_null(mkdtemp(dir));
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", dir, "tmpfs", 0, "size=32m") != 0) {
        rmdir(dir);
        return false;
    }
    snprintf(option, sizeof option, "db_path=%s/q.db", dir);
    d = rig_open(queuefs_open, pairs);
    return true;
}

static void close_disk(void)
{
    d->ops->close(d);
    cr_assert_eq(umount(dir), 0);
    rmdir(dir);
}

static struct pfs_error push(void)
{
    char big[MESSAGE];

    memset(big, 'x', sizeof big);
    struct pfs_reply r = rig_write(d, "/q/enqueue", big, sizeof big);
    struct pfs_error err = r.err;

    pfs_reply_fini(&r);
    return err;
}

/* Somebody else takes what is left of the disk. */
static void fill(const char *path)
{
    static const char zeros[1 << 16];
    FILE *f = fopen(path, "w");

    cr_assert_not_null(f);
    setbuf(f, NULL);
    while (fwrite(zeros, 1, sizeof zeros, f) == sizeof zeros) {
    }
    fclose(f);
}

static void check_refused(struct pfs_error err)
{
    cr_assert_eq(err.cls, PFS_NOSPC, "%s", err.text);
    cr_assert_eq(err.outcome, PFS_OUTCOME_NA, "%s", err.text);
}

Test(queue_disk, A114_a_full_disk_takes_nothing_and_gives_everything_back)
{
    char file[64];
    int n = 0;

    if (!open_on_small_disk()) {
        cr_log_warn("skipped: no right to mount");
        return;
    }
    rig_ok(d, PFS_OP_MKDIR, "/q");
    while (push().cls == PFS_OK) {
        n++;
    }
    cr_assert_gt(n, 100);
    check_refused(push());
    snprintf(file, sizeof file, "%s/full", dir);
    fill(file);
    check_refused(push());
    cr_assert_eq(atoi(rig_cat(d, "/q/size")), n);
    cr_assert_eq(unlink(file), 0);
    for (int i = 0; i < n; i++) { /* and room is made by taking messages out */
        cr_assert_gt(strlen(rig_cat(d, "/q/dequeue")), MESSAGE, "message %d of %d", i, n);
    }
    cr_assert_eq(push().cls, PFS_OK);
    close_disk();
}

Test(queue_disk, A114_what_was_rolled_back_is_said_not_to_be_done)
{
    struct pfs_reply r;
    char file[64];

    if (!open_on_small_disk()) {
        cr_log_warn("skipped: no right to mount");
        return;
    }
    rig_ok(d, PFS_OP_MKDIR, "/q");
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(push().cls, PFS_OK);
    }
    snprintf(file, sizeof file, "%s/full", dir);
    fill(file); /* while the log is short */
    r = rig_call(d, PFS_OP_READ, "/q/dequeue");
    check_refused(r.err);
    r = rig_write(d, "/q/clear", "", 0);
    check_refused(r.err);
    cr_assert_eq(atoi(rig_cat(d, "/q/size")), 3);
    cr_assert_eq(unlink(file), 0);
    for (int i = 0; i < 3; i++) {
        cr_assert_gt(strlen(rig_cat(d, "/q/dequeue")), MESSAGE);
    }
    close_disk();
}
