/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "files.h"
#include "path.h"
#include "run.h"
#include "shell.h"
#include <locale.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

Test(path, resolve)
{
    static const char *const rows[][3] = {
        {"/", "a", "/a"},
        {"/a", "b", "/a/b"},
        {"/a", "/b", "/b"},
        {"/a", "..", "/"},
        {"/a/b", "../c", "/a/c"},
        {"/a", "../../..", "/"},
        {"/", "", "/"},
        {"/a", ".", "/a"},
        {"/a", "./b//c/", "/a/b/c"},
        {"/a", "/x/../y/.", "/y"},
        {"/a", "...", "/a/..."},
        {"/", "/", "/"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *got = path_resolve(rows[i][0], rows[i][1]);
        cr_assert_str_eq(got, rows[i][2], "%s %s: %s", rows[i][0], rows[i][1], got);
        free(got);
    }
}

Test(path, parts)
{
    char *parent = path_parent("/a/b");
    cr_assert_str_eq(parent, "/a");
    free(parent);
    parent = path_parent("/a");
    cr_assert_str_eq(parent, "/");
    free(parent);
    cr_assert_str_eq(path_base("/a/b"), "b");
    cr_assert_str_eq(path_base("/"), "/");
    cr_assert(path_below("/a/b", "/a"));
    cr_assert(path_below("/a", "/a"));
    cr_assert(path_below("/a", "/"));
    cr_assert_not(path_below("/ab", "/a"));
    cr_assert(name_is_safe("a..b"));
    cr_assert_not(name_is_safe("..") || name_is_safe(".") || name_is_safe("") ||
                  name_is_safe("a/b"));
}

Test(path, places)
{
    struct run r;
    run_begin(&r);
    struct place p = place_of(&r.cli, "local:dir//");
    cr_assert(p.local);
    cr_assert_str_eq(p.path, "dir");
    place_fini(&p);
    p = place_of(&r.cli, "m1/../m2");
    cr_assert_not(p.local);
    cr_assert_str_eq(p.path, "/m2");
    place_fini(&p);
    run_end(&r);
}

Test(path, patterns_of_the_remote)
{
    struct run r;
    run_begin(&r);
    expect_out(&r, "echo /m1/*", "/m1/a /m1/b.txt /m1/sub\n");
    expect_out(&r, "echo /m1/*.txt /*/b.txt /m1/*/c.txt", "/m1/b.txt /m1/b.txt /m1/sub/c.txt\n");
    expect_out(&r, "echo /m1/*/none '/m1/*' /m1/\\*", "/m1/*/none /m1/* /m1/*\n");
    expect_out(&r, "cd /m1; echo * s*/c*", "a b.txt sub sub/c.txt\n");
    fake_intruder(r.client, "../evil");
    expect_out(&r, "echo *", "a b.txt sub\n");
    run_end(&r);
}

/* As text, `rm -r *` would be about a file called *, and succeed with -f. */
Test(path, a_pattern_that_cannot_be_looked_up)
{
    static const struct {
        enum pfs_op op;
        const char *line, *said;
    } rows[] = {
        {PFS_OP_READDIR, "rm -rf /m1/*; echo $?", "agfs: rm: /m1: no reply (class timeout"},
        {PFS_OP_READDIR, "echo x /*/c.txt > /m2/f; echo $?", "agfs: echo: /: no reply"},
        {PFS_OP_STAT, "rm /m*/a; echo $?", "/a: no reply"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct run r;
        run_begin(&r);
        fake_fail(r.client, rows[i].op, PFS_TIMEOUT, PFS_OUTCOME_NA, "no reply");
        expect_fail(&r, rows[i].line, 0, rows[i].said);
        cr_assert_str_eq(r.out, "10\n", "%s", rows[i].line);
        cr_assert(fake_exists(r.client, "/m1/a") && !fake_exists(r.client, "/m2/f"));
        /* A directory that is not there holds no such names. */
        expect_out(&r, "rm -f /none/*; echo /none/*", "/none/*\n");
        run_end(&r);
    }
}

Test(path, a_local_pattern_that_cannot_be_looked_up, .init = files_begin, .fini = files_end)
{
    struct run r;
    run_begin(&r);
    cr_assert_eq(mkdir("closed", 0700), 0);
    put_file("closed/one", "1");
    chmod(".", 0755);
    chmod("closed", 0);
    uid_t me = geteuid();
    cr_assert(me != 0 || seteuid(65534) == 0);
    expect_fail(&r, "cp local:closed/* /m2", 5, "agfs: cp: local:closed: Permission denied\n");
    cr_assert_eq(seteuid(me), 0);
    chmod("closed", 0700);
    expect_out(&r, "cp local:closed/* /m2; echo local:none/* local:closed/one/*",
               "local:none/* local:closed/one/*\n");
    cr_assert(fake_exists(r.client, "/m2/one"));
    run_end(&r);
}

/* What a pattern finds is a path of the server, whatever it is called. */
Test(path, found_names_are_no_options_and_not_of_this_machine)
{
    struct run r;
    run_begin(&r);
    fake_dir(r.client, "/g");
    fake_file(r.client, "/g/local:secret", "remote");
    fake_file(r.client, "/g/-rf", "");
    fake_dir(r.client, "/g/local:");
    fake_file(r.client, "/g/local:/x", "below");
    expect_out(&r, "cd /g; echo *", "./-rf ./local: ./local:secret\n");
    expect_out(&r, "echo /g/* -*", "/g/-rf /g/local: /g/local:secret ./-rf\n");
    expect_out(&r, "echo */x; cat */x *secret", "./local:/x\nbelowremote");
    expect_out(&r, "mv *secret /g/moved; cat moved; rm -*; ls", "remotelocal:\nmoved\n");
    run_end(&r);
}

static char *complete(struct run *r, const char *line)
{
    struct strings words = {0};
    size_t at;
    char *all = NULL;
    size_t len;
    shell_complete(&r->cli, line, &at, &words);
    FILE *f = open_memstream(&all, &len);
    fprintf(f, "%s:", line + at);
    for (size_t i = 0; i < words.n; i++)
        fprintf(f, " %s", words.v[i]);
    fclose(f);
    strings_fini(&words);
    return all;
}

#define ALL_COMMANDS                                                                               \
    "capabilities cat cd chmod cp digest download echo exit grep health help ln ls mkdir mount "   \
    "mounts mv plugins pwd readlink reload rm stat touch tree truncate unmount upload"

Test(path, completion)
{
    static const char *const rows[][2] = {
        {"un", "un: unmount"},
        {"mo", "mo: mount mounts"},
        {"  ls /m", "/m: /m1/ /m2/"},
        {"ls /m1/", "/m1/: /m1/a /m1/b.txt /m1/sub/ /m1/with\\ blank"},
        {"ls /m1/with\\ b", "/m1/with\\ b: /m1/with\\ blank"},
        {"echo x >/remote/re", "/remote/re: /remote/reload"},
        {"pwd; ca", "ca: capabilities cat"},
        {"cat /none/", "/none/:"},
        {"cat 'open", "'open:"},
        {"cat \"/m1/a", "\"/m1/a: /m1/a"},
        {"cat '/m1/with b", "'/m1/with b: /m1/with\\ blank"},
        {"cat \"/m1/\\\"", "\"/m1/\\\":"},
        {"cat /m1/\"with b\"l", "/m1/\"with b\"l: /m1/with\\ blank"},
        {"help dig", "dig: digest"},
        {"help ", ": " ALL_COMMANDS},
        {"mount m", "m: memfs"},
        {"mount memfs /m", "/m: /m1/ /m2/"},
        {"ls -", "-: --json -a -l"},
        {"pwd; cp -r -", "-: -R -j -r"},
        {"cat --s", "--s: --stream"},
        {"echo -", "-:"},
    };
    struct run r;
    run_begin(&r);
    fake_file(r.client, "/m1/with blank", "");
    fake_file(r.client, "/m1/with\nnewline", "");
    fake_file(r.client, "/m1/\033[2J", "");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *got = complete(&r, rows[i][0]);
        cr_assert_str_eq(got, rows[i][1], "%s", got);
        free(got);
    }
    fake_file(r.client, "/m1/-x", "");
    fake_file(r.client, "/m1/local:secret", "");
    run_line(&r, "cd /m1");
    static const char *const relative[][2] = {
        {"cat ", ": ./-x ./local:secret a b.txt sub/ with\\ blank"},
        {"cat loc", "loc: ./local:secret"},
        {"cat local:secr", "local:secr:"},
        {"cat ./local:s", "./local:s: ./local:secret"},
    };
    for (size_t i = 0; i < sizeof(relative) / sizeof(relative[0]); i++) {
        char *got = complete(&r, relative[i][0]);
        cr_assert_str_eq(got, relative[i][1], "%s", got);
        free(got);
    }
    run_end(&r);
}

Test(path, completion_of_files_of_this_machine, .init = files_begin, .fini = files_end)
{
    static const char *const rows[][2] = {
        {"upload ", ": ./-x dir/ one two\\ words"},
        {"upload o", "o: one"},
        {"upload -r 'two", "'two: two\\ words"},
        {"upload dir/", "dir/: dir/in"},
        {"upload ./o", "./o: ./one"},
        {"upload .h", ".h: .hidden"},
        {"upload one /m", "/m: /m1/ /m2/"},
        {"download /m", "/m: /m1/ /m2/"},
        {"download /m1/a d", "d: dir/"},
        {"cat local:", "local:: local:./-x local:dir/ local:one local:two\\ words"},
        {"cp /m1/a local:dir/i", "local:dir/i: local:dir/in"},
        {"ls > local:o", "local:o: local:one"},
        {"cat local:none/", "local:none/:"},
    };
    struct run r;
    run_begin(&r);
    put_file("one", "");
    put_file("two words", "");
    put_file("-x", "");
    put_file("new\nline", "");
    put_file(".hidden", "");
    cr_assert_eq(mkdir("dir", 0755), 0);
    put_file("dir/in", "");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *got = complete(&r, rows[i][0]);
        cr_assert_str_eq(got, rows[i][1], "%s: %s", rows[i][0], got);
        free(got);
    }
    char line[128], expected[256];
    snprintf(line, sizeof(line), "upload %s/on", files_dir);
    snprintf(expected, sizeof(expected), "%s/on: %s/one", files_dir, files_dir);
    char *got = complete(&r, line);
    cr_assert_str_eq(got, expected, "%s", got);
    free(got);
    run_end(&r);
}

Test(path, what_completions_have_in_common)
{
    static const struct {
        const char *words[3];
        size_t common;
    } rows[] = {
        {{"abc", "abd"}, 2},
        {{"abc", "abcd", "ab"}, 2},
        {{"abc"}, 3},
        {{"\303\244x", "\303\244y"}, 2},
        {{"x\303\244", "x\303\266"}, 1}, /* the first byte of both is no character */
        {{"x\303", "x\303"}, 1},         /* nor is this one */
        {{"a\\ b", "a\\*b"}, 1},         /* a backslash alone would quote what is typed next */
        {{"a\\ b", "a\\ c"}, 3},
    };
    cr_assert(setlocale(LC_CTYPE, "C.UTF-8"));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct strings words = {0};
        for (size_t j = 0; j < 3 && rows[i].words[j]; j++)
            strings_add(&words, xstrdup(rows[i].words[j]));
        cr_assert_eq(shell_common(&words), rows[i].common, "%zu: %zu", i, shell_common(&words));
        strings_fini(&words);
    }
}
