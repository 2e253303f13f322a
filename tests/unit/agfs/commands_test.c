/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "redirect.h"
#include "run.h"
#include <stdlib.h>

Test(commands, echo_and_redirections)
{
    struct run r;
    run_begin(&r);
    expect_out(&r, "echo a  'b  c'", "a b  c\n");
    expect_out(&r, "echo -n x", "x");
    expect_out(&r, "echo hello > /m1/new", "");
    cr_assert_str_eq(fake_content(r.client, "/m1/new"), "hello\n");
    expect_out(&r, "cd /m1; echo -n more >> new", "");
    cr_assert_str_eq(fake_content(r.client, "/m1/new"), "hello\nmore");
    expect_out(&r, "echo '' > new; cat new", "\n");
    expect_out(&r, "ls /m1 > /m2/listing; cat /m2/listing", "a\nb.txt\nnew\nsub\n");
    run_end(&r);
}

Test(commands, a_failed_command_leaves_the_target)
{
    struct run r;
    run_begin(&r);
    expect_fail(&r, "cat /m1/b.txt /none > /m1/a", 3, "/none");
    cr_assert_str_eq(fake_content(r.client, "/m1/a"), "line one\n");
    expect_fail(&r, "cat /none > /m2/none", 3, "/none");
    cr_assert_not(fake_exists(r.client, "/m2/none"));
    run_end(&r);
}

Test(commands, append_is_never_emulated)
{
    struct run r;
    run_begin(&r);
    fake_fail(r.client, PFS_OP_WRITE, PFS_UNSUPPORTED, PFS_OUTCOME_NA, "no flags there");
    expect_fail(&r, "echo x >> /m1/a", 6, "the server cannot append; nothing was written");
    cr_assert_str_eq(fake_content(r.client, "/m1/a"), "line one\n");
    fake_fail(r.client, PFS_OP_WRITE, PFS_TIMEOUT, PFS_OUTCOME_UN, "no reply");
    expect_fail(&r, "echo x >> /m1/a", 10, "it is not known whether the remote did it");
    run_end(&r);
}

Test(commands, long_output_is_streamed)
{
    struct run r;
    size_t n = 3 * REDIRECT_WHOLE_MAX;
    char *big = malloc(n + 1);
    memset(big, 'x', n);
    big[n] = '\0';
    run_begin(&r);
    fake_file(r.client, "/m1/big", big);
    expect_out(&r, "cat /m1/big /m1/a > /m2/copy", "");
    cr_assert_eq(strlen(fake_content(r.client, "/m2/copy")), n + 9);
    fake_fail(r.client, PFS_OP_OPEN_WRITE, PFS_UNSUPPORTED, PFS_OUTCOME_NA, "no stream");
    expect_fail(&r, "cat /m1/big >> /m2/copy", 6,
                "/m2/copy: the server cannot append more than 1 MiB at once; nothing was written");
    expect_out(&r, "cat /m1/big >> /m2/copy", "");
    cr_assert_eq(strlen(fake_content(r.client, "/m2/copy")), 2 * n + 9);
    expect_fail(&r, "cat /m1/big /none > /m2/copy", 3, "/none");
    cr_assert_eq(strlen(fake_content(r.client, "/m2/copy")), 2 * n + 9);
    unsigned n_errors = r.cli.n_errors;
    expect_fail(&r, "cat /m1/big /m1/a > local:/nonexistent/x", 3, "local:/nonexistent/x: No such");
    cr_assert_eq(r.cli.n_errors, n_errors + 1);
    run_end(&r);
    free(big);
}

Test(commands, ls)
{
    struct run r;
    run_begin(&r);
    expect_out(&r, "ls /m1", "a\nb.txt\nsub\n");
    expect_out(&r, "ls", "m1\nm2\nremote\n");
    expect_out(&r, "ls /m2", "");
    expect_out(&r, "ls /m1/a", "a\n");
    expect_out(&r, "ls /m1/sub /m2", "/m1/sub:\nc.txt\n/m2:\n");
    expect_fail(&r, "ls /none /m1/sub", 3, "agfs: ls: /none: HTTP 404: no such file");
    cr_assert_str_eq(r.out, "/m1/sub:\nc.txt\n");
    expect_out(&r, "ls --json /m2", "[]\n");
    cr_assert_eq(run_line(&r, "ls --json /m1"), 0);
    cr_assert(strstr(r.out, "[{\"name\":\"a\",\"size\":9,") == r.out);
    fake_fail(r.client, PFS_OP_READDIR, PFS_IO, PFS_OUTCOME_NA, "broken");
    expect_fail(&r, "ls /m1", 1, "broken");
    run_end(&r);
}

Test(commands, directories)
{
    struct run r;
    run_begin(&r);
    expect_out(&r, "mkdir /m2/d; ls /m2", "d\n");
    expect_fail(&r, "mkdir /m2/d", 4, "already exists");
    expect_fail(&r, "mkdir /m2/x/y/z", 3, "no such file");
    expect_out(&r, "mkdir -p /m2/x/y/z /m2/d; ls /m2/x/y", "z\n");
    expect_fail(&r, "mkdir -p /m1/a/b", 4, "/m1/a: not a directory");
    expect_out(&r, "cd /m1/sub; pwd; cd ..; pwd; cd -; pwd; cd; pwd", "/m1/sub\n/m1\n/m1/sub\n/\n");
    expect_fail(&r, "cd /m1/a", 7, "not a directory");
    expect_fail(&r, "cd /none", 3, "no such file");
    expect_out(&r, "pwd", "/\n");
    expect_out(&r, "tree /m1",
               "/m1\n├── a\n├── b.txt\n└── sub\n    └── c.txt\n\n1 directory, 3 files\n");
    run_end(&r);
}

Test(commands, rm)
{
    struct run r;
    run_begin(&r);
    expect_fail(&r, "rm /m1/sub", 4, "directory not empty");
    expect_out(&r, "rm -r /m1/sub; ls /m1", "a\nb.txt\n");
    expect_out(&r, "rm /m1/*; ls /m1", "");
    expect_fail(&r, "rm /m1/none", 3, "no such file");
    expect_out(&r, "rm -rf /m1/none", "");
    expect_fail(&r, "rm -r /m1 /", 2, "refusing to remove the root");
    cr_assert(fake_exists(r.client, "/m1"));
    fake_fail(r.client, PFS_OP_REMOVE, PFS_CONN_LOST, PFS_OUTCOME_UN, "connection lost");
    expect_fail(&r, "rm /m1", 8, "it is not known whether the remote did it");
    run_end(&r);
}

Test(commands, attributes)
{
    struct run r;
    run_begin(&r);
    expect_out(&r, "chmod 600 /m1/a", "");
    expect_fail(&r, "chmod 8 /m1/a", 2, "octal");
    expect_fail(&r, "chmod u+x /m1/a", 2, "octal");
    expect_fail(&r, "chmod 10000 /m1/a", 2, "octal");
    expect_out(&r, "truncate -s 4 /m1/a; cat /m1/a", "line");
    expect_fail(&r, "truncate /m1/a", 2, "-s SIZE is missing");
    expect_fail(&r, "truncate -s 1X /m1/a", 2, "1X: a size");
    expect_fail(&r, "truncate -s -1 /m1/a", 2, "a size");
    expect_fail(&r, "truncate -s 9000000T /m1/a", 2, "a size");
    expect_fail(&r, "truncate -s1KiB /none", 3, "/none");
    expect_out(&r, "touch /m1/a", "");
    run_end(&r);
}

Test(commands, links_digests_search)
{
    struct run r;
    run_begin(&r);
    expect_out(&r, "readlink /m1/a", "target\n");
    expect_fail(&r, "ln -s /m1/a /m1/link", 3, "/m1/link");
    expect_fail(&r, "ln /m1/a /m1/link", 2, "only symbolic links");
    expect_out(&r, "digest /m1/a", "a99b8775cc15b6c7  /m1/a\n");
    expect_out(&r, "digest md5 /m1/a", "a99b8775cc15b6c7  /m1/a\n");
    expect_fail(&r, "digest md5", 2, "a path is missing");
    expect_out(&r, "grep one /m1/a", "line one\n");
    expect_out(&r, "grep -n one /m1/a", "1:line one\n");
    expect_out(&r, "grep -ri one /m1/a", "/m1/a:line one\n");
    cr_assert_eq(run_line(&r, "grep nothing /m1/a"), 1);
    cr_assert_str_eq(r.out, "");
    cr_assert_str_eq(r.err, "");
    fake_file(r.client, "/m1/tabs", "\ta\033[2J\t\tb\t\n");
    r.cli.terminal = true;
    expect_out(&r, "grep b /m1/tabs", "\ta?[2J\t\tb\t\n");
    expect_fail(&r, "grep x /none", 3, "no such file");
    run_end(&r);
}

/* Nothing is no name of the current directory. */
Test(commands, an_empty_path)
{
    static const char *const lines[] = {
        "ls ''",         "cat /m1/a \"\"",    "stat ''",         "mkdir -p ''",
        "rm ''",         "rm -r ''",          "rm -rf ''",       "rm -r /m1/a ''",
        "cp '' /m2",     "cp -r /m1 ''",      "mv '' /m2",       "mv /m1/a ''",
        "upload '' /m2", "download /m1/a ''", "touch ''",        "truncate -s 0 ''",
        "chmod 600 ''",  "ln -s '' /m1/l",    "ln -s a ''",      "readlink ''",
        "digest ''",     "digest md5 ''",     "grep -r bee ''",  "tree ''",
        "cd ''",         "mount memfs ''",    "unmount ''",      "plugins load ''",
        "reload ''",     "mv local: /m2",     "cp /m1/a local:",
    };
    struct run r;
    run_begin(&r);
    run_line(&r, "cd /m1/sub");
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        expect_fail(&r, lines[i], 2, "an empty path");
        cr_assert_str_eq(r.out, "", "%s", lines[i]);
        cr_assert(fake_exists(r.client, "/m1/sub/c.txt"), "%s", lines[i]);
    }
    cr_assert(fake_exists(r.client, "/m1/a"), "nothing is done before");
    expect_out(&r, "echo '' x; grep '' c.txt", " x\nsea\n");
    expect_out(&r, "rm -r .; ls /m1", "a\nb.txt\n");
    run_end(&r);
}
