/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "files.h"
#include "redirect.h"
#include "run.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

TestSuite(copy, .init = files_begin, .fini = files_end);

/* Files of the current directory, so that forgotten temporary ones are seen. */
static int count_files(void)
{
    DIR *d = opendir(".");
    int n = 0;
    while (readdir(d))
        n++;
    closedir(d);
    return n - 2;
}

Test(copy, within_agfs)
{
    struct run r;
    run_begin(&r);
    expect_out(&r, "cp /m1/a /m1/copy; cat /m1/copy", "line one\n");
    expect_out(&r, "cp /m1/a /m2; cat /m2/a", "line one\n");
    expect_out(&r, "cp /m1/*.txt /m1/a /m2; ls /m2", "a\nb.txt\n");
    expect_fail(&r, "cp /m1/sub /m2", 2, "-r copies it");
    expect_out(&r, "cp -r /m1/sub /m2; cat /m2/sub/c.txt", "sea");
    expect_out(&r, "cp -r /m1 /m2/all; ls /m2/all; cat /m2/all/sub/c.txt",
               "a\nb.txt\ncopy\nsub\nsea");
    expect_fail(&r, "cp -r /m1 /m1/sub", 2, "cannot be copied into itself");
    expect_fail(&r, "cp /m1/a /m1/a", 2, "are the same");
    expect_fail(&r, "cp /m1/a /m1/b.txt /m1/none", 2, "is no directory");
    expect_fail(&r, "cp /m1/none /m2/x", 3, "/m1/none: no such file or directory");
    expect_fail(&r, "cp local:a local:b", 2, "both files are of this machine");
    run_end(&r);
}

Test(copy, from_and_to_this_machine)
{
    struct run r;
    struct stat st;
    run_begin(&r);
    put_file("x", "from here");
    expect_out(&r, "cp local:x /m1; cat /m1/x", "from here");
    expect_out(&r, "upload x /m2/y; cat /m2/y", "from here");
    expect_out(&r, "download /m1/a got", "");
    expect_file("got", "line one\n");
    chmod("got", 0640);
    expect_out(&r, "cp /m1/b.txt local:got", "");
    expect_file("got", "bee\n");
    cr_assert_eq(stat("got", &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0640, "the mode of a replaced file stays");
    cr_assert_eq(symlink("got", "link"), 0);
    expect_out(&r, "cp /m1/a local:link", "");
    cr_assert_eq(lstat("link", &st), 0);
    cr_assert(S_ISLNK(st.st_mode));
    expect_file("got", "line one\n");
    expect_out(&r, "cat local:got", "line one\n");
    expect_out(&r, "ls /m1/sub > local:names; echo x >> local:names", "");
    expect_file("names", "c.txt\nx\n");
    expect_fail(&r, "cp local:none /m1/x", 3, "local:none: no such file or directory");
    expect_fail(&r, "cp /m1/a local:none/x", 3, "local:none/x: No such file or directory");
    cr_assert_eq(count_files(), 4);
    run_end(&r);
}

/* "new/" is no file called new. */
Test(copy, a_target_that_can_only_be_a_directory)
{
    struct run r;
    run_begin(&r);
    put_file("x", "from here");
    mkdir("t", 0755);
    expect_fail(&r, "upload x /m1/new/", 3, "agfs: upload: /m1/new/: no such directory\n");
    expect_fail(&r, "cp /m1/a /m1/new/", 3, "agfs: cp: /m1/new/: no such directory\n");
    expect_fail(&r, "mv /m1/a /m1/new//", 3, "agfs: mv: /m1/new/: no such directory\n");
    expect_fail(&r, "mv /m1/a /m1/b.txt/", 3, "agfs: mv: /m1/b.txt/: no such directory\n");
    expect_fail(&r, "download /m1/a new/", 3, "agfs: download: local:new/: no such directory\n");
    expect_fail(&r, "ls /m1 > /m1/new/", 1, "agfs: /m1/new/: is a directory\n");
    expect_out(&r, "ls /m1", "a\nb.txt\nsub\n");
    cr_assert_eq(count_files(), 2);
    expect_out(&r, "upload x /m1/sub/; cp /m1/a /m1/sub/; mv /m1/b.txt /m1/sub/; ls /m1/sub",
               "a\nb.txt\nc.txt\nx\n");
    expect_out(&r, "cp -r /m1/sub /m2/new/; mv /m2/new /m1/newer/; cat /m1/newer/x", "from here");
    expect_out(&r, "download /m1/a t/; download -r /m1/newer u/", "");
    expect_file("t/a", "line one\n");
    expect_file("u/x", "from here");
    run_end(&r);
}

/* When the server copies or renames by itself, it does not say which of both is wrong. */
Test(copy, an_error_names_both_paths)
{
    struct run r;
    run_begin(&r);
    fake_fail(r.client, PFS_OP_COPY, PFS_NOTFOUND, PFS_OUTCOME_NA, "HTTP 404: no such file");
    expect_fail(&r, "cp /m1/a /m1/none/x", 3,
                "agfs: cp: /m1/a to /m1/none/x: HTTP 404: no such file (class notfound");
    fake_fail(r.client, PFS_OP_COPY, PFS_NOSPC, PFS_OUTCOME_NA, "HTTP 507: no space left");
    expect_fail(&r, "cp /m1/a /m2/x", 1, "agfs: cp: /m1/a to /m2/x: HTTP 507: no space left");
    fake_fail(r.client, PFS_OP_RENAME, PFS_DENIED, PFS_OUTCOME_NA, "not you");
    expect_fail(&r, "mv /m1/a /m1/x", 5, "agfs: mv: /m1/a to /m1/x: not you");
    /* Content that passes through here fails on one side. */
    expect_fail(&r, "cp /m1/a /m1/none/x", 3, "agfs: cp: /m1/none/x: ");
    fake_fail(r.client, PFS_OP_COPY, PFS_UNSUPPORTED, PFS_OUTCOME_NA, "cannot copy");
    expect_fail(&r, "cp /m1/none /m1/x", 3, "agfs: cp: /m1/none: no such file");
    run_end(&r);
}

Test(copy, a_directory_to_the_output)
{
    struct run r;
    run_begin(&r);
    expect_fail(&r, "download -r /m1/sub -", 2, "/m1/sub: is a directory; - takes a file\n");
    expect_fail(&r, "cp -r /m1/sub local:-", 2, "- takes a file\n");
    expect_fail(&r, "mv /m1/sub local:-", 2, "- takes a file\n");
    cr_assert_eq(count_files(), 0);
    expect_out(&r, "download -r /m1/sub ./-", "");
    expect_file("-/c.txt", "sea");
    run_end(&r);
}

/* More than is kept before it is written. */
static void put_large_file(const char *name)
{
    FILE *f = fopen(name, "w");
    cr_assert_not_null(f);
    for (size_t i = 0; i < REDIRECT_WHOLE_MAX / 4 + 1000; i++)
        fputs("four", f);
    fclose(f);
}

static off_t size_of(const char *name)
{
    struct stat st;
    return stat(name, &st) == 0 ? st.st_size : -1;
}

Test(copy, what_fails_appends_nothing_here)
{
    struct run r;
    run_begin(&r);
    put_large_file("large");
    put_file("log", "old");
    expect_fail(&r, "cat local:large /m1/none >> local:log", 3, "no such file");
    expect_file("log", "old");
    expect_fail(&r, "cat local:large /m1/none >> local:new", 3, "no such file");
    cr_assert_eq(count_files(), 2);
    expect_out(&r, "cat local:large >> local:new; cat /m1/a >> local:new", "");
    cr_assert_eq(size_of("new"), size_of("large") + 9);
    run_end(&r);
}

Test(copy, a_file_is_not_appended_to_itself, .timeout = 20)
{
    struct run r;
    run_begin(&r);
    put_large_file("large");
    off_t size = size_of("large");
    cr_assert_eq(symlink("large", "link"), 0);
    expect_fail(&r, "cat local:large >> local:link", 1, "local:link: input file is output file");
    expect_fail(&r, "cat local:large local:large >> local:large", 1, "input file is output file");
    cr_assert_eq(size_of("large"), size);
    run_end(&r);
}

/* An error line is printed while what it is about is being written. */
Test(copy, a_full_disk_is_said_once, .timeout = 20)
{
    struct run r;
    run_begin(&r);
    put_large_file("large");
    expect_fail(&r, "cat local:large > local:/dev/full", 1, "No space left on device");
    cr_assert_str_eq(r.err, "agfs: cat: local:/dev/full: No space left on device\n");
    expect_fail(&r, "cat local:large >> local:large", 1, "input file is output file");
    cr_assert_str_eq(r.err, "agfs: cat: local:large: input file is output file\n");
    run_end(&r);
}

static void grow_large(void)
{
    FILE *f = fopen("large", "a");
    cr_assert_not_null(f);
    fputs("more", f);
    fclose(f);
}

static void shrink_large(void)
{
    cr_assert_eq(truncate("large", 5), 0);
}

Test(copy, a_file_that_changes_while_it_is_copied)
{
    struct run r;
    run_begin(&r);
    put_large_file("large");
    fake_on_open_write(grow_large);
    expect_fail(&r, "upload large /m1/a", 11,
                "local:large: changed while it was copied (1052576 bytes, then at least ");
    fake_on_open_write(shrink_large);
    expect_fail(&r, "upload large /m1/a", 11, "bytes, then 5); the target is unchanged");
    cr_assert_str_eq(fake_content(r.client, "/m1/a"), "line one\n");
    run_end(&r);
}

/* The kernel's own files have no length, and content. */
Test(copy, a_file_that_does_not_say_its_length)
{
    struct run r;
    run_begin(&r);
    expect_out(&r, "upload /proc/self/comm /m1/comm", "");
    cr_assert_gt(strlen(fake_content(r.client, "/m1/comm")), 1);
    put_file("empty", "");
    expect_out(&r, "upload empty /m1/empty; download /m1/empty back", "");
    expect_file("back", "");
    run_end(&r);
}

/* The name that a file has on its way must not be longer than a file system takes. */
Test(copy, the_longest_name)
{
    struct run r;
    char name[256], line[600];
    run_begin(&r);
    memset(name, 'n', 255);
    name[255] = '\0';
    snprintf(line, sizeof(line), "download /m1/a %s; mv /m1/b.txt local:%s", name, name);
    expect_out(&r, line, "");
    expect_file(name, "bee\n");
    snprintf(line, sizeof(line), "download /m1/a %s/%s", files_dir, name);
    expect_out(&r, line, "");
    expect_file(name, "line one\n");
    cr_assert_eq(count_files(), 1);
    run_end(&r);
}

Test(copy, trees_both_ways)
{
    struct run r;
    run_begin(&r);
    mkdir("t", 0755);
    mkdir("t/sub", 0755);
    put_file("t/one", "1");
    put_file("t/sub/two", "2");
    expect_out(&r, "cp -r local:t /m2; cat /m2/t/one /m2/t/sub/two", "12");
    expect_out(&r, "cp -r /m2/t local:back", "");
    expect_file("back/one", "1");
    expect_file("back/sub/two", "2");
    expect_out(&r, "cp -r /m2/t local:back", "");
    expect_file("back/t/sub/two", "2");
    cr_assert_eq(symlink("one", "t/link"), 0);
    expect_fail(&r, "cp -r local:t /m1", 1, "link: left out");
    cr_assert_str_eq(fake_content(r.client, "/m1/t/sub/two"), "2");
    run_end(&r);
}

/* Each failure is a line of its own; the exit code is that of the first in the order of names. */
Test(copy, files_of_a_directory_go_together)
{
    struct run r;
    char name[32];
    run_begin(&r);
    mkdir("t", 0755);
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof(name), "t/f%02d", i);
        put_file(name, name);
    }
    expect_out(&r, "cp -r -j 16 local:t /m2; cat /m2/t/f00 /m2/t/f49", "t/f00t/f49");
    mkdir("back", 0755);
    mkdir("back/t", 0755);
    mkdir("back/t/f07", 0755);
    mkdir("back/t/f31", 0755);
    expect_fail(&r, "download -r /m2/t back", 1,
                "agfs: download: local:back/t/f07: Is a directory\n");
    expect_fail(&r, "download -r /m2/t back", 1,
                "agfs: download: local:back/t/f31: Is a directory\n");
    expect_file("back/t/f32", "t/f32");
    expect_out(&r, "mv -j 3 /m2/t /m1/moved; ls /m2; cat /m1/moved/f11", "t/f11");
    expect_fail(&r, "cp -j 0 -r local:t /m2", 2, "-j 0: a number from 1 to 64");
    expect_fail(&r, "cp -j 65 -r local:t /m2", 2, "-j 65");
    expect_fail(&r, "cp -j x -r local:t /m2", 2, "-j x");
    expect_fail(&r, "cp -r local:t /m2 -j", 2, "its value is missing");
    run_end(&r);
}

Test(copy, a_name_cannot_lead_out)
{
    struct run r;
    run_begin(&r);
    mkdir("in", 0755);
    fake_intruder(r.client, "../evil");
    expect_fail(&r, "cp -r /m1/sub local:in", 1, "left out");
    cr_assert_neq(access("in/evil", F_OK), 0);
    cr_assert_neq(access("evil", F_OK), 0);
    expect_file("in/sub/c.txt", "sea");
    run_end(&r);
}

Test(copy, control_files_are_left_out_of_a_tree)
{
    struct run r;
    run_begin(&r);
    expect_fail(&r, "cp -r /remote /m2", 1, "agfs: cp: /remote/reload: left out: a control file\n");
    cr_assert_not(fake_exists(r.client, "/m2/remote/reload"));
    expect_fail(&r, "mv /remote/reload /m2", 1, "/remote/reload: a control file: cannot be moved");
    cr_assert(fake_exists(r.client, "/remote/reload"));
    run_end(&r);
}

/* A directory that may be listed, but not entered. */
Test(copy, what_cannot_be_looked_at_is_said)
{
    struct run r;
    run_begin(&r);
    mkdir("t", 0755);
    mkdir("t/sub", 0755);
    put_file("t/sub/one", "1");
    put_file("t/sub/two", "2");
    put_file("t/three", "3");
    chmod(".", 0755);
    chmod("t/sub", 0644);
    uid_t me = geteuid();
    cr_assert(me != 0 || seteuid(65534) == 0);
    expect_fail(&r, "upload -r t /m2", 5, "agfs: upload: local:t/sub/one: Permission denied\n");
    expect_fail(&r, "upload -r t /m1", 5, "agfs: upload: local:t/sub/two: Permission denied\n");
    cr_assert_eq(seteuid(me), 0);
    cr_assert_str_eq(fake_content(r.client, "/m2/t/three"), "3");
    run_end(&r);
}

Test(copy, failures_leave_the_target)
{
    struct run r;
    run_begin(&r);
    put_file("got", "old");
    put_file("new", "new");
    expect_fail(&r, "cp /m1/sub/none local:got", 3, "no such file");
    expect_file("got", "old");
    fake_fail(r.client, PFS_OP_WRITE, PFS_CONN_LOST, PFS_OUTCOME_UN, "connection lost");
    expect_fail(&r, "cp local:new /m1/a", 8, "it is not known whether the remote did it");
    cr_assert_str_eq(fake_content(r.client, "/m1/a"), "line one\n");
    cr_assert_eq(count_files(), 2);
    run_end(&r);
}

Test(copy, move)
{
    struct run r;
    run_begin(&r);
    expect_out(&r, "mv /m1/a /m1/renamed; ls /m1", "b.txt\nrenamed\nsub\n");
    expect_out(&r, "mv /m1/b.txt /m1/sub; ls /m1/sub", "b.txt\nc.txt\n");
    /* Between mounts the server refuses to rename. */
    expect_out(&r, "mv /m1/renamed /m2/a; cat /m2/a; ls /m1", "line one\nsub\n");
    expect_out(&r, "mv /m1/sub /m2; ls /m1; cat /m2/sub/c.txt", "sea");
    expect_out(&r, "mv /m2/a local:here; ls /m2", "sub\n");
    expect_file("here", "line one\n");
    expect_out(&r, "mv local:here /m1/back; cat /m1/back", "line one\n");
    cr_assert_neq(access("here", F_OK), 0);
    run_end(&r);
}

Test(copy, move_keeps_the_source_unless_all_is_well)
{
    struct run r;
    run_begin(&r);
    fake_corrupt(r.client);
    expect_fail(&r, "mv /m1/a /m2/a", 1, "reads back differently");
    cr_assert_str_eq(fake_content(r.client, "/m1/a"), "line one\n");
    /* Only a refusal between mounts becomes a copy. */
    fake_fail(r.client, PFS_OP_RENAME, PFS_DENIED, PFS_OUTCOME_NA, "permission denied");
    expect_fail(&r, "mv /m1/b.txt /m1/new", 5, "permission denied");
    fake_fail(r.client, PFS_OP_RENAME, PFS_TIMEOUT, PFS_OUTCOME_UN, "no reply");
    expect_fail(&r, "mv /m1/b.txt /m1/new", 10, "it is not known whether the remote did it");
    cr_assert(fake_exists(r.client, "/m1/b.txt"));
    cr_assert_not(fake_exists(r.client, "/m1/new"));
    run_end(&r);
}

/* The name of the copy that waits in /m2, from the error line about it; it is of this content. */
static void expect_waiting(struct run *r, const char *content)
{
    char name[64];
    const char *at = strstr(r->err, "its content is in /m2/.agfs-");
    cr_assert_not_null(at, "%s", r->err);
    cr_assert_eq(sscanf(at, "its content is in %63s", name), 1);
    cr_assert_str_eq(fake_content(r->client, name), content);
}

Test(copy, move_onto_a_file)
{
    struct run r;
    run_begin(&r);
    expect_out(&r, "cp /m1/a /m2/old; mv /m1/b.txt /m2/old; cat /m2/old; ls /m2 /m1",
               "bee\n/m2:\nold\n/m1:\na\nsub\n");
    put_file("x", "from here");
    fake_fail(r.client, PFS_OP_RENAME, PFS_UNSUPPORTED, PFS_OUTCOME_NA, "no rename");
    expect_out(&r, "mv local:x /m2/old; cat /m2/old; ls /m2", "from hereold\n");
    cr_assert_neq(access("x", F_OK), 0);
    fake_corrupt(r.client);
    expect_fail(&r, "mv /m1/a /m2/old", 1, "reads back differently");
    expect_out(&r, "cat /m1/a /m2/old; ls /m2", "line one\nfrom hereold\n");
    run_end(&r);
}

/* From when the source goes on, the copy is kept, and its name is said. */
Test(copy, move_that_fails_at_its_end_says_where_the_content_is)
{
    struct run r;
    run_begin(&r);
    put_file("x", "from here");
    expect_out(&r, "cp /m1/a /m2/old", "");
    fake_fail(r.client, PFS_OP_RENAME, PFS_TIMEOUT, PFS_OUTCOME_UN, "no reply");
    expect_fail(&r, "mv local:x /m2/old", 10, "no reply");
    expect_waiting(&r, "from here");
    cr_assert_neq(access("x", F_OK), 0);
    fake_fail(r.client, PFS_OP_REMOVE, PFS_TIMEOUT, PFS_OUTCOME_UN, "no reply");
    expect_fail(&r, "mv /m1/b.txt /m2/old", 10, "no reply");
    expect_waiting(&r, "bee\n");
    run_end(&r);
}

Test(copy, a_directory_is_not_moved_where_that_cannot_be_told)
{
    struct run r;
    run_begin(&r);
    fake_fail(r.client, PFS_OP_CREATE, PFS_DENIED, PFS_OUTCOME_NA, "permission denied");
    expect_fail(&r, "mv /m1/sub /m2", 5, "/m2: permission denied");
    cr_assert(fake_exists(r.client, "/m1/sub/c.txt"));
    cr_assert_not(fake_exists(r.client, "/m2/sub"));
    run_end(&r);
}
