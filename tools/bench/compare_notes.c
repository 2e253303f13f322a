/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "compare_notes.h"
#include "json_in.h"
#include <math.h>
#include <string.h>

#define OTHERS_MANY 0.2 /* of the CPUs, with other programs: worth a note */

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
static bool note_workload(FILE *out, json_object *a, json_object *b)
{
    static const char *const keys[] = {"text", "entries", "files", "arrival"};
    json_object *wa, *wb;
    bool same = true;

    if (!json_object_object_get_ex(a, "workload", &wa) ||
        !json_object_object_get_ex(b, "workload", &wb))
        return true;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        json_object *x = NULL, *y = NULL;
        json_object_object_get_ex(wa, keys[i], &x);
        json_object_object_get_ex(wb, keys[i], &y);
        if (json_object_equal(x, y))
            continue;
        same = false;
        fprintf(out, "NOTE: the workloads differ, %s: %s in A, %s in B\n", keys[i],
                json_object_to_json_string(x), json_object_to_json_string(y));
    }
    if (!same)
        fputs("NOTE: calls of different work: calls/s and all together are not compared\n", out);
    return same;
}

/* Other hardware is no merit of the program. */
static void note_hosts(FILE *out, json_object *a, json_object *b)
{
    json_object *ma, *mb;

    if (!json_object_object_get_ex(a, "machine", &ma) ||
        !json_object_object_get_ex(b, "machine", &mb))
        return;
    const char *of_a = json_text_of(ma, "model"), *of_b = json_text_of(mb, "model");
    double n_a = json_number_of(ma, "cpus"), n_b = json_number_of(mb, "cpus");
    if (strcmp(of_a, of_b) != 0 || n_a != n_b)
        fprintf(out, "NOTE: the machines differ: %.0f CPUs, %s in A, %.0f CPUs, %s in B\n", n_a,
                of_a, n_b, of_b);
}

/* The share of the machine's CPUs that neither the client nor its servers had; NAN: unknown. */
static double others_of(json_object *report)
{
    json_object *targets, *steps, *machine;
    size_t n = json_array_of(report, "targets", &targets);
    double all = 0, seconds = 0;

    for (size_t i = 0; i < n; i++) {
        json_object *target = json_object_array_get_idx(targets, i);
        size_t n_steps = json_array_of(target, "steps", &steps);
        for (size_t k = 0; k < n_steps; k++) {
            json_object *s = json_object_array_get_idx(steps, k);
            double server = json_number_of(s, "cpu_server_s"); /* unknown: it is elsewhere */
            all += json_number_of(s, "cpu_machine_s") - json_number_of(s, "cpu_client_s") -
                   (isfinite(server) ? server : 0);
            seconds += json_number_of(s, "seconds");
        }
    }
    if (!json_object_object_get_ex(report, "machine", &machine))
        return NAN;
    double share = all / (seconds * json_number_of(machine, "cpus"));
    return share > 1 ? 1 : share < 0 ? 0 : share; /* it is counted in ticks */
}

static void note_others(FILE *out, json_object *a, json_object *b)
{
    double of_a = others_of(a), of_b = others_of(b);

    if (isfinite(of_a) && isfinite(of_b) && fmax(of_a, of_b) > OTHERS_MANY)
        fprintf(
            out,
            "NOTE: other programs had %.0f %% of the CPUs in A, %.0f %% in B: on a machine that "
            "is idle smaller differences show\n",
            of_a * 100, of_b * 100);
}

/* Bare TLS in both runs: what the machine itself changed by is no merit of the program. */
static void note_machine(FILE *out, json_object *a, json_object *b, double *floor)
{
    json_object *la, *lb;

    if (!json_object_object_get_ex(a, "limits", &la) || la == NULL ||
        !json_object_object_get_ex(b, "limits", &lb) || lb == NULL)
        return;
    double from = json_number_of(la, "round_trip_us"), to = json_number_of(lb, "round_trip_us");
    double change = to / from - 1;
    fprintf(out, "bare TLS round trip: %.1f us -> %.1f us (%+.1f %%): ", from, to, change * 100);
    if (fabs(change) > *floor) {
        *floor = fabs(change);
        fputs("the machine itself changed; less than that counts as noise\n", out);
    } else {
        fputs("the machine is the same\n", out);
    }
}

bool compare_notes(FILE *out, json_object *a, json_object *b, double *floor)
{
    note_ended(out, "A", a);
    note_ended(out, "B", b);
    bool same_work = note_workload(out, a, b);
    note_hosts(out, a, b);
    note_others(out, a, b);
    note_machine(out, a, b, floor);
    return same_work;
}
