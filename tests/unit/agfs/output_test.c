/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "run.h"
#include <errno.h>
#include <stdlib.h>

/* What cli_fail prints for an error. */
static char *line_of(const struct pfs_error *e, const char *what, bool change, int *ret_code)
{
    struct cli cli;
    char *err = NULL;
    size_t len;
    cli_init(&cli, NULL, "http://h:1");
    cli.command = "ls";
    cli.err = open_memstream(&err, &len);
    *ret_code = change ? cli_fail_change(&cli, what, e) : cli_fail(&cli, what, e);
    fclose(cli.err);
    cli_fini(&cli);
    return err;
}

static void expect_line(struct pfs_error e, const char *text, bool change, const char *expected,
                        int code)
{
    int got_code;
    snprintf(e.text, sizeof(e.text), "%s", text);
    char *got = line_of(&e, "/remote/x", change, &got_code);
    cr_assert_str_eq(got, expected);
    cr_assert_eq(got_code, code, "%d", got_code);
    free(got);
}

Test(output, error_lines)
{
    struct pfs_error e = {.cls = PFS_NOTFOUND, .outcome = PFS_OUTCOME_NA, .hop = 1};
    strcpy(e.origin, "dc1:8443");
    expect_line(e, "HTTP 404: not found", true,
                "agfs: ls: /remote/x: HTTP 404: not found (class notfound, not applied, origin "
                "dc1:8443, hop 1)\n",
                3);
    /* What changes nothing has no outcome that anybody could want to know. */
    expect_line(e, "HTTP 404: not found", false,
                "agfs: ls: /remote/x: HTTP 404: not found (class notfound, origin dc1:8443, hop "
                "1)\n",
                3);
    expect_line((struct pfs_error){.cls = PFS_CONN_LOST, .outcome = PFS_OUTCOME_AP}, "cut", false,
                "agfs: ls: /remote/x: cut (class conn_lost)\n", 8);
    expect_line((struct pfs_error){.cls = PFS_CONN, .outcome = PFS_OUTCOME_NA}, "refused", true,
                "agfs: ls: /remote/x: refused (class conn, not applied); is the server running? "
                "--server URL or AGFS_API_URL names another one\n",
                8);
    expect_line((struct pfs_error){.cls = PFS_TIMEOUT}, "no reply in 5 s", true,
                "agfs: ls: /remote/x: no reply in 5 s (class timeout); it is not known whether the "
                "remote did it: look before you repeat it; a longer --timeout may help\n",
                10);
    expect_line((struct pfs_error){.cls = PFS_TIMEOUT}, "no reply in 5 s", false,
                "agfs: ls: /remote/x: no reply in 5 s (class timeout); a longer --timeout may "
                "help\n",
                10);
    expect_line((struct pfs_error){.cls = PFS_PAYLOAD, .outcome = PFS_OUTCOME_AP}, "bad", true,
                "agfs: ls: /remote/x: bad (class payload, applied)\n", 8);
    expect_line(
        (struct pfs_error){.cls = PFS_BUSY, .outcome = PFS_OUTCOME_NA, .retry_after_ms = 1500},
        "busy", true, "agfs: ls: /remote/x: busy (class busy, not applied); try again in 2 s\n",
        12);
    expect_line((struct pfs_error){.cls = PFS_IO, .outcome = PFS_OUTCOME_NA}, "", true,
                "agfs: ls: /remote/x: the remote failed (class io, not applied)\n", 1);
}

/* Names come from servers: none may give the terminal an order, or look like a line of ours. */
Test(output, names_in_errors_are_harmless)
{
    static const char name[] = "\033[2J\nagfs: all is well\x7f\xc2\x9b\xc3\xa9";
    static const char shown[] = "\\x1b[2J\\x0aagfs: all is well\\x7f\\xc2\\x9b\xc3\xa9";
    struct pfs_error e = {.cls = PFS_IO, .text = "no"};
    struct cli cli;
    char *err = NULL, expected[400];
    size_t len;
    cli_init(&cli, NULL, "http://h:1");
    cli.err = open_memstream(&err, &len);
    cli_fail(&cli, name, &e);
    cli_fail_local(&cli, name, ENOENT);
    cli_error(&cli, 1, "%s: too deep", name);
    fclose(cli.err);
    snprintf(expected, sizeof(expected),
             "agfs: %s: no (class io)\nagfs: local:%s: No such file or directory\nagfs: %s: too "
             "deep\n",
             shown, shown, shown);
    cr_assert_str_eq(err, expected);
    free(err);
    cli_fini(&cli);
}

Test(output, exit_codes)
{
    static const struct {
        enum pfs_class cls;
        int code;
    } rows[] = {
        {PFS_CONFIG, 2},    {PFS_INVALID, 2},     {PFS_NOTFOUND, 3}, {PFS_EXISTS, 4},
        {PFS_DENIED, 5},    {PFS_UNSUPPORTED, 6}, {PFS_BADARG, 7},   {PFS_DNS, 8},
        {PFS_RESET, 8},     {PFS_TLS_VERIFY, 9},  {PFS_TIMEOUT, 10}, {PFS_TRUNCATED, 11},
        {PFS_OVERLOAD, 12}, {PFS_CANCELLED, 130}, {PFS_IO, 1},
    };
    struct run r;
    run_begin(&r);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        fake_fail(r.client, PFS_OP_STAT, rows[i].cls, PFS_OUTCOME_NA, "said so");
        expect_fail(&r, "stat /m1/a", rows[i].code, "agfs: stat: /m1/a: said so (class ");
        cr_assert_str_eq(r.out, "");
    }
    run_end(&r);
}

Test(output, stat_of_a_file)
{
    struct run r;
    setenv("TZ", "UTC0", 1);
    run_begin(&r);
    expect_out(&r, "stat /m1/a",
               "File: a\nType: File\nMode: 644\nMeta.type: file\nMeta.name: memfs\nSize: 9\n"
               "Modified: 2023-11-14 22:13:20 +0000\n");
    expect_out(&r, "stat /m1",
               "File: m1\nType: Directory\nMode: 755\nMeta.type: directory\nMeta.name: memfs\n"
               "Size: 0\nModified: 2023-11-14 22:13:20 +0000\n");
    expect_out(&r, "chmod 444 /m1/a; stat --json /m1/a",
               "{\"name\":\"a\",\"size\":9,\"mode\":292,\"modTime\":\"2023-11-14T22:13:20."
               "123456789Z\",\"isDir\":false,\"meta\":{\"Name\":\"memfs\",\"Type\":\"file\","
               "\"Content\":{}}}\n");
    cr_assert_eq(run_line(&r, "stat /m1/a"), 0);
    cr_assert(strstr(r.out, "\nMode: 444  (read-only)\n"));
    run_end(&r);
}

Test(output, long_listing)
{
    struct run r;
    setenv("TZ", "UTC0", 1);
    run_begin(&r);
    expect_out(&r, "ls -l /m1",
               "-rw-r--r--            9 2023-11-14 22:13 a\n"
               "-rw-r--r--            4 2023-11-14 22:13 b.txt\n"
               "drwxr-xr-x            0 2023-11-14 22:13 sub\n");
    run_end(&r);
}

Test(output, times_that_are_unknown_are_not_invented)
{
    struct pfs_stat st = {.name = (char *)(uintptr_t) "x", .mtime_ns = PFS_TIME_UNKNOWN};
    struct cli cli;
    char *out = NULL;
    size_t len;
    cli_init(&cli, NULL, "");
    cli.out = open_memstream(&out, &len);
    cli_put_stat(&cli, &st);
    cli_put_long(&cli, &st);
    cli_put_stat_json(&cli, &st);
    fclose(cli.out);
    cr_assert_str_eq(out, "File: x\nType: File\nMode: 0\nSize: 0\n"
                          "----------            0                - x\n"
                          "{\"name\":\"x\",\"size\":0,\"mode\":0,\"modTime\":null,\"isDir\":false,"
                          "\"meta\":{\"Name\":\"\",\"Type\":\"\",\"Content\":{}}}");
    free(out);
    cli_fini(&cli);
}

Test(output, messages_and_names)
{
    struct cli cli;
    char *out = NULL;
    size_t len;
    cli_init(&cli, NULL, "");
    cli.out = open_memstream(&out, &len);
    cli_put_message(&cli, NULL);
    cli_put_message(&cli, "");
    cli_put_message(&cli, "Written 6 bytes");
    cli_put_message(&cli, "Written 6 bytes to tape");
    cli_put_text(&cli, "a\033[31m");
    cli.terminal = true;
    cli_put_text(&cli, "b\033[31m\n");
    fclose(cli.out);
    cr_assert_str_eq(out, "Written 6 bytes to tape\na\033[31mb?[31m?");
    free(out);
    cli_fini(&cli);
}
