/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "options.h"
#include "target_spec.h"
#include "util.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char said[4096]; /* on stderr by the last parse */

static int parse(struct options *o, const char *const *words)
{
    int n = 0, saved = dup(STDERR_FILENO);
    FILE *f = tmpfile();

    while (words[n])
        n++;
    dup2(fileno(f), STDERR_FILENO);
    int code = options_parse(n, (char **)(uintptr_t)words, o);
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(f);
    said[fread(said, 1, sizeof said - 1, f)] = '\0';
    fclose(f);
    return code;
}

#define PARSE(o, ...) parse(o, (const char *const[]){"agfs-bench", __VA_ARGS__, NULL})
#define REFUSED(words, ...)                                                                        \
    do {                                                                                           \
        struct options refused;                                                                    \
        cr_assert_eq(PARSE(&refused, __VA_ARGS__), EXIT_USAGE);                                    \
        cr_assert(strstr(said, words), "%s", said);                                                \
        options_fini(&refused);                                                                    \
    } while (0)

static void clean_environment(void)
{
    unsetenv("AGFS_API_URL");
    unsetenv("AGFS_SERVER_URL");
    unsetenv("AGFS_TIMEOUT");
}

static const char *option(const struct target_spec *t, const char *key)
{
    for (size_t i = 0; i < t->n_options; i++) {
        if (strcmp(t->options[i].key, key) == 0)
            return t->options[i].value;
    }
    return NULL;
}

TestSuite(bench_options, .init = clean_environment);

Test(bench_options, defaults)
{
    struct options o;

    cr_assert_eq(parse(&o, (const char *const[]){"agfs-bench", NULL}), 0);
    cr_assert_eq(o.n_targets, 1);
    cr_assert_str_eq(o.targets[0].url, "http://localhost:8080");
    cr_assert_eq(o.arrival, ARRIVAL_CLOSED);
    cr_assert_eq(o.callers, 1);
    cr_assert_eq(o.rounds, 5);
    cr_assert_eq(o.duration_ns, 5 * NS_PER_S);
    cr_assert_str_eq(o.workload.text, "stat");
    options_fini(&o);
    setenv("AGFS_API_URL", "https://far", 1);
    cr_assert_eq(parse(&o, (const char *const[]){"agfs-bench", NULL}), 0);
    cr_assert_str_eq(o.targets[0].url, "https://far");
    options_fini(&o);
}

Test(bench_options, targets_have_options_of_their_own)
{
    struct options o;

    cr_assert_eq(PARSE(&o, "--cacert", "ca.pem", "--timeout", "3s", "-o", "spin=0", "--path", "/p",
                       "https://a:1",
                       "https://b:2,name=B,ca_file=other.pem,path=/remote/memfs,queue=/q",
                       "--server", "c:3"),
                 0);
    cr_assert_eq(o.n_targets, 3);
    cr_assert_str_eq(o.targets[0].url, "http://c:3");
    cr_assert_null(option(&o.targets[0], "ca_file"), "others are https");
    cr_assert_str_eq(o.targets[1].url, "https://a:1");
    cr_assert_str_eq(option(&o.targets[1], "ca_file"), "ca.pem");
    cr_assert_str_eq(option(&o.targets[1], "spin"), "0");
    cr_assert_str_eq(o.targets[1].path, "/p");
    cr_assert_str_eq(o.targets[1].queue, "/queuefs");
    cr_assert_str_eq(o.targets[2].name, "B");
    cr_assert_str_eq(option(&o.targets[2], "ca_file"), "other.pem");
    cr_assert_str_eq(option(&o.targets[2], "timeout"), "3s");
    cr_assert_str_eq(o.targets[2].path, "/remote/memfs");
    cr_assert_str_eq(o.targets[2].queue, "/q");
    options_fini(&o);
}

/* That they make no sense there is told by the library, as anywhere. */
Test(bench_options, options_of_tls_that_are_for_no_target_stay)
{
    struct options o;

    cr_assert_eq(PARSE(&o, "--cacert", "ca.pem", "a:1", "http://b:2"), 0);
    cr_assert_str_eq(option(&o.targets[1], "ca_file"), "ca.pem");
    options_fini(&o);
    cr_assert_eq(PARSE(&o, "--cacert", "ca.pem", "https://a:1", "http://b:2,ca_file=b.pem"), 0);
    cr_assert_str_eq(option(&o.targets[1], "ca_file"), "b.pem");
    options_fini(&o);
}

Test(bench_options, passwords_are_never_shown)
{
    static const struct {
        const char *given, *shown;
    } rows[] = {
        {"https://u:pass@h:1,name=a", "https://***@h:1,name=a"},
        {"http://u:p@ss@h/api", "http://***@h/api"}, /* the last '@' ends the password */
        {"u:pass@h:1", "***@h:1"},                   /* a target needs no scheme */
        {"--server=u:pass@h", "--server=***@h"},
        {"--server=https://u@h", "--server=https://***@h"},
        {"http://h/a@b:c@d", "http://h/a@b:c@d"},
        {"r@home.json", "r@home.json"},
        {"http://h,name=a@b", "http://h,name=a@b"},
        {"", ""},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *shown = spec_masked(rows[i].given);
        cr_assert_str_eq(shown, rows[i].shown);
        free(shown);
    }
}

Test(bench_options, an_open_loop)
{
    struct options o;

    cr_assert_eq(PARSE(&o, "-r", "2.5k", "--arrival", "poisson", "-d", "300ms", "x"), 0);
    cr_assert_eq(o.rate, 2500);
    cr_assert_eq(o.arrival, ARRIVAL_POISSON);
    cr_assert_eq(o.callers, 64);
    options_fini(&o);
    cr_assert_eq(PARSE(&o, "--ramp", "rate=10,..,40", "-c", "3", "x"), 0);
    cr_assert_eq(o.arrival, ARRIVAL_CONSTANT);
    cr_assert_eq(o.callers, 3);
    cr_assert(o.sweep.stop_at_knee);
    options_fini(&o);
}

Test(bench_options, what_every_target_has_is_said_once)
{
    struct options o;

    cr_assert_eq(PARSE(&o, "-o", "file=/x", "a:1", "b:2,file=/y"), 0);
    cr_assert_str_eq(o.targets[0].file, "/x");
    cr_assert_str_eq(o.targets[1].file, "/y");
    options_fini(&o);
    REFUSED("file=x: a path begins with '/'", "-o", "file=x", "a:1");
}

Test(bench_options, the_largest_size)
{
    static const char *const words[] = {"1TiB", "1t", "1024GiB", "1099511627776"};
    struct options o;

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        cr_assert_eq(PARSE(&o, "-s", words[i], "x"), 0, "%s: %s", words[i], said);
        cr_assert_eq(o.size, (int64_t)1 << 40);
        options_fini(&o);
    }
    REFUSED("--size 2TiB", "-s", "2TiB", "x");
}

Test(bench_options, every_remote_has_a_caller)
{
    struct options o;

    cr_assert_eq(PARSE(&o, "--remotes", "8", "x"), 0);
    cr_assert_eq(o.callers, 8);
    options_fini(&o);
    cr_assert_eq(PARSE(&o, "--remotes", "8", "-c", "9", "x"), 0);
    cr_assert_eq(o.callers, 9);
    options_fini(&o);
    cr_assert_eq(PARSE(&o, "--remotes", "8", "-r", "10", "x"), 0);
    cr_assert_eq(o.callers, 64);
    options_fini(&o);
    /* A sweep of them adds callers where it has to. */
    cr_assert_eq(PARSE(&o, "--sweep", "remotes=1,8", "-c", "4", "x"), 0);
    cr_assert_eq(o.callers, 4);
    options_fini(&o);
    REFUSED("--callers: 7 cannot call 8 remotes", "--remotes", "8", "-c", "7", "x");
    REFUSED("--sweep callers: 1 cannot call 2 remotes", "--remotes", "2", "--sweep", "callers=1,2",
            "x");
}

Test(bench_options, a_comparison_takes_no_option_of_a_measurement)
{
    struct options o;

    cr_assert_eq(PARSE(&o, "--compare", "-q", "a.json", "b.json"), 0);
    options_fini(&o);
    REFUSED("--compare measures nothing and takes no --json", "--compare", "a", "b", "--json", "z");
    REFUSED("takes no --callers", "-c", "1", "--compare", "a", "b");
    REFUSED("takes no -o", "--compare", "a", "b", "-o", "spin=0");
}

Test(bench_options, a_number_stands_wherever_it_is_asked_for)
{
    char *text = spec_numbered("/r%n/d%n%", 12);

    cr_assert_str_eq(text, "/r12/d12%");
    free(text);
}

Test(bench_options, bad_values_are_refused_by_name)
{
    REFUSED("--duration 0: nothing can be measured in no time", "-d", "0", "x");
    REFUSED("--duration 0ms", "-d", "0ms", "x");
    REFUSED("--duration soon", "--duration", "soon", "x");
    REFUSED("--callers 0: a whole number from 1 to 4096", "-c", "0", "x");
    REFUSED("--callers 1.5", "-c", "1.5", "x");
    REFUSED("--callers -1", "-c", "-1", "x");
    REFUSED("--rate 0: calls a second", "-r", "0", "x");
    REFUSED("--rate fast", "-r", "fast", "x");
    REFUSED("--count 0", "-n", "0", "x");
    REFUSED("--rounds 0", "--rounds", "0", "x");
    REFUSED("--size big", "-s", "big", "x");
    REFUSED("--workload fly: 'fly' is none of", "-w", "fly", "x");
    REFUSED("--sweep size: one of", "--sweep", "size", "x");
    REFUSED("--ramp size=1,2: only callers and rate", "--ramp", "size=1,2", "x");
    REFUSED("--cpu 5000", "--cpu", "5000", "x");
    REFUSED("--arrival now", "--arrival", "now", "-r", "1", "x");
    REFUSED("try `agfs-bench --help`", "--frobnicate");
}

Test(bench_options, contradictions_are_refused)
{
    REFUSED("only an open loop", "--arrival", "poisson", "x");
    REFUSED("already swept", "-r", "10", "--sweep", "rate=1,2", "x");
    REFUSED("ramp the rate", "-r", "10", "--ramp", "callers=1,2", "x");
    REFUSED("only one quantity", "--sweep", "callers=1,2", "--sweep", "size=1,2", "x");
    REFUSED("either a duration or a number", "-d", "1s", "-n", "5", "x");
    REFUSED("nothing to sweep", "--limit", "--sweep", "callers=1,2");
    REFUSED("--compare needs two", "--compare", "one.json");
    REFUSED("--compare needs two", "--compare", "1", "2", "3");
}

Test(bench_options, bad_targets_are_refused)
{
    REFUSED("URL[,KEY=VALUE]... expected", "/memfs");
    REFUSED("URL[,KEY=VALUE]... expected", "");
    REFUSED("nonsense: KEY=VALUE expected", "x,nonsense");
    REFUSED("path=memfs: a path begins with '/'", "x,path=memfs");
    REFUSED("the URL is the target itself", "-o", "base_url=http://y", "x");
}

Test(bench_options, the_limit_alone_needs_no_target)
{
    struct options o;

    cr_assert_eq(PARSE(&o, "--limit"), 0);
    cr_assert_eq(o.n_targets, 0);
    cr_assert(o.limit);
    options_fini(&o);
}
