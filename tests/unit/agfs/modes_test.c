/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "files.h"
#include "run.h"
#include <sys/stat.h>
#include <unistd.h>

TestSuite(modes, .init = files_begin, .fini = files_end);

static unsigned mode_there(struct run *r, const char *path)
{
    struct pfs_stat st;
    cr_assert_eq(pfs_stat(r->client, path, &st, NULL), PFS_OK, "%s", path);
    unsigned mode = st.mode;
    pfs_stat_fini(&st);
    return mode;
}

static unsigned mode_here(const char *path)
{
    struct stat st;
    cr_assert_eq(stat(path, &st), 0, "%s", path);
    return st.st_mode & 07777;
}

static const char *watched;
static unsigned watched_mode;
static struct run *watching;

static void look_at_watched(void)
{
    watched_mode = fake_exists(watching->client, watched) ? mode_there(watching, watched) : 0;
}

Test(modes, a_new_file_has_the_mode_of_its_source)
{
    static const unsigned modes[] = {0600, 0640, 0644, 0755, 0700, 0400};
    struct run r;
    run_begin(&r);
    watching = &r;
    watched = "/m1/x";
    umask(022);
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        put_file("x", "content");
        chmod("x", modes[i]);
        fake_on_open_write(look_at_watched);
        expect_out(&r, "upload x /m1/x; cat /m1/x", "content");
        cr_assert_eq(mode_there(&r, "/m1/x"), modes[i], "%o", mode_there(&r, "/m1/x"));
        cr_assert(watched_mode == 0 ? (0644 & ~modes[i]) == 0 : watched_mode == 0600, "%o %o",
                  modes[i], watched_mode);
        expect_out(&r, "cp /m1/x /m1/y; cp /m1/x /m2; download /m1/x got", "");
        cr_assert_eq(mode_there(&r, "/m1/y"), modes[i]);
        cr_assert_eq(mode_there(&r, "/m2/x"), modes[i]);
        cr_assert_eq(mode_here("got"), modes[i]);
        expect_out(&r, "mv /m1/x /m2/moved; mv /m2/moved local:back; mv local:back /m1/z", "");
        cr_assert_eq(mode_there(&r, "/m1/z"), modes[i]);
        expect_out(&r, "rm /m1/y /m1/z /m2/x", "");
        unlink("got");
        unlink("x");
    }
    run_end(&r);
}

Test(modes, a_directory_has_it_too)
{
    struct run r;
    run_begin(&r);
    umask(022);
    mkdir("t", 0700);
    put_file("t/key", "secret");
    chmod("t/key", 0600);
    put_file("t/script", "run");
    chmod("t/script", 0775);
    expect_out(&r, "cp -r local:t /m1; cp -r /m1/t /m2; download -r /m2/t back", "");
    cr_assert_eq(mode_there(&r, "/m2/t/key"), 0600);
    cr_assert_eq(mode_there(&r, "/m2/t/script"), 0775);
    cr_assert_eq(mode_here("back/key"), 0600);
    cr_assert_eq(mode_here("back/script"), 0755, "as umask has it");
    cr_assert_eq(mode_here("back"), 0700);
    run_end(&r);
}

Test(modes, a_replaced_file_keeps_its_mode_and_a_moved_one_is_no_wider)
{
    struct run r;
    run_begin(&r);
    put_file("x", "content");
    chmod("x", 0600);
    expect_out(&r, "cp local:x /m1/a", "");
    cr_assert_eq(mode_there(&r, "/m1/a"), 0644);
    expect_out(&r, "mv local:x /m1/a; cat /m1/a", "content");
    cr_assert_eq(mode_there(&r, "/m1/a"), 0600);
    put_file("y", "");
    chmod("y", 0664);
    expect_out(&r, "mv /m1/a local:y", "");
    cr_assert_eq(mode_here("y"), 0600);
    expect_file("y", "content");
    /* Where nothing can be renamed either, the content is copied over the old file. */
    fake_fail(r.client, PFS_OP_RENAME, PFS_UNSUPPORTED, PFS_OUTCOME_NA, "no rename");
    expect_out(&r, "mv local:y /m1/b.txt; cat /m1/b.txt", "content");
    cr_assert_eq(mode_there(&r, "/m1/b.txt"), 0600);
    run_end(&r);
}

Test(modes, a_server_without_modes_is_fine)
{
    struct run r;
    run_begin(&r);
    put_file("x", "content");
    chmod("x", 0600);
    fake_fail(r.client, PFS_OP_CHMOD, PFS_UNSUPPORTED, PFS_OUTCOME_NA, "no modes");
    expect_out(&r, "upload x /m1/x; cat /m1/x", "content");
    fake_fail(r.client, PFS_OP_CREATE, PFS_UNSUPPORTED, PFS_OUTCOME_NA, "no empty files");
    expect_out(&r, "upload x /m1/y; cat /m1/y", "content");
    expect_fail(&r, "upload x /m1/none/y", 3, "/m1/none/y: ");
    /* What was made for the content goes again when that fails. */
    fake_fail(r.client, PFS_OP_WRITE, PFS_NOSPC, PFS_OUTCOME_NA, "no space");
    expect_fail(&r, "upload x /m1/z", 1, "/m1/z: no space");
    cr_assert_not(fake_exists(r.client, "/m1/z"));
    run_end(&r);
}
