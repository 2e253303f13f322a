/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "compare.h"
#include "compare_notes.h"
#include "json_in.h"
#include "stats.h"
#include "units.h"
#include "util.h"
#include <json-c/json.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Two runs of the same thing differ by this much on a quiet machine: memory lies elsewhere, threads
 * land on other CPUs. */
#define NOISE_FLOOR 0.03

struct comparison compare_rounds(const double *a, size_t n_a, const double *b, size_t n_b,
                                 int more_is_better, double floor)
{
    struct comparison c = {VERDICT_TOO_FEW, NAN, NAN, NAN, NAN, 1};

    if (n_a == 0 || n_b == 0)
        return c;
    c.a = stats_median(a, n_a);
    c.b = stats_median(b, n_b);
    c.change = c.b / c.a - 1;
    c.range = fmax(stats_range(a, n_a), stats_range(b, n_b));
    c.p = stats_rank_sum_p(a, n_a, b, n_b);
    if (stats_least_p(n_a, n_b) > STATS_SIGNIFICANT)
        return c;
    if (c.p > STATS_SIGNIFICANT || !(fabs(c.change) > floor) || fabs(c.b - c.a) <= c.range)
        c.verdict = VERDICT_SAME;
    else
        c.verdict = (c.change > 0) == (more_is_better != 0) ? VERDICT_BETTER : VERDICT_WORSE;
    return c;
}

/* ---- what belongs together ---- */

static bool is_remote(json_object *target)
{
    return strcmp(json_text_of(target, "kind"), "limit") != 0;
}

/* The target of that name; where each report has one remote only, that one. */
static json_object *find_target(json_object *report, json_object *like, bool only_one)
{
    json_object *targets;
    size_t n = json_array_of(report, "targets", &targets);

    for (size_t i = 0; i < n; i++) {
        json_object *t = json_object_array_get_idx(targets, i);
        if (is_remote(t) &&
            (only_one || strcmp(json_text_of(t, "name"), json_text_of(like, "name")) == 0))
            return t;
    }
    return NULL;
}

static size_t n_remotes(json_object *report)
{
    json_object *targets;
    size_t n = json_array_of(report, "targets", &targets), found = 0;

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
    size_t n = json_array_of(target, "steps", &steps);

    for (size_t i = 0; i < n; i++) {
        json_object *s = json_object_array_get_idx(steps, i);
        bool same = true;
        for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++)
            same &= same_number(json_number_of(s, keys[k]), json_number_of(like, keys[k]));
        if (same)
            return s;
    }
    return NULL;
}

static json_object *find_op(json_object *step, const char *name)
{
    json_object *ops;
    size_t n = json_array_of(step, "ops", &ops);

    for (size_t i = 0; i < n; i++) {
        json_object *o = json_object_array_get_idx(ops, i);
        if (strcmp(json_text_of(o, "op"), name) == 0)
            return o;
    }
    return NULL;
}

/* The report printed it: there were enough samples. */
static bool has_p50(json_object *op)
{
    json_object *percentiles;

    return json_object_object_get_ex(op, "percentiles_us", &percentiles) &&
           isfinite(json_number_of(percentiles, "50"));
}

/* ---- the comparison ---- */

/* A line of what is printed: a heading or a note, or a figure with its verdict. */
struct row {
    char *text;
    bool is_figure, is_failures;
    struct comparison c;
    size_t n_a, n_b; /* rounds */
};

struct table {
    FILE *out;
    double floor;
    bool same_work;   /* else rates and what is of all operations do not compare */
    struct row *rows; /* how many figures there are decides what counts as chance */
    size_t n;
};

static struct row *add_row(struct table *t, char *text)
{
    t->rows = xrealloc(t->rows, (t->n + 1) * sizeof *t->rows);
    t->rows[t->n] = (struct row){.text = text};
    return &t->rows[t->n++];
}

static void compare_row(struct table *t, json_object *a, json_object *b, const char *key,
                        const char *what, bool latency)
{
    size_t n_a, n_b;
    double *v_a = json_numbers_of(a, key, &n_a), *v_b = json_numbers_of(b, key, &n_b);
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
    struct row *r =
        add_row(t, xasprintf("  %-22s %10s -> %-10s %+6.1f %%  ", what, from, to, c.change * 100));
    r->is_figure = true;
    r->c = c;
    r->n_a = n_a;
    r->n_b = n_b;
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
    *ret_calls = failed + json_number_of(step, "calls");
    return failed;
}

/* Two shares of failed calls: the test of proportions. A first failure is always a difference. */
static void compare_errors(struct table *t, json_object *a, json_object *b)
{
    double n_a, n_b, failed_a = failed_of(a, &n_a), failed_b = failed_of(b, &n_b);
    double both = (failed_a + failed_b) / (n_a + n_b);
    struct comparison c = {VERDICT_SAME, failed_a / n_a, failed_b / n_b, NAN, NAN, 0};
    double z = (c.b - c.a) / sqrt(both * (1 - both) * (1 / n_a + 1 / n_b));

    if (failed_a + failed_b == 0 || !(n_a > 0 && n_b > 0))
        return;
    if ((failed_a == 0) == (failed_b == 0))
        c.p = isfinite(z) ? erfc(fabs(z) / sqrt(2)) : 1;
    if (c.p <= STATS_SIGNIFICANT)
        c.verdict = c.b > c.a ? VERDICT_WORSE : VERDICT_BETTER;
    struct row *r = add_row(t, xasprintf("  %-22s %.0f of %.0f -> %.0f of %.0f  ", "failed calls",
                                         failed_a, n_a, failed_b, n_b));
    r->is_figure = r->is_failures = true;
    r->c = c;
}

/* The figures of one operation, or of all together. */
static void compare_op(struct table *t, json_object *a, json_object *b)
{
    char what[64];

    snprintf(what, sizeof what, "%s p50", json_text_of(a, "op"));
    if (b && has_p50(a) && has_p50(b))
        compare_row(t, a, b, "p50_per_round_us", what, true);
    else if (has_p50(a) || (b && has_p50(b)))
        add_row(t, xasprintf("  %-22s only %c has enough calls of it that succeeded\n", what,
                             has_p50(a) ? 'A' : 'B'));
}

static void compare_step(struct table *t, const char *name, json_object *a, json_object *b)
{
    json_object *ops;
    size_t n = json_array_of(a, "ops", &ops);
    double planned = json_number_of(a, "planned_rate_per_s"), value = json_number_of(a, "value");
    double callers = json_number_of(a, "callers");
    char more[64] = "";

    if (isfinite(planned))
        snprintf(more, sizeof more, ", %.10g/s planned", planned);
    else if (isfinite(value))
        snprintf(more, sizeof more, ", value %.10g", value);
    add_row(t, xasprintf("%s, %.0f caller%s%s\n", name, callers, callers == 1 ? "" : "s", more));
    for (size_t i = 0; i < n; i++) {
        json_object *op = json_object_array_get_idx(ops, i);
        const char *op_name = json_text_of(op, "op");
        if (t->same_work || strcmp(op_name, "all") != 0)
            compare_op(t, op, find_op(b, op_name));
    }
    if (t->same_work && !isfinite(planned)) /* else the rate is what was asked for */
        compare_row(t, a, b, "rates_per_round", "calls/s", false);
    compare_errors(t, a, b);
}

/* Where each report has one target, it may be another one. */
static void note_target(struct table *t, json_object *mine, json_object *other)
{
    static const char *const keys[] = {"name", "protocol"};

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const char *x = json_text_of(mine, keys[i]), *y = json_text_of(other, keys[i]);
        if (strcmp(x, y) != 0)
            add_row(t,
                    xasprintf("NOTE: the targets differ, %s: %s in A, %s in B\n", keys[i], x, y));
    }
}

/* other NULL: B does not have it. */
static void compare_target(struct table *t, json_object *mine, json_object *other)
{
    json_object *steps;
    size_t n = json_array_of(mine, "steps", &steps),
           n_other = other ? json_array_of(other, "steps", &steps) : 0;
    size_t matched = 0;

    if (other == NULL) {
        add_row(t, xasprintf("NOTE: only A has the target %s\n", json_text_of(mine, "name")));
        return;
    }
    note_target(t, mine, other);
    json_array_of(mine, "steps", &steps);
    for (size_t i = 0; i < n; i++) {
        json_object *step = json_object_array_get_idx(steps, i), *match = find_step(other, step);
        if (match)
            compare_step(t, json_text_of(mine, "name"), step, match);
        matched += match != NULL;
    }
    if (matched < n || matched < n_other)
        add_row(t, xasprintf("NOTE: of %s %zu of %zu steps of A and %zu of B are compared: the "
                             "others have no like\n",
                             json_text_of(mine, "name"), matched, n, n_other));
}

/* Of many figures some differ by chance: the greatest p value that counts among these. */
static double greatest_p(const struct table *t)
{
    double *p = xcalloc(t->n, sizeof *p), found = 0;
    size_t n = 0;

    for (size_t i = 0; i < t->n; i++) {
        if (t->rows[i].is_figure && t->rows[i].c.verdict != VERDICT_TOO_FEW)
            p[n++] = t->rows[i].c.p;
    }
    if (n)
        found = stats_found_p(p, n);
    free(p);
    return found;
}

static void print_same(FILE *out, const struct row *r, double p_max)
{
    if (r->is_failures)
        fputs("no difference beyond chance\n", out);
    else if (r->c.p <= STATS_SIGNIFICANT && r->c.p > p_max)
        fprintf(out, "no difference beyond noise (p = %.3f, as chance makes of many figures)\n",
                r->c.p);
    else if (r->c.p <= STATS_SIGNIFICANT && fabs(r->c.b - r->c.a) <= r->c.range)
        fprintf(out,
                "no difference beyond noise (p = %.3f, but in one run rounds are %.0f %% apart)\n",
                r->c.p, r->c.range / r->c.a * 100);
    else
        fprintf(out, "no difference beyond noise (p = %.3f)\n", r->c.p);
}

static void print_row(FILE *out, const struct row *r, double p_max)
{
    fputs(r->text, out);
    if (!r->is_figure)
        return;
    if (r->c.verdict == VERDICT_SAME)
        print_same(out, r, p_max);
    else if (r->c.verdict == VERDICT_TOO_FEW)
        fprintf(out, "too few rounds to tell (%zu and %zu; 4 and 4 would do)\n", r->n_a, r->n_b);
    else if (r->is_failures)
        fprintf(out, "B is %s\n", r->c.verdict == VERDICT_BETTER ? "better" : "WORSE");
    else
        fprintf(out, "B is %s, more than noise (p = %.3f)\n",
                r->c.verdict == VERDICT_BETTER ? "better" : "WORSE", r->c.p);
}

static int sum_up(const struct table *t)
{
    double p_max = greatest_p(t);
    unsigned found[4] = {0}, figures = 0; /* by verdict */

    for (size_t i = 0; i < t->n; i++) {
        struct row *r = &t->rows[i];
        if (r->is_figure && r->c.verdict != VERDICT_TOO_FEW && r->c.p > p_max)
            r->c.verdict = VERDICT_SAME;
        figures += r->is_figure;
        found[r->c.verdict] += r->is_figure;
        print_row(t->out, r, p_max);
    }
    if (figures == 0)
        return complain(EXIT_USAGE, "the reports have no target, step and operation in common");
    unsigned better = found[VERDICT_BETTER], worse = found[VERDICT_WORSE];
    if (worse + better == 0)
        fputs(found[VERDICT_TOO_FEW] == figures ? "verdict: too few rounds to tell\n"
                                                : "verdict: no difference beyond noise\n",
              t->out);
    else if (worse == 0)
        fprintf(t->out, "verdict: B is better in %u of %u figures, worse in none\n", better,
                figures);
    else
        fprintf(t->out, "verdict: B is worse in %u of %u figures, better in %u\n", worse, figures,
                better);
    return worse ? EXIT_OTHER : 0;
}

int compare_files(const char *path_a, const char *path_b, FILE *out)
{
    struct table t = {.out = out, .floor = NOISE_FLOOR};
    json_object *a = json_read_report(path_a), *b = a ? json_read_report(path_b) : NULL, *targets;
    int code = EXIT_USAGE;

    if (a && b) {
        bool only_one = n_remotes(a) == 1 && n_remotes(b) == 1;
        size_t n = json_array_of(a, "targets", &targets);
        fprintf(out, "A: %s %s\nB: %s %s\n", path_a, json_text_of(a, "started"), path_b,
                json_text_of(b, "started"));
        t.same_work = compare_notes(out, a, b, &t.floor);
        for (size_t i = 0; i < n; i++) {
            json_object *mine = json_object_array_get_idx(targets, i);
            if (is_remote(mine))
                compare_target(&t, mine, find_target(b, mine, only_one));
        }
        n = only_one ? 0 : json_array_of(b, "targets", &targets);
        for (size_t i = 0; i < n; i++) {
            json_object *theirs = json_object_array_get_idx(targets, i);
            if (is_remote(theirs) && find_target(a, theirs, false) == NULL)
                add_row(&t, xasprintf("NOTE: only B has the target %s\n",
                                      json_text_of(theirs, "name")));
        }
        code = sum_up(&t);
        for (size_t i = 0; i < t.n; i++)
            free(t.rows[i].text);
        free(t.rows);
    }
    json_object_put(a);
    json_object_put(b);
    return code;
}
