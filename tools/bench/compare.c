/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "compare.h"
#include "stats.h"
#include "units.h"
#include "util.h"
#include <errno.h>
#include <json-c/json.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX (256 << 20)
/* Two runs of the same thing differ by this much on a quiet machine: memory lies elsewhere, threads
 * land on other CPUs. */
#define NOISE_FLOOR 0.03

struct comparison compare_rounds(const double *a, size_t n_a, const double *b, size_t n_b,
                                 int more_is_better, double floor)
{
    struct comparison c = {VERDICT_TOO_FEW, NAN, NAN, NAN, 1};

    if (n_a == 0 || n_b == 0)
        return c;
    c.a = stats_median(a, n_a);
    c.b = stats_median(b, n_b);
    c.change = c.b / c.a - 1;
    c.p = stats_rank_sum_p(a, n_a, b, n_b);
    if (stats_least_p(n_a, n_b) > STATS_SIGNIFICANT)
        return c;
    if (c.p > STATS_SIGNIFICANT || !(fabs(c.change) > floor))
        c.verdict = VERDICT_SAME;
    else
        c.verdict = (c.change > 0) == (more_is_better != 0) ? VERDICT_BETTER : VERDICT_WORSE;
    return c;
}

/* ---- reading ---- */

static const char *text_of(json_object *o, const char *key)
{
    json_object *v;

    return json_object_object_get_ex(o, key, &v) && json_object_is_type(v, json_type_string)
               ? json_object_get_string(v)
               : "";
}

static double number_of(json_object *o, const char *key)
{
    json_object *v;

    return json_object_object_get_ex(o, key, &v) && v ? json_object_get_double(v) : NAN;
}

/* The elements of an array, n 0 when there is none. */
static size_t array_of(json_object *o, const char *key, json_object **ret)
{
    return json_object_object_get_ex(o, key, ret) && json_object_is_type(*ret, json_type_array)
               ? json_object_array_length(*ret)
               : 0;
}

/* null: a round that has none. */
static double *numbers_of(json_object *o, const char *key, size_t *ret_n)
{
    json_object *list;
    size_t n = array_of(o, key, &list);
    double *v = xcalloc(n, sizeof *v);

    *ret_n = 0;
    for (size_t i = 0; i < n; i++) {
        json_object *one = json_object_array_get_idx(list, i);
        if (one)
            v[(*ret_n)++] = json_object_get_double(one);
    }
    return v;
}

static char *read_whole(const char *path)
{
    FILE *f = fopen(path, "re");
    char *text = NULL;
    size_t n = 0, cap = 0, got = 1;

    for (; f && got > 0 && n < FILE_MAX; n += got) {
        cap = n + 65536 < 2 * cap ? cap : 2 * cap + 65536;
        text = xrealloc(text, cap + 1);
        got = fread(text + n, 1, cap - n, f);
    }
    if (f == NULL || ferror(f) || n >= FILE_MAX) {
        complain(EXIT_USAGE, "cannot read %s: %s", path,
                 n >= FILE_MAX ? "too large" : strerror(errno));
        free(text);
        text = NULL;
    } else {
        text[n] = '\0';
    }
    if (f)
        fclose(f);
    return text;
}

static json_object *read_report(const char *path)
{
    enum json_tokener_error why = json_tokener_success;
    char *text = read_whole(path);
    json_object *o = text ? json_tokener_parse_verbose(text, &why) : NULL;

    if (text && o == NULL)
        complain(EXIT_USAGE, "%s is no report: %s", path,
                 why == json_tokener_success ? "it holds null" : json_tokener_error_desc(why));
    if (o && strcmp(text_of(o, "schema"), "agfs-bench/1") != 0) {
        complain(EXIT_USAGE, "%s is no report: its schema is not agfs-bench/1", path);
        json_object_put(o);
        o = NULL;
    }
    free(text);
    return o;
}

/* ---- what belongs together ---- */

static bool is_remote(json_object *target)
{
    return strcmp(text_of(target, "kind"), "limit") != 0;
}

/* The target of that name; where each report has one remote only, that one. */
static json_object *find_target(json_object *report, json_object *like, bool only_one)
{
    json_object *targets;
    size_t n = array_of(report, "targets", &targets);

    for (size_t i = 0; i < n; i++) {
        json_object *t = json_object_array_get_idx(targets, i);
        if (is_remote(t) && (only_one || strcmp(text_of(t, "name"), text_of(like, "name")) == 0))
            return t;
    }
    return NULL;
}

static size_t n_remotes(json_object *report)
{
    json_object *targets;
    size_t n = array_of(report, "targets", &targets), found = 0;

    for (size_t i = 0; i < n; i++)
        found += is_remote(json_object_array_get_idx(targets, i));
    return found;
}

static bool same_number(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

static json_object *find_step(json_object *target, json_object *like)
{
    static const char *const keys[] = {"value", "callers", "remotes", "planned_rate_per_s",
                                       "size_bytes"};
    json_object *steps;
    size_t n = array_of(target, "steps", &steps);

    for (size_t i = 0; i < n; i++) {
        json_object *s = json_object_array_get_idx(steps, i);
        bool same = true;
        for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++)
            same &= same_number(number_of(s, keys[k]), number_of(like, keys[k]));
        if (same)
            return s;
    }
    return NULL;
}

static json_object *find_op(json_object *step, const char *name)
{
    json_object *ops;
    size_t n = array_of(step, "ops", &ops);

    for (size_t i = 0; i < n; i++) {
        json_object *o = json_object_array_get_idx(ops, i);
        if (strcmp(text_of(o, "op"), name) == 0)
            return o;
    }
    return NULL;
}

/* The report printed it: there were enough samples. */
static bool has_p50(json_object *op)
{
    json_object *percentiles;

    return json_object_object_get_ex(op, "percentiles_us", &percentiles) &&
           isfinite(number_of(percentiles, "50"));
}

/* ---- the comparison ---- */

struct totals {
    FILE *out;
    double floor;
    unsigned figures, better, worse, too_few;
};

static void compare_row(struct totals *t, json_object *a, json_object *b, const char *key,
                        const char *what, bool latency)
{
    size_t n_a, n_b;
    double *v_a = numbers_of(a, key, &n_a), *v_b = numbers_of(b, key, &n_b);
    struct comparison c = compare_rounds(v_a, n_a, v_b, n_b, !latency, t->floor);
    char from[UNIT_TEXT_MAX], to[UNIT_TEXT_MAX];

    free(v_a);
    free(v_b);
    if (n_a == 0 || n_b == 0)
        return;
    if (latency) {
        format_us(from, c.a);
        format_us(to, c.b);
    } else {
        snprintf(from, sizeof from, "%.0f", c.a);
        snprintf(to, sizeof to, "%.0f", c.b);
    }
    t->figures++;
    t->better += c.verdict == VERDICT_BETTER;
    t->worse += c.verdict == VERDICT_WORSE;
    t->too_few += c.verdict == VERDICT_TOO_FEW;
    fprintf(t->out, "  %-22s %10s -> %-10s %+6.1f %%  ", what, from, to, c.change * 100);
    switch (c.verdict) {
    case VERDICT_SAME:
        fprintf(t->out, "no difference beyond noise (p = %.3f)\n", c.p);
        break;
    case VERDICT_BETTER:
    case VERDICT_WORSE:
        fprintf(t->out, "%s, more than noise (p = %.3f)\n",
                c.verdict == VERDICT_BETTER ? "B is better" : "B is WORSE", c.p);
        break;
    case VERDICT_TOO_FEW:
        fprintf(t->out, "too few rounds to tell (%zu and %zu; 4 and 4 would do)\n", n_a, n_b);
        break;
    }
}

/* The failed calls of a step, and of how many. */
static double failed_of(json_object *step, double *ret_calls)
{
    json_object *errors;
    double failed = 0;

    if (json_object_object_get_ex(step, "errors", &errors) &&
        json_object_is_type(errors, json_type_object)) {
        json_object_object_foreach(errors, key, count)
        {
            (void)key;
            failed += json_object_get_double(count);
        }
    }
    *ret_calls = failed + number_of(step, "calls");
    return failed;
}

/* Two shares of failed calls: the test of proportions. A first failure is always a difference. */
static void compare_errors(struct totals *t, json_object *a, json_object *b)
{
    double n_a, n_b, failed_a = failed_of(a, &n_a), failed_b = failed_of(b, &n_b);
    double share_a = failed_a / n_a, share_b = failed_b / n_b;
    double both = (failed_a + failed_b) / (n_a + n_b);
    double z = (share_b - share_a) / sqrt(both * (1 - both) * (1 / n_a + 1 / n_b));
    bool is_first = (failed_a == 0) != (failed_b == 0);

    if (failed_a + failed_b == 0 || !(n_a > 0 && n_b > 0))
        return;
    bool differs = is_first || erfc(fabs(z) / sqrt(2)) <= STATS_SIGNIFICANT;
    bool worse = differs && share_b > share_a;
    t->figures++;
    t->worse += worse;
    t->better += differs && !worse;
    fprintf(t->out, "  %-22s %.0f of %.0f -> %.0f of %.0f  %s\n", "failed calls", failed_a, n_a,
            failed_b, n_b,
            !differs ? "no difference beyond chance"
            : worse  ? "B is WORSE"
                     : "B is better");
}

static void compare_step(struct totals *t, const char *name, json_object *a, json_object *b)
{
    json_object *ops;
    size_t n = array_of(a, "ops", &ops);
    double planned = number_of(a, "planned_rate_per_s"), value = number_of(a, "value");
    double callers = number_of(a, "callers");

    fprintf(t->out, "%s, %.0f caller%s", name, callers, callers == 1 ? "" : "s");
    if (isfinite(planned))
        fprintf(t->out, ", %.10g/s planned", planned);
    else if (isfinite(value))
        fprintf(t->out, ", value %.10g", value);
    fputc('\n', t->out);
    for (size_t i = 0; i < n; i++) {
        json_object *op = json_object_array_get_idx(ops, i), *other = find_op(b, text_of(op, "op"));
        char what[64];
        snprintf(what, sizeof what, "%s p50", text_of(op, "op"));
        if (other && has_p50(op) && has_p50(other))
            compare_row(t, op, other, "p50_per_round_us", what, true);
        else if (has_p50(op) || (other && has_p50(other)))
            fprintf(t->out, "  %-22s only %c has enough calls of it that succeeded\n", what,
                    has_p50(op) ? 'A' : 'B');
    }
    if (!isfinite(planned)) /* else the rate is what was asked for */
        compare_row(t, a, b, "rates_per_round", "calls/s", false);
    compare_errors(t, a, b);
}

/* Bare TLS in both runs: what the machine itself changed by is no merit of the program. */
static void note_machine(struct totals *t, json_object *a, json_object *b)
{
    json_object *la, *lb;

    if (!json_object_object_get_ex(a, "limits", &la) || la == NULL ||
        !json_object_object_get_ex(b, "limits", &lb) || lb == NULL)
        return;
    double from = number_of(la, "round_trip_us"), to = number_of(lb, "round_trip_us");
    double change = to / from - 1;
    fprintf(t->out, "bare TLS round trip: %.1f us -> %.1f us (%+.1f %%): ", from, to, change * 100);
    if (fabs(change) > t->floor) {
        t->floor = fabs(change);
        fputs("the machine itself changed; less than that counts as noise\n", t->out);
    } else {
        fputs("the machine is the same\n", t->out);
    }
}

static void note_ended(FILE *out, const char *which, json_object *report)
{
    static const char *const keys[] = {"interrupted", "ended_early"}, *const how[] = {
                                                                          "was interrupted",
                                                                          "ended early"};
    json_object *v;

    for (int i = 0; i < 2; i++) {
        if (json_object_object_get_ex(report, keys[i], &v) && json_object_get_boolean(v))
            fprintf(out, "NOTE: %s %s\n", which, how[i]);
    }
}

/* Steps are matched, but stat among reads is not stat alone. */
static void note_workload(FILE *out, json_object *a, json_object *b)
{
    static const char *const keys[] = {"text", "entries", "files", "arrival"};
    json_object *wa, *wb;

    if (!json_object_object_get_ex(a, "workload", &wa) ||
        !json_object_object_get_ex(b, "workload", &wb))
        return;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        json_object *x = NULL, *y = NULL;
        json_object_object_get_ex(wa, keys[i], &x);
        json_object_object_get_ex(wb, keys[i], &y);
        if (!json_object_equal(x, y))
            fprintf(out, "NOTE: the workloads differ, %s: %s in A, %s in B\n", keys[i],
                    json_object_to_json_string(x), json_object_to_json_string(y));
    }
}

/* other NULL: B does not have it. */
static void compare_target(struct totals *t, json_object *mine, json_object *other)
{
    json_object *steps;
    size_t n = array_of(mine, "steps", &steps),
           n_other = other ? array_of(other, "steps", &steps) : 0;
    size_t matched = 0;

    if (other == NULL) {
        fprintf(t->out, "NOTE: only A has the target %s\n", text_of(mine, "name"));
        return;
    }
    array_of(mine, "steps", &steps);
    for (size_t i = 0; i < n; i++) {
        json_object *step = json_object_array_get_idx(steps, i), *match = find_step(other, step);
        if (match)
            compare_step(t, text_of(mine, "name"), step, match);
        matched += match != NULL;
    }
    if (matched < n || matched < n_other)
        fprintf(t->out,
                "NOTE: of %s %zu of %zu steps of A and %zu of B are compared: the others have no "
                "like\n",
                text_of(mine, "name"), matched, n, n_other);
}

static int sum_up(const struct totals *t)
{
    if (t->figures == 0)
        return complain(EXIT_USAGE, "the reports have no target, step and operation in common");
    if (t->worse + t->better == 0)
        fputs(t->too_few == t->figures ? "verdict: too few rounds to tell\n"
                                       : "verdict: no difference beyond noise\n",
              t->out);
    else if (t->worse == 0)
        fprintf(t->out, "verdict: B is better in %u of %u figures, worse in none\n", t->better,
                t->figures);
    else
        fprintf(t->out, "verdict: B is worse in %u of %u figures, better in %u\n", t->worse,
                t->figures, t->better);
    return t->worse ? EXIT_OTHER : 0;
}

int compare_files(const char *path_a, const char *path_b, FILE *out)
{
    struct totals t = {.out = out, .floor = NOISE_FLOOR};
    json_object *a = read_report(path_a), *b = a ? read_report(path_b) : NULL, *targets;
    int code = EXIT_USAGE;

    if (a && b) {
        bool only_one = n_remotes(a) == 1 && n_remotes(b) == 1;
        size_t n = array_of(a, "targets", &targets);
        fprintf(out, "A: %s %s\nB: %s %s\n", path_a, text_of(a, "started"), path_b,
                text_of(b, "started"));
        note_ended(out, "A", a);
        note_ended(out, "B", b);
        note_workload(out, a, b);
        note_machine(&t, a, b);
        for (size_t i = 0; i < n; i++) {
            json_object *mine = json_object_array_get_idx(targets, i);
            if (is_remote(mine))
                compare_target(&t, mine, find_target(b, mine, only_one));
        }
        n = only_one ? 0 : array_of(b, "targets", &targets);
        for (size_t i = 0; i < n; i++) {
            json_object *theirs = json_object_array_get_idx(targets, i);
            if (is_remote(theirs) && find_target(a, theirs, false) == NULL)
                fprintf(out, "NOTE: only B has the target %s\n", text_of(theirs, "name"));
        }
        code = sum_up(&t);
    }
    json_object_put(a);
    json_object_put(b);
    return code;
}
