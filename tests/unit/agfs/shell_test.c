/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "run.h"
#include "secret.h"
#include "shell.h"
#include <stdlib.h>

/* The transcripts of the original README, to the letter. */
Test(shell, transcripts)
{
    static const char script[] = "# All these operations happen on the remote server\n"
                                 "mkdir /remote/data\n"
                                 "echo \"hello\" > /remote/data/file.txt\n"
                                 "cat /remote/data/file.txt\n"
                                 "ls /remote/data\n"
                                 "\n"
                                 "# Hot reload the proxy connection if needed\n"
                                 "echo '' > /remote/reload\n"
                                 "stat /remote/reload\n"
                                 "cd /remote\n"
                                 "pwd\n";
    static const char expected[] =
        "# All these operations happen on the remote server\n"
        "agfs:/> mkdir /remote/data\n"
        "agfs:/> echo \"hello\" > /remote/data/file.txt\n"
        "agfs:/> cat /remote/data/file.txt\n"
        "hello\n"
        "agfs:/> ls /remote/data\n"
        "file.txt\n"
        "\n"
        "# Hot reload the proxy connection if needed\n"
        "agfs:/> echo '' > /remote/reload\n"
        "ProxyFS reloaded successfully\n"
        "agfs:/> stat /remote/reload\n"
        "File: reload\n"
        "Type: File\n"
        "Mode: 200  (write-only)\n"
        "Meta.type: control\n"
        "Meta.description: Write to this file to reload proxy connection\n"
        "agfs:/> cd /remote\n"
        "agfs:/remote> pwd\n"
        "/remote\n";
    struct run r;
    run_begin(&r);
    FILE *in = fmemopen((char *)(uintptr_t)script, sizeof(script) - 1, "r");
    r.cli.out = open_memstream(&r.out, &r.out_len);
    r.cli.echo = true;
    cr_assert_eq(shell_script(&r.cli, in, "script"), 0);
    fclose(r.cli.out);
    fclose(in);
    cr_assert_str_eq(r.out, expected);
    cr_assert_str_eq(fake_content(r.client, "/remote/reload"), "\n");
    run_end(&r);
}

Test(shell, mount_sends_strings)
{
    struct run r;
    run_begin(&r);
    expect_out(&r, "mount proxyfs /dc1 base_url=http://dc1.example.com:8080/api/v1 retries=3", "");
    cr_assert_str_eq(fake_last_mount(r.client),
                     "proxyfs /dc1 {\"base_url\":\"http://dc1.example.com:8080/api/v1\","
                     "\"retries\":\"3\"}");
    expect_out(&r, "mount memfs rel 'init_dirs=[\"/a\"]'", "");
    cr_assert_str_eq(fake_last_mount(r.client), "memfs /rel {\"init_dirs\":\"[\\\"/a\\\"]\"}");
    expect_out(&r, "mount memfs /m3", "");
    cr_assert_str_eq(fake_last_mount(r.client), "memfs /m3 {}");
    expect_fail(&r, "mount memfs", 2, "PATH is missing");
    expect_fail(&r, "mount memfs /m base_url", 2, "base_url: KEY=VALUE expected");
    expect_out(&r, "unmount /dc1", "");
    fake_fail(r.client, PFS_OP_UNMOUNT, PFS_NOTFOUND, PFS_OUTCOME_NA, "no mount at path: /q");
    expect_fail(&r, "umount /q", 3, "agfs: unmount: /q: no mount at path: /q (class notfound");
    run_end(&r);
}

Test(shell, lists_of_the_server)
{
    static const char mounts[] = "memfs on /memfs\n"
                                 "proxyfs on /remote (base_url=http://h:1/api/v1, retries=3)\n"
                                 "localfs on /x [failed: no directory]\n";
    struct run r;
    run_begin(&r);
    expect_out(&r, "mount", mounts);
    expect_out(&r, "mounts", mounts);
    cr_assert_eq(run_line(&r, "mounts --json"), 0);
    cr_assert(strstr(r.out, "{\"mounts\":[{\"path\":\"/memfs\",") == r.out);
    expect_out(&r, "plugins", "hello (/l/h.so)\nmemfs on /memfs\n");
    expect_out(&r, "plugins load /l/h.so", "hello-1\n");
    expect_fail(&r, "plugins load", 2, "is expected");
    expect_out(&r, "health", "healthy, version 1.4.0, http://fake:1/api/v1\n");
    expect_out(&r, "health --json", "{\"status\":\"healthy\",\"version\":\"1.4.0\"}\n");
    expect_out(&r, "capabilities", "version: 1.4.0\nfeatures: grep stream\n");
    expect_out(&r, "reload /remote", "ProxyFS reloaded successfully\n");
    expect_out(&r, "reload /remote/reload", "ProxyFS reloaded successfully\n");
    expect_out(&r, "reload", "connection to http://fake:1/api/v1 reloaded\n");
    run_end(&r);
}

Test(shell, status_and_exit)
{
    struct run r;
    run_begin(&r);
    expect_fail(&r, "ls /none; echo after", 0, "agfs: ls: /none: ");
    cr_assert_str_eq(r.out, "after\n");
    expect_fail(&r, "ls /none", 3, "no such file");
    expect_out(&r, "echo $?", "3\n");
    expect_fail(&r, "ls /none; echo $?; echo \"$? now\" > /m1/$?; ls /m1/0", 0, "no such file");
    cr_assert_str_eq(r.out, "3\n0\n");
    cr_assert_str_eq(fake_content(r.client, "/m1/0"), "0 now\n");
    expect_fail(&r, "rm /m1/0;; echo 'x", 2, "is not closed");
    cr_assert(fake_exists(r.client, "/m1/0"));
    expect_out(&r, ";; rm /m1/0; ; # rm /m1/a", "");
    expect_fail(&r, "nonsense", 2, "nonsense: unknown command");
    expect_fail(&r, "echo 'x", 2, "is not closed");
    expect_out(&r, "echo $?; > /m1/empty", "2\n");
    expect_fail(&r, "exit 300", 2, "0 to 255");
    cr_assert_not(r.cli.quit);
    cr_assert_eq(run_line(&r, "exit 5; echo never"), 5);
    cr_assert_str_eq(r.out, "");
    cr_assert(r.cli.quit);
    run_end(&r);
}

Test(shell, usage)
{
    struct run r;
    run_begin(&r);
    expect_fail(&r, "cat", 2,
                "agfs: cat: an argument is missing; usage: cat [-f | --stream] PATH...");
    expect_fail(&r, "pwd x", 2, "too many arguments");
    expect_fail(&r, "ls -z", 2, "-z: no such option");
    expect_fail(&r, "truncate -s", 2, "-s: no such option, or its value is missing");
    run_end(&r);
}

Test(shell, help)
{
    struct run r;
    run_begin(&r);
    cr_assert_eq(run_line(&r, "help"), 0);
    cr_assert(strstr(r.out, "\ngrep          search for a regular expression"));
    cr_assert_eq(run_line(&r, "help truncate"), 0);
    cr_assert(strstr(r.out, "usage: truncate -s SIZE PATH...\n") == r.out);
    expect_fail(&r, "help nothing", 2, "nothing: no such command");
    run_end(&r);
}

Test(shell, a_text_of_several_lines)
{
    static const char text[] = "rm -r /m1/sub\nls /m1 # a comment ends with its line\n\n"
                               "echo 'not closed\r\necho $?\r\nexit 4\nrm /m1/a";
    struct run r;
    run_begin(&r);
    r.cli.out = open_memstream(&r.out, &r.out_len);
    r.cli.err = open_memstream(&r.err, &r.err_len);
    cr_assert_eq(shell_text(&r.cli, text), 4);
    fclose(r.cli.out);
    fclose(r.cli.err);
    cr_assert_str_eq(r.out, "a\nb.txt\n2\n");
    cr_assert_str_eq(r.err, "agfs: line 4: a ' is not closed\n");
    cr_assert(fake_exists(r.client, "/m1/a"));
    run_end(&r);
}

Test(shell, errors_of_a_script_name_its_lines)
{
    static const char script[] = "ls /m1\n# a comment\n\nls /none; rm /none\necho 'x\ncat\n";
    static const char *const begins[] = {
        "do\\x0ait:4: ls: /none: ", "do\\x0ait:4: rm: /none: ", "do\\x0ait:5: a ' is not closed",
        "do\\x0ait:6: cat: an argument is missing; "};
    struct run r;
    run_begin(&r);
    FILE *in = fmemopen((char *)(uintptr_t)script, sizeof(script) - 1, "r");
    r.cli.out = open_memstream(&r.out, &r.out_len);
    r.cli.err = open_memstream(&r.err, &r.err_len);
    shell_script(&r.cli, in, "do\nit");
    fclose(r.cli.out);
    fclose(r.cli.err);
    fclose(in);
    const char *at = r.err;
    for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++) {
        cr_assert(strncmp(at, begins[i], strlen(begins[i])) == 0, "%s", r.err);
        at = strchr(at, '\n') + 1;
    }
    cr_assert_eq(*at, '\0');
    /* What comes after it, and one line alone, have none. */
    expect_fail(&r, "cat", 2, "agfs: cat: an argument is missing");
    run_end(&r);
}

/* A file that happens to be called reload is not written to. */
Test(shell, reload_without_a_proxyfs)
{
    static const char wrong[] = "agfs: reload: /m1: no proxyfs is mounted there";
    struct run r;
    run_begin(&r);
    expect_fail(&r, "reload /m1", 3, wrong);
    cr_assert_not(fake_exists(r.client, "/m1/reload"));
    expect_out(&r, "echo -n precious > /m1/reload", "");
    expect_fail(&r, "reload /m1", 3, wrong);
    expect_fail(&r, "cd /m1; reload reload", 3, wrong);
    cr_assert_str_eq(fake_content(r.client, "/m1/reload"), "precious");
    fake_fail(r.client, PFS_OP_STAT, PFS_DENIED, PFS_OUTCOME_NA, "not you");
    expect_fail(&r, "reload /remote", 5, "agfs: reload: /remote/reload: not you");
    run_end(&r);
}

Test(shell, lines_with_a_password)
{
    static const struct {
        const char *line;
        bool secret;
    } rows[] = {
        {"mount proxyfs /r base_url=http://u:p@h:1/api/v1", true},
        {"mount proxyfs /r 'base_url=https://token@h'", true},
        {"mount proxyfs /r base_url=http://h:1/a@b", false},
        {"mount proxyfs /r base_url=http://h token=abc", true},
        {"mount proxyfs /r 'auth_TOKEN=a b'", true},
        {"mount s3fs /s bucket=b secret_access_key=k", true},
        {"mount sqlfs /s dsn=u:p@tcp(h)/d", true},
        {"mount proxyfs /r token_file=/etc/token client_key=/k.pem", false},
        {"cat /token /password; echo token = x", false},
        {"ls", false},
        {"", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_assert_eq(line_is_secret(rows[i].line), rows[i].secret, "%s", rows[i].line);
}

/* Nobody would see what comes after output that is lost. */
Test(shell, output_that_is_lost)
{
    static const struct {
        const char *line, *expected;
        int buffering;
    } rows[] = {
        {"pwd; rm /m1/a", "agfs: output: No space left on device\n", _IOFBF},
        {"ls /m1 /none; rm /m1/a", "agfs: output: a part of it could not be written\n", _IONBF},
        {"tree /; rm /m1/a", "agfs: output: a part of it could not be written\n", _IONBF},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct run r;
        run_begin(&r);
        r.cli.out = fopen("/dev/full", "w");
        r.cli.err = open_memstream(&r.err, &r.err_len);
        setvbuf(r.cli.out, NULL, rows[i].buffering, BUFSIZ);
        cr_assert_eq(shell_line(&r.cli, rows[i].line), 1, "%s", rows[i].line);
        cr_assert(r.cli.quit);
        fclose(r.cli.out);
        fclose(r.cli.err);
        cr_assert_str_eq(r.err, rows[i].expected);
        cr_assert(fake_exists(r.client, "/m1/a"));
        run_end(&r);
    }
}
