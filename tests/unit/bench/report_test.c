/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "report.h"
#include <criterion/criterion.h>
#include <json-c/json.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One target, one step: n calls of stat in `rounds` rounds. */
static struct report make(unsigned n, unsigned rounds)
{
    struct report r = {.started = "2026-01-02T03:04:05Z", .rounds = rounds, .duration_s = 1};

    strcpy(r.workload.text, "stat");
    r.targets = calloc(1, sizeof *r.targets);
    r.n_targets = 1;
    r.targets[0] = (struct report_target){.name = strdup("a \"b\""),
                                          .url = strdup("http://x"),
                                          .path = strdup("/m"),
                                          .protocol = "HTTP/1.1, clear"};
    r.targets[0].steps = calloc(1, sizeof(struct step));
    r.targets[0].n_steps = 1;
    struct step *s = r.targets[0].steps;
    s->value = s->instructions = s->cpu_server_s = s->cpu_machine_s = NAN;
    s->callers = s->remotes = 1;
    s->seconds = 1;
    s->calls = n;
    s->ops[OP_STAT].calls = n;
    s->ops[OP_STAT].hist = hist_new(3);
    s->all.hist = hist_new(3);
    for (unsigned i = 0; i < n; i++)
        hist_record(s->ops[OP_STAT].hist, 1000 * (i + 1));
    hist_add(s->all.hist, s->ops[OP_STAT].hist);
    for (unsigned i = 0; i < rounds; i++) {
        per_round_add(&s->rates, 100 + i);
        per_round_add(&s->ops[OP_STAT].p50_us, 10 + i);
        per_round_add(&s->all.p50_us, 10 + i);
    }
    report_finish(&r);
    return r;
}

static char *written(void (*write)(FILE *, const struct report *), const struct report *r)
{
    static char *text; /* the stream keeps its address */
    static size_t n;
    FILE *f = open_memstream(&text, &n);

    write(f, r);
    fclose(f);
    return text;
}

static json_object *at(json_object *o, const char *key)
{
    json_object *v = NULL;

    cr_assert(json_object_object_get_ex(o, key, &v), "no %s", key);
    return v;
}

static json_object *first(json_object *o, const char *key)
{
    return json_object_array_get_idx(at(o, key), 0);
}

Test(bench_report, percentiles_of_few_samples_are_refused)
{
    struct report r = make(999, 5);
    const struct op_result *o = &r.targets[0].steps[0].ops[OP_STAT];

    cr_assert_float_eq(op_percentile_us(o, 50), 500, 1);
    cr_assert(isnan(op_percentile_us(o, 99)));
    char *table = written(report_write_table, &r);
    cr_assert(strstr(table, "       -       -       -   999us"), "%s", table);
    cr_assert(strstr(table, "-: too few samples: p50 needs 20, p99 1000"), "%s", table);
    free(table);
    report_fini(&r);
    r = make(1000, 5);
    cr_assert_float_eq(op_percentile_us(&r.targets[0].steps[0].ops[OP_STAT], 99), 990, 1);
    report_fini(&r);
}

Test(bench_report, json_says_null_for_what_is_not_known)
{
    struct report r = make(999, 5);
    char *text = written(report_write_json, &r);
    json_object *o = json_tokener_parse(text);

    cr_assert(o, "%s", text);
    cr_assert_str_eq(json_object_get_string(at(o, "schema")), "agfs-bench/1");
    cr_assert_null(at(o, "sweep"));
    cr_assert_null(at(o, "limits"));
    json_object *target = first(o, "targets"), *step = first(target, "steps"),
                *op = first(step, "ops");
    cr_assert_str_eq(json_object_get_string(at(target, "name")), "a \"b\"");
    cr_assert_null(at(step, "value"));
    cr_assert_null(at(step, "cpu_server_s"));
    cr_assert_null(at(step, "planned_rate_per_s"));
    cr_assert_eq(json_object_get_int(at(step, "reached_rate_per_s")), 102);
    cr_assert_eq(json_object_array_length(at(step, "rates_per_round")), 5);
    cr_assert_eq(json_object_array_length(at(step, "ops")), 1);
    cr_assert_null(at(at(op, "percentiles_us"), "99"));
    cr_assert_float_eq(json_object_get_double(at(at(op, "percentiles_us"), "50")), 500, 1);
    json_object *curve = at(op, "curve");
    size_t n = json_object_array_length(curve);
    json_object *last = json_object_array_get_idx(curve, n - 1);
    cr_assert_gt(n, 10);
    cr_assert_lt(json_object_get_double(json_object_array_get_idx(last, 0)), 99);
    json_object_put(o);
    free(text);
    report_fini(&r);
}

Test(bench_report, streams_that_were_not_seen_are_left_out)
{
    for (unsigned peak = 0; peak <= 2; peak++) {
        struct report r = make(20, 5);
        const char *const shown[] = {NULL, ", 1 stream at once seen\n",
                                     ", 2 streams at once seen\n"};

        r.targets[0].steps[0].streams_peak = peak;
        char *text = written(report_write_json, &r);
        json_object *o = json_tokener_parse(text),
                    *seen = at(first(first(o, "targets"), "steps"), "streams_peak");
        cr_assert_eq(seen == NULL, peak == 0);
        cr_assert_eq(json_object_get_int(seen), (int)peak);
        json_object_put(o);
        free(text);
        text = written(report_write_table, &r);
        cr_assert(peak ? strstr(text, shown[peak]) != NULL : !strstr(text, "stream"), "%s", text);
        free(text);
        text = written(report_write_csv, &r);
        char field[32];
        cr_assert(strstr(text, "connections,streams_peak,cpu_client_s,"));
        snprintf(field, sizeof field, peak ? ",0,%u,0,," : ",0,,0,,", peak);
        cr_assert(strstr(text, field), "%s: %s", field, text);
        free(text);
        report_fini(&r);
    }
}

/* Few carry p50 alone, for p10 ten must lie below it. */
Test(bench_report, the_curve_of_few_samples_has_what_they_carry)
{
    struct report r = make(50, 5);
    char *text = written(report_write_json, &r);
    json_object *o = json_tokener_parse(text),
                *curve = at(first(first(first(o, "targets"), "steps"), "ops"), "curve");
    static const double wanted[] = {0, 20, 30, 40, 50, 55, 60, 65, 70, 75, 77.5, 80};

    cr_assert_eq(json_object_array_length(curve), sizeof wanted / sizeof wanted[0], "%s",
                 json_object_to_json_string(curve));
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        json_object *point = json_object_array_get_idx(curve, i);
        cr_assert_float_eq(json_object_get_double(json_object_array_get_idx(point, 0)), wanted[i],
                           1e-9);
    }
    json_object_put(o);
    free(text);
    report_fini(&r);
}

Test(bench_report, large_counts_keep_their_digits)
{
    struct report r = make(50, 1);
    struct step *s = r.targets[0].steps;

    s->bytes_read = 123456789012345;
    s->value = 1099511627776;
    s->size = 1099511627776;
    char *csv = written(report_write_csv, &r);
    cr_assert(strstr(csv, ",123456789012345,"), "%s", csv);
    cr_assert(strstr(csv, ",1099511627776,1,1,1099511627776,"), "%s", csv);
    free(csv);
    char *json = written(report_write_json, &r);
    cr_assert(strstr(json, "\"value\":1099511627776,"), "%s", json);
    free(json);
    report_fini(&r);
}

Test(bench_report, json_is_valid_whatever_the_arguments_hold)
{
    struct report r = make(50, 1);
    static char quote[] = "\x01\"\\", bad[] = "\xff\xc3", good[] = "\xc3\xa9\xe2\x82\xac",
                tag[] = "</script>";
    static char surrogate[] = "\xed\xa0\x80", low[] = "\xed\x9f\xbf", longer[] = "\xe0\x9f\xbf",
                longest[] = "\xf0\x8f\xbf\xbf", beyond[] = "\xf4\x90\x80\x80",
                last[] = "\xf4\x8f\xbf\xbf";
    char *command[] = {quote, bad, good, tag, surrogate, low, longer, longest, beyond, last};

    r.command = command;
    r.n_command = 10;
    char *text = written(report_write_json, &r);
    json_object *o = json_tokener_parse(text), *list = at(o, "command");
    const char *const wanted[] = {quote, "??", good, tag, "???", low, "???", "????", "????", last};
    for (size_t i = 0; i < 10; i++)
        cr_assert_str_eq(json_object_get_string(json_object_array_get_idx(list, i)), wanted[i]);
    cr_assert_null(strstr(text, "</script>"));
    json_object_put(o);
    free(text);
    r.n_command = 0;
    r.command = NULL;
    report_fini(&r);
}

Test(bench_report, csv_has_as_many_fields_as_names)
{
    struct report r = make(50, 2);
    char *text = written(report_write_csv, &r), *row = strchr(text, '\n') + 1;
    size_t names = 1, fields = 1;

    for (char *p = text; p < row; p++)
        names += *p == ',';
    for (char *p = row; *p; p++)
        fields += *p == ',';
    cr_assert_eq(names, fields, "%s", text);
    cr_assert_eq(strncmp(row, "\"a \"\"b\"\"\",\"http://x\",,1,1,0,\"stat\",,", 36), 0, "%s", row);
    free(text);
    report_fini(&r);
}

Test(bench_report, a_rate_that_was_not_reached_is_said)
{
    struct report r = make(50, 1);
    struct step *s = r.targets[0].steps;
    char text[300];

    step_warning(s, text, sizeof text);
    cr_assert_str_eq(text, "");
    s->arrival = ARRIVAL_CONSTANT;
    s->planned_rate = 50;
    report_finish(&r);
    step_warning(s, text, sizeof text);
    cr_assert_str_eq(text, "");
    s->planned_rate = 60;
    s->unstarted = 10;
    step_warning(s, text, sizeof text);
    cr_assert(
        strstr(text, "only 50 of 60 planned calls/s were reached; 10 calls that were due never"),
        "%s", text);
    s->unstarted = 0;
    s->n_errors = 9;
    step_warning(s, text, sizeof text);
    cr_assert_str_eq(text, "only 50 of 60 planned calls/s were reached; 9 calls failed");
    report_fini(&r);
}

Test(bench_report, a_round_in_which_every_call_failed_is_no_disturbance)
{
    struct report r = make(100, 3);
    struct step *s = r.targets[0].steps;

    s->rates.v[0] = s->rates.v[1] = 0; /* the third round has 102/s */
    report_finish(&r);
    cr_assert_float_eq(s->reached_rate, 0, 1e-9);
    s->n_errors = 20;
    report_finish(&r);
    cr_assert_float_eq(s->reached_rate, 34, 1e-9);
    report_fini(&r);
}

Test(bench_report, chance_is_no_rate_that_was_not_reached)
{
    struct report r = make(88, 1);
    struct step *s = r.targets[0].steps;

    s->planned_rate = 100;
    s->arrival = ARRIVAL_CONSTANT;
    report_finish(&r);
    cr_assert(step_fell_short(s));
    s->arrival = ARRIVAL_POISSON; /* 100 in a second, give or take 10 */
    cr_assert_not(step_fell_short(s));
    s->calls = 60;
    report_finish(&r);
    cr_assert(step_fell_short(s));
    s->planned_rate = 0;
    cr_assert_not(step_fell_short(s));
    report_fini(&r);
}

Test(bench_report, ratios_of_rounds)
{
    struct per_round a = {(double[]){10, 11, 10, 12}, 4}, b = {(double[]){20, 22, 21, 24}, 4},
                     none = {NULL, 0};

    struct ratio x = ratio_of(&a, &b);
    cr_assert_float_eq(x.median, 2, 1e-9);
    cr_assert_float_eq(x.greatest, 2.1, 1e-9);
    cr_assert(x.more_than_noise);
    cr_assert_not(ratio_of(&a, &a).more_than_noise);
    cr_assert(ratio_of(&a, &a).enough);
    a.n = b.n = 3; /* however far apart: chance alone does that in one of ten runs */
    cr_assert_not(ratio_of(&a, &b).more_than_noise);
    cr_assert_not(ratio_of(&a, &b).enough);
    cr_assert(isnan(ratio_of(&a, &none).median));
}

/* A round in which nothing succeeded is left out on both sides: the others stay paired. */
Test(bench_report, ratios_pair_the_rounds)
{
    double v_a[] = {10, 20, 30, 40, 50}, v_b[] = {20, NAN, 60, 80, 100};
    struct per_round a = {v_a, 5}, b = {v_b, 5};
    struct ratio r = ratio_of(&a, &b);

    cr_assert_float_eq(r.median, 2, 1e-9);
    cr_assert_float_eq(r.least, 2, 1e-9);
    cr_assert_float_eq(r.greatest, 2, 1e-9);
    v_b[0] = v_b[2] = v_b[3] = v_b[4] = NAN;
    cr_assert(isnan(ratio_of(&a, &b).median));
}

static void make_step(struct step *s, double callers, double rate)
{
    *s = (struct step){.value = callers, .callers = (unsigned)callers, .calls = 100, .seconds = 1};
    per_round_add(&s->rates, rate);
}

/* A target whose throughput no longer grows after the first value, or that of the second. */
static void make_target(struct report_target *t, const char *name, bool late)
{
    *t = (struct report_target){.name = strdup(name),
                                .url = strdup(name),
                                .path = strdup("/m"),
                                .protocol = "HTTP/1.1, clear",
                                .steps = calloc(3, sizeof(struct step)),
                                .n_steps = 3};
    make_step(&t->steps[0], 1, 100);
    make_step(&t->steps[1], 2, late ? 200 : 101);
    make_step(&t->steps[2], 4, late ? 201 : 102);
}

Test(bench_report, each_target_has_its_knee)
{
    struct report r = {.sweep = SWEEP_CALLERS, .rounds = 1, .duration_s = 1, .n_targets = 2};

    strcpy(r.workload.text, "stat");
    r.targets = calloc(2, sizeof *r.targets);
    make_target(&r.targets[0], "early", false);
    make_target(&r.targets[1], "late", true);
    report_finish(&r);
    cr_assert(report_has_every_knee(&r));
    char *table = written(report_write_table, &r);
    cr_assert(strstr(table, "knee of early: 1 caller: from 1 to 2 callers"), "%s", table);
    cr_assert(strstr(table, "knee of late: 2 callers: from 2 to 4 callers"), "%s", table);
    free(table);
    char *text = written(report_write_json, &r);
    json_object *o = json_tokener_parse(text),
                *late = json_object_array_get_idx(at(o, "targets"), 1);
    cr_assert_eq(json_object_get_int(at(at(late, "knee"), "value")), 2);
    cr_assert_eq(json_object_get_int(at(at(at(o, "sweep"), "knee"), "value")), 1);
    json_object_put(o);
    free(text);
    r.targets[1].n_steps = 2; /* a ramp goes on until each has one */
    report_finish(&r);
    cr_assert_not(report_has_every_knee(&r));
    table = written(report_write_table, &r);
    cr_assert(strstr(table, "knee of late: not within these values"), "%s", table);
    free(table);
    r.targets[1].n_steps = 3;
    r.arrival = ARRIVAL_CONSTANT; /* throughput is as planned, whatever the callers */
    for (int i = 0; i < 2; i++) {
        free(r.targets[i].knee_reason);
        r.targets[i].knee_reason = NULL;
    }
    report_finish(&r);
    cr_assert_null(r.targets[0].knee_reason);
    table = written(report_write_table, &r);
    cr_assert_null(strstr(table, "knee"), "%s", table);
    free(table);
    report_fini(&r);
}
