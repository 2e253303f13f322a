/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Ctrl-C in the interactive shell, typed during a call that is answered all the same. */
#include "cancel.h"
#include "run.h"
#include "shell.h"
#include <stdlib.h>

static void begin(struct run *r)
{
    run_begin(r);
    cancel_install(true);
    cancel_begin(false);
}

Test(cancel, the_rest_of_the_line_is_not_run)
{
    struct run r;
    begin(&r);
    fake_interrupt(r.client, PFS_OP_READDIR);
    expect_fail(&r, "ls /m1; rm /m1/a; rm /m1/b.txt", EXIT_CANCEL,
                "agfs: cancelled: 2 more commands of the line were not run\n");
    cr_assert(fake_exists(r.client, "/m1/a"));
    cancel_begin(false);
    expect_out(&r, "echo $?; rm /m1/a", "130\n");
    cr_assert_not(fake_exists(r.client, "/m1/a"));
    run_end(&r);
}

Test(cancel, the_last_command_of_a_line)
{
    struct run r;
    begin(&r);
    fake_interrupt(r.client, PFS_OP_REMOVE);
    cr_assert_eq(run_line(&r, "rm /m1/a"), EXIT_CANCEL);
    run_end(&r);
}

Test(cancel, a_command_whose_pattern_is_looked_up)
{
    struct run r;
    begin(&r);
    fake_interrupt(r.client, PFS_OP_READDIR);
    cr_assert_eq(run_line(&r, "rm /m1/*"), EXIT_CANCEL);
    cr_assert(fake_exists(r.client, "/m1/a"));
    run_end(&r);
}

Test(cancel, the_rest_of_a_script_is_not_run)
{
    static const char script[] = "ls /m1\nrm /m1/a\n";
    struct run r;
    begin(&r);
    fake_interrupt(r.client, PFS_OP_READDIR);
    FILE *in = fmemopen((char *)(uintptr_t)script, sizeof(script) - 1, "r");
    r.cli.out = open_memstream(&r.out, &r.out_len);
    cr_assert_eq(shell_script(&r.cli, in, "script"), EXIT_CANCEL);
    fclose(r.cli.out);
    fclose(in);
    cr_assert(fake_exists(r.client, "/m1/a"));
    run_end(&r);
}

/* Each command with several arguments ends with the one that was under way. */
Test(cancel, what_is_left_of_a_command)
{
    static const struct {
        enum pfs_op op;
        const char *line, *command, *out;
    } rows[] = {
        {PFS_OP_REMOVE, "rm /m1/a /m1/b.txt /m1/sub", "rm", ""},
        {PFS_OP_TOUCH, "touch /m1/a /m1/b.txt /m1/sub", "touch", ""},
        {PFS_OP_CHMOD, "chmod 600 /m1/a /m1/b.txt /m1/sub", "chmod", ""},
        {PFS_OP_TRUNCATE, "truncate -s 1 /m1/b.txt /m1/a /m1/sub", "truncate", ""},
        {PFS_OP_READDIR, "ls /m2 /m1 /m1/sub", "ls", "/m2:\n"},
        {PFS_OP_MKDIR, "mkdir /m2/x /m2/y /m2/z", "mkdir", ""},
        {PFS_OP_READLINK, "readlink /m1/a /m1/b.txt /m1/sub", "readlink", "target\n"},
        {PFS_OP_DIGEST, "digest md5 /m1/b.txt /m1/a /m1/sub", "digest",
         "of other content  /m1/b.txt\n"},
        {PFS_OP_GREP, "grep b /m1/b.txt /m1/a /m1/sub", "grep", "/m1/b.txt:bee\n"},
        {PFS_OP_STAT, "cat /m1/b.txt /m1/b.txt /m1/b.txt", "cat", ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct run r;
        char *expected = xasprintf("agfs: %s: cancelled: 2 more were not tried\n", rows[i].command);
        begin(&r);
        fake_interrupt(r.client, rows[i].op);
        expect_fail(&r, rows[i].line, EXIT_CANCEL, expected);
        cr_assert_str_eq(r.out, rows[i].out, "%s: %s", rows[i].line, r.out);
        run_end(&r);
        free(expected);
    }
}

/* Wherever it is typed, the source stays, and nothing of it is at the target. */
Test(cancel, a_move_between_mounts)
{
    static const struct {
        enum pfs_op op;
        const char *line, *source, *target;
    } rows[] = {
        {PFS_OP_RENAME, "mv /m1/a /m2/x", "/m1/a", "/m2/x"},
        {PFS_OP_WRITE, "mv /m1/a /m2/x", "/m1/a", "/m2/x"},
        {PFS_OP_DIGEST, "mv /m1/a /m2/x", "/m1/a", "/m2/x"},
        {PFS_OP_WRITE, "mv /m1/sub /m2/x", "/m1/sub/c.txt", "/m2/x/c.txt"},
        {PFS_OP_DIGEST, "mv /m1/sub /m2/x", "/m1/sub/c.txt", "/m2/x/c.txt"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct run r;
        begin(&r);
        fake_interrupt(r.client, rows[i].op);
        expect_fail(&r, rows[i].line, EXIT_CANCEL, ": cancelled\n");
        cr_assert(fake_exists(r.client, rows[i].source), "%s", rows[i].line);
        cr_assert_not(fake_exists(r.client, rows[i].target), "%s", rows[i].line);
        run_end(&r);
    }
}

Test(cancel, a_move_onto_a_file)
{
    static const enum pfs_op ops[] = {PFS_OP_WRITE, PFS_OP_DIGEST};
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        struct run r;
        begin(&r);
        fake_file(r.client, "/m2/old", "old");
        fake_interrupt(r.client, ops[i]);
        expect_fail(&r, "mv /m1/a /m2/old", EXIT_CANCEL, "agfs: mv: /m1/a: cancelled\n");
        cr_assert(fake_exists(r.client, "/m1/a"));
        cancel_begin(false);
        expect_out(&r, "cat /m2/old; ls /m2", "oldold\n");
        run_end(&r);
    }
}

Test(cancel, a_tree)
{
    struct run r;
    begin(&r);
    fake_interrupt(r.client, PFS_OP_READDIR);
    expect_fail(&r, "tree /", EXIT_CANCEL, "agfs: tree: cancelled: the tree is not complete\n");
    cr_assert_str_eq(r.out, "/\n");
    run_end(&r);
}

/* A good file is not replaced by half an output, nor by one that nobody wants any more. */
Test(cancel, the_target_of_a_redirection)
{
    static const char *const lines[][2] = {
        {"tree / > /m1/a", "agfs: tree: cancelled: the tree is not complete\n"},
        {"ls /m1/sub /m2 > /m1/a", "agfs: ls: cancelled: 1 more was not tried\n"},
        {"ls /m1 > /m1/a", "agfs: /m1/a: cancelled\n"},
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct run r;
        begin(&r);
        fake_interrupt(r.client, PFS_OP_READDIR);
        cr_assert_eq(run_line(&r, lines[i][0]), EXIT_CANCEL);
        cr_assert_str_eq(r.err, lines[i][1]);
        cr_assert_str_eq(fake_content(r.client, "/m1/a"), "line one\n");
        run_end(&r);
    }
}
