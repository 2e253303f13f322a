/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "compare.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const double base[] = {40.1, 39.8, 40.6, 40.2, 39.9};
static const double again[] = {40.0, 40.3, 39.7, 40.5, 40.2};
static const double slower[] = {45.2, 46.0, 45.1, 44.9, 45.7};

static enum verdict verdict(const double *a, const double *b, size_t n, int more_is_better)
{
    return compare_rounds(a, n, b, n, more_is_better, 0.03).verdict;
}

Test(bench_compare, noise_is_no_difference)
{
    cr_assert_eq(verdict(base, again, 5, 0), VERDICT_SAME);
    cr_assert_eq(verdict(base, base, 5, 0), VERDICT_SAME);
}

Test(bench_compare, a_difference_is_more_than_noise)
{
    struct comparison c = compare_rounds(base, 5, slower, 5, 0, 0.03);

    cr_assert_eq(c.verdict, VERDICT_WORSE);
    cr_assert_float_eq(c.change, 45.2 / 40.1 - 1, 1e-9);
    cr_assert_lt(c.p, 0.01);
    cr_assert_eq(verdict(slower, base, 5, 0), VERDICT_BETTER);
    /* Of throughput more is better. */
    cr_assert_eq(verdict(base, slower, 5, 1), VERDICT_BETTER);
    cr_assert_eq(verdict(slower, base, 5, 1), VERDICT_WORSE);
}

Test(bench_compare, what_the_machine_changed_by_is_noise)
{
    cr_assert_eq(compare_rounds(base, 5, slower, 5, 0, 0.15).verdict, VERDICT_SAME);
}

Test(bench_compare, one_bad_round_is_no_difference)
{
    const double outlier[] = {40.0, 40.3, 39.7, 90.5, 40.2};

    cr_assert_eq(verdict(base, outlier, 5, 0), VERDICT_SAME);
}

/* All are slower, but by less than the rounds of one run are apart. */
Test(bench_compare, what_one_run_differs_by_is_noise)
{
    const double restless[] = {100, 110, 120, 130, 140}, later[] = {141, 145, 150, 155, 160};

    cr_assert_eq(verdict(restless, later, 5, 0), VERDICT_SAME);
    cr_assert_eq(verdict(later, restless, 5, 0), VERDICT_SAME);
    cr_assert_eq(verdict(restless, slower, 5, 0), VERDICT_BETTER);
}

Test(bench_compare, from_nothing)
{
    const double nothing[5] = {0};

    cr_assert_eq(verdict(nothing, base, 5, 1), VERDICT_BETTER);
    cr_assert_eq(verdict(base, nothing, 5, 1), VERDICT_WORSE);
    cr_assert_eq(verdict(nothing, nothing, 5, 1), VERDICT_SAME);
}

Test(bench_compare, too_few_rounds)
{
    cr_assert_eq(verdict(base, slower, 3, 0), VERDICT_TOO_FEW);
    cr_assert_eq(compare_rounds(base, 0, slower, 5, 0, 0).verdict, VERDICT_TOO_FEW);
    cr_assert_eq(verdict(base, slower, 4, 0), VERDICT_WORSE);
}

/* ---- files ---- */

static void put(char *path, const char *text)
{
    int fd = mkstemp(path);

    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static int compare(const char *a, const char *b, char **ret)
{
    char path_a[] = "/tmp/compare-a-XXXXXX", path_b[] = "/tmp/compare-b-XXXXXX";
    size_t n;
    FILE *f = open_memstream(ret, &n);

    put(path_a, a);
    put(path_b, b);
    int code = compare_files(path_a, path_b, f);
    unlink(path_a);
    unlink(path_b);
    fclose(f);
    return code;
}

#define REPORT_OF(workload, name, rates, p50, p50s, trip)                                          \
    "{\"schema\":\"agfs-bench/1\",\"workload\":" workload ",\"limits\":{\"round_trip_us\":" trip   \
    "},\"targets\":[{\"name\":\"" name "\",\"kind\":\"remote\",\"steps\":[{\"callers\":4,"         \
    "\"value\":null,\"rates_per_round\":" rates ",\"ops\":[{\"op\":\"stat\",\"errors\":0,"         \
    "\"percentiles_us\":{\"50\":" p50 "},\"p50_per_round_us\":" p50s "}]}]}]}"
#define STAT "{\"text\":\"stat\",\"files\":16}"
#define REPORT(name, rates, p50s, trip) REPORT_OF(STAT, name, rates, "100", p50s, trip)
#define FAST "[100,101,102,103,104]"
#define SLOW "[150,151,152,153,154]"

Test(bench_compare, reports)
{
    char *text;

    cr_assert_eq(compare(REPORT("x", FAST, FAST, "20"), REPORT("x", FAST, FAST, "20"), &text), 0);
    cr_assert(strstr(text, "verdict: no difference beyond noise"), "%s", text);
    cr_assert(strstr(text, "the machine is the same"), "%s", text);
    free(text);
}

Test(bench_compare, a_report_that_is_worse)
{
    char *text;

    /* The names differ, but there is one target in each. */
    cr_assert_eq(compare(REPORT("x", SLOW, FAST, "20"), REPORT("y", FAST, SLOW, "20"), &text), 1);
    cr_assert(strstr(text, "stat p50"), "%s", text);
    cr_assert(strstr(text, "B is WORSE, more than noise"), "%s", text);
    cr_assert(strstr(text, "verdict: B is worse in 2 of 2 figures"), "%s", text);
    cr_assert(strstr(text, "NOTE: the targets differ, name: x in A, y in B"), "%s", text);
    free(text);
}

Test(bench_compare, a_report_that_is_better)
{
    char *text;

    cr_assert_eq(compare(REPORT("x", FAST, SLOW, "20"), REPORT("x", SLOW, FAST, "20"), &text), 0);
    cr_assert(strstr(text, "verdict: B is better in 2 of 2 figures, worse in none"), "%s", text);
    free(text);
}

Test(bench_compare, a_machine_that_changed_by_more)
{
    char *text;

    cr_assert_eq(compare(REPORT("x", SLOW, FAST, "20"), REPORT("x", FAST, SLOW, "40"), &text), 0);
    cr_assert(strstr(text, "the machine itself changed"), "%s", text);
    free(text);
}

Test(bench_compare, a_p50_that_was_refused)
{
    char *text;

    cr_assert_eq(compare(REPORT("x", FAST, FAST, "20"),
                         REPORT_OF(STAT, "x", FAST, "null", SLOW, "20"), &text),
                 0);
    cr_assert(strstr(text, "only A has enough calls of it that succeeded"), "%s", text);
    cr_assert(strstr(text, "calls/s"), "%s", text);
    cr_assert_null(strstr(text, "NOTE"), "%s", text);
    free(text);
}

Test(bench_compare, other_workloads_are_pointed_out)
{
    char *text;

    cr_assert_eq(compare(REPORT("x", FAST, FAST, "20"),
                         REPORT_OF("{\"text\":\"stat:1,read:9\",\"files\":16}", "x", FAST, "100",
                                   FAST, "20"),
                         &text),
                 0);
    cr_assert(
        strstr(text, "NOTE: the workloads differ, text: \"stat\" in A, \"stat:1,read:9\" in B"),
        "%s", text);
    cr_assert(strstr(text, "  stat p50"), "%s", text);
    cr_assert_null(strstr(text, "  calls/s"), "%s", text);
    cr_assert_null(strstr(text, "files"), "%s", text);
    free(text);
}

Test(bench_compare, what_is_no_report)
{
    char *text;

    cr_assert_eq(compare("", "{}", &text), 2);
    free(text);
    cr_assert_eq(compare("{\"schema\":\"agfs-bench/1\"}", "{\"schema\":\"other\"}", &text), 2);
    free(text);
    cr_assert_eq(compare("{\"schema\":\"agfs-bench/1\",\"targets\":7}",
                         "{\"schema\":\"agfs-bench/1\",\"targets\":[3,null,{}]}", &text),
                 2);
    free(text);
    cr_assert_eq(compare_files("/nowhere", "/nowhere", stdout), 2);
}

#define FAILING(errors, calls)                                                                     \
    "{\"schema\":\"agfs-bench/1\",\"targets\":[{\"name\":\"x\",\"kind\":\"remote\",\"steps\":[{"   \
    "\"callers\":4,\"value\":null,\"calls\":" calls ",\"errors\":" errors                          \
    ",\"rates_per_round\":" FAST ",\"ops\":[]}]}]}"

static void check_failures(const char *a, const char *b, int code, const char *words)
{
    char *text;

    cr_assert_eq(compare(a, b, &text), code, "%s", text);
    cr_assert(strstr(text, words), "%s", text);
    free(text);
}

Test(bench_compare, failed_calls)
{
    const char *none = FAILING("{}", "1000"), *few = FAILING("{\"io\":10}", "990");
    const char *some = FAILING("{\"io\":9,\"conn\":4}", "987"),
               *many = FAILING("{\"io\":500}", "500");

    check_failures(none, few, 1, "failed calls           0 of 1000 -> 10 of 1000  B is WORSE");
    check_failures(few, none, 0, "10 of 1000 -> 0 of 1000  B is better");
    check_failures(few, some, 0, "10 of 1000 -> 13 of 1000  no difference beyond chance");
    check_failures(few, many, 1, "verdict: B is worse in 1 of 2 figures");
}

#define TWO(second)                                                                                \
    "{\"schema\":\"agfs-bench/1\",\"interrupted\":true,\"targets\":["                              \
    "{\"name\":\"x\",\"kind\":\"remote\",\"steps\":[{\"value\":1,\"rates_per_round\":" FAST        \
    "},{\"value\":2}]},{\"name\":\"" second "\",\"kind\":\"remote\",\"steps\":[]}]}"

Test(bench_compare, what_one_report_lacks)
{
    check_failures(TWO("y"), TWO("z"), 0, "NOTE: only A has the target y");
    check_failures(TWO("y"), TWO("z"), 0, "NOTE: only B has the target z");
    check_failures(TWO("y"), TWO("y"), 0, "NOTE: A was interrupted");
    check_failures(TWO("x2"), REPORT("x", FAST, FAST, "20"), 2,
                   "of x 0 of 2 steps of A and 1 of B");
}

/* null: a round in which nothing succeeded. */
Test(bench_compare, a_round_without_a_figure)
{
    check_failures(REPORT("x", FAST, "[100,null,102,103,104,101]", "20"),
                   REPORT("x", FAST, FAST, "20"), 0, "102 us");
}

/* An operation whose rounds are FAST, but for the one numbered `slow`. */
static void append_op(char *text, size_t cap, int number, int slow)
{
    size_t n = strlen(text);

    snprintf(text + n, cap - n,
             "%s{\"op\":\"op%d\",\"percentiles_us\":{\"50\":1},\"p50_per_round_us\":%s}",
             number ? "," : "", number, number == slow ? SLOW : FAST);
}

static void make_ops(char *text, size_t cap, int n_ops, int slow)
{
    snprintf(text, cap,
             "{\"schema\":\"agfs-bench/1\",\"targets\":[{\"name\":\"x\",\"steps\":[{\"ops\":[");
    for (int i = 0; i < n_ops; i++)
        append_op(text, cap, i, slow);
    strcat(text, "]}]}]}");
}

/* With five rounds the least p is 0.008: one of six figures may be that by chance, of seven it is.
 */
Test(bench_compare, of_many_figures_some_differ_by_chance)
{
    static char a[4096], b[4096];

    make_ops(a, sizeof a, 6, -1);
    make_ops(b, sizeof b, 6, 5);
    check_failures(a, b, 1, "verdict: B is worse in 1 of 6 figures");
    make_ops(a, sizeof a, 7, -1);
    make_ops(b, sizeof b, 7, 6);
    check_failures(a, b, 0, "(p = 0.008, as chance makes of many figures)");
}

#define MACHINE(model, cpus, busy)                                                                 \
    "{\"schema\":\"agfs-bench/1\",\"machine\":{\"model\":\"" model "\",\"cpus\":" cpus             \
    "},\"targets\":[{\"name\":\"x\",\"steps\":[{\"seconds\":10,\"cpu_machine_s\":" busy            \
    ",\"cpu_client_s\":1,\"cpu_server_s\":2,\"rates_per_round\":" FAST "}]}]}"

Test(bench_compare, other_circumstances_are_pointed_out)
{
    char *text;

    check_failures(MACHINE("this", "2", "3"), MACHINE("that", "4", "3"), 0,
                   "NOTE: the machines differ: 2 CPUs, this in A, 4 CPUs, that in B");
    check_failures(MACHINE("this", "2", "3"), MACHINE("this", "2", "13"), 0,
                   "NOTE: other programs had 0 % of the CPUs in A, 50 % in B");
    check_failures(MACHINE("this", "2", "99"), MACHINE("this", "2", "3"), 0,
                   "100 % of the CPUs in A, 0 %");
    cr_assert_eq(compare(MACHINE("this", "2", "null"), MACHINE("this", "2", "13"), &text), 0);
    cr_assert_null(strstr(text, "NOTE"), "%s", text);
    free(text);
    cr_assert_eq(compare(MACHINE("this", "2", "3"), MACHINE("this", "2", "4"), &text), 0);
    cr_assert_null(strstr(text, "NOTE"), "%s", text);
    free(text);
}
