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
    cr_assert_eq(shell_script(&r.cli, in), EXIT_CANCEL);
    fclose(r.cli.out);
    fclose(in);
    cr_assert(fake_exists(r.client, "/m1/a"));
    run_end(&r);
}
