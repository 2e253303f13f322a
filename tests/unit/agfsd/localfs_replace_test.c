/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Writes, and files that are replaced as a whole. */
#include "localfs_rig.h"
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

TestSuite(localfs_replace, .init = open_localfs, .fini = close_localfs);

Test(localfs_replace, writes_do_what_offset_and_flags_say)
{
    cr_assert_eq(write_at("/f", "x", -1, 0), PFS_NOTFOUND);
    cr_assert_eq(write_at("/f", "hello", -1, PFS_WRITE_CREATE | PFS_WRITE_SYNC), PFS_OK);
    cr_assert_eq(write_at("/f", "XX", 3, 0), PFS_OK);
    cr_assert_str_eq(rig_cat(d, "/f"), "helXX");
    cr_assert_eq(write_at("/f", "++", -1, PFS_WRITE_APPEND | PFS_WRITE_SYNC), PFS_OK);
    cr_assert_str_eq(rig_cat(d, "/f"), "helXX++");
    cr_assert_eq(write_at("/f", "no", -1, PFS_WRITE_EXCLUSIVE), PFS_EXISTS);
    cr_assert_eq(write_at("/new", "n", -1, PFS_WRITE_EXCLUSIVE), PFS_OK);
    cr_assert_eq(write_at("/new2", "n", 0, PFS_WRITE_EXCLUSIVE), PFS_OK);
    cr_assert_eq(write_at("/new2", "m", 0, PFS_WRITE_EXCLUSIVE), PFS_EXISTS);
    cr_assert_eq(write_at("/f", "s", -1, 0), PFS_OK);
    cr_assert_str_eq(rig_cat(d, "/f"), "s");
    cr_assert_str_eq(rig_ls(d, "/"), "f new new2 ", "no temporary file is left");
}

Test(localfs_replace, what_begins_too_far_out_is_not_written)
{
    static const int64_t offsets[] = {INT64_MAX, INT64_MAX - 2};

    rig_put(d, "/f", "old");
    uint64_t h = rig_hopen(d, "/f", PFS_OPEN_WRONLY);

    for (int i = 0; i < 4; i++) {
        struct pfs_request req = {.op = i % 2 ? PFS_OP_HANDLE_WRITE : PFS_OP_WRITE,
                                  .path = "/f",
                                  .handle = h,
                                  .data = "new",
                                  .len = 3,
                                  .offset = offsets[i / 2],
                                  .size = -1,
                                  .flags = PFS_WRITE_CREATE};
        struct pfs_reply r = rig_run(d, req);

        cr_assert_eq(r.err.cls, PFS_TOOBIG, "%s", r.err.text);
        cr_assert_eq(r.err.outcome, PFS_OUTCOME_NA);
    }
    cr_assert_str_eq(rig_cat(d, "/f"), "old");
}

Test(localfs_replace, replacing_keeps_the_mode_and_goes_through_links)
{
    rig_put(d, "/f", "old");
    cr_assert_eq(chmod(host("base/f"), 0640), 0);
    cr_assert_eq(symlink("f", host("base/ln")), 0);
    rig_put(d, "/ln", "new");
    cr_assert_str_eq(rig_cat(d, "/f"), "new");
    struct pfs_reply r = rig_call(d, PFS_OP_STAT, "/f");

    cr_assert_eq(r.stat.mode, 0640);
    cr_assert_str_eq(r.stat.meta_name, "localfs");
    cr_assert_str_eq(r.stat.meta[0].key, "local_path");
    pfs_reply_fini(&r);
    r = rig_call(d, PFS_OP_READDIR, "/");
    cr_assert_eq(r.list[1].mode & 0x08000000u, 0x08000000u, "a link is listed as one");
    pfs_reply_fini(&r);
    r = rig_call(d, PFS_OP_STAT, "/");
    cr_assert_eq(r.stat.mode, 0x80000000u | 0755);
    pfs_reply_fini(&r);
}

Test(localfs_replace, who_may_not_write_to_a_file_may_not_replace_it)
{
    static const char *const names[] = {"base/readable", "base/anybodys", "base/groups"};
    static const mode_t modes[] = {0444, 0666, 06664};
    bool root = geteuid() == 0;
    struct stat st;

    for (int i = 0; i < 3; i++) {
        host_put(names[i], "old");
        cr_assert_eq(chmod(host(names[i]), modes[i]), 0);
    }
    cr_assert_eq(chmod(host("base"), 0777), 0);
    cr_assert(!root || (chown(host(names[0]), 65534, 65534) == 0 && setegid(65534) == 0 &&
                        seteuid(65534) == 0));
    cr_expect_eq(write_at("/readable", "new", -1, PFS_WRITE_CREATE), PFS_DENIED);
    cr_expect_eq(write_at("/readable", "new", 0, 0), PFS_DENIED);
    cr_expect_str_eq(rig_cat(d, "/readable"), "old");
    cr_expect_eq(write_at("/anybodys", "new", -1, PFS_WRITE_CREATE), PFS_OK);
    cr_expect_str_eq(rig_cat(d, "/anybodys"), "new");
    if (root) {
        cr_expect_eq(write_at("/groups", "new", -1, PFS_WRITE_CREATE), PFS_DENIED);
        cr_expect_eq(seteuid(0), 0);
        cr_expect_eq(stat(host(names[1]), &st), 0);
        cr_expect_eq(st.st_mode & 07777, 0666);
        cr_expect_eq(chmod(host(names[2]), 06666), 0);
        cr_expect_eq(seteuid(65534), 0);
        cr_expect_eq(write_at("/groups", "new", -1, PFS_WRITE_CREATE), PFS_OK);
        cr_expect_eq(seteuid(0), 0);
        cr_expect_eq(stat(host(names[2]), &st), 0);
        cr_expect_eq(st.st_mode & 07777, 0666, "nobody runs it as somebody else");
    }
}

#define WRITERS 4

static void *write_often(void *by_link)
{
    for (int i = 0; i < 1000; i++) {
        rig_put(d, by_link ? "/ln" : "/f", "new");
    }
    return NULL;
}

/* Each replaces the file under the hands of the others, by its name and through a link. */
Test(localfs_replace, writers_of_one_file_make_no_other)
{
    pthread_t threads[WRITERS];

    rig_put(d, "/f", "old");
    cr_assert_eq(symlink("f", host("base/ln")), 0);
    for (int i = 0; i < WRITERS; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, write_often, i % 2 ? d : NULL), 0);
    }
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(threads[i], NULL);
    }
    cr_expect_str_eq(rig_ls(d, "/"), "f ln ");
    cr_expect_str_eq(rig_cat(d, "/f"), "new");
}

Test(localfs_replace, a_failed_write_leaves_the_old_content)
{
    static char big[100000];
    struct rlimit small = {4096, RLIM_INFINITY}, old;

    rig_put(d, "/f", "old");
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    struct pfs_reply r = rig_write(d, "/f", big, sizeof big);

    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
    cr_assert_eq(r.err.cls, PFS_TOOBIG, "%s", r.err.text);
    cr_assert_str_eq(rig_cat(d, "/f"), "old");
    cr_assert_str_eq(rig_ls(d, "/"), "f ");
}
