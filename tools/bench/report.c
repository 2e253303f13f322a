/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "report.h"
#include "limit.h"
#include "stats.h"
#include "units.h"
#include "util.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define RATIO_FLOOR 0.02  /* of targets that took turns: less is of no interest */
#define RATE_REACHED 0.98 /* of the planned rate: below it the run did not do what it was told */

void per_round_add(struct per_round *r, double v)
{
    r->v = xrealloc(r->v, (r->n + 1) * sizeof *r->v);
    r->v[r->n++] = v;
}

/* ---- life ---- */

static void op_fini(struct op_result *o)
{
    hist_free(o->hist);
    free(o->p50_us.v);
}

void step_fini(struct step *s)
{
    for (int op = 0; op < N_OPS; op++)
        op_fini(&s->ops[op]);
    op_fini(&s->all);
    hist_free(s->late);
    free(s->rates.v);
    timeline_fini(&s->timeline);
}

void report_fini(struct report *r)
{
    for (size_t i = 0; i < r->n_targets; i++) {
        struct report_target *t = &r->targets[i];
        for (size_t k = 0; k < t->n_steps; k++)
            step_fini(&t->steps[k]);
        free(t->steps);
        free(t->name);
        free(t->url);
        free(t->path);
        free(t->knee_reason);
    }
    free(r->targets);
    for (size_t i = 0; i < r->n_command; i++)
        free(r->command[i]);
    free(r->command);
    *r = (struct report){.n_targets = 0};
}

void report_describe_machine(struct report *r)
{
    char line[256];
    struct utsname u;
    struct sysinfo info;
    struct timespec t;
    struct tm tm;
    FILE *f = fopen("/proc/cpuinfo", "re");

    clock_gettime(CLOCK_REALTIME, &t);
    gmtime_r(&t.tv_sec, &tm);
    strftime(r->started, sizeof r->started, "%Y-%m-%dT%H:%M:%SZ", &tm);
    r->started_s = (double)t.tv_sec + (double)t.tv_nsec / 1e9;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    r->machine.cpus = cpus > 0 ? (unsigned)cpus : 0;
    while (f && r->machine.model[0] == '\0' && fgets(line, sizeof line, f)) {
        char *colon = strncmp(line, "model name", 10) == 0 ? strchr(line, ':') : NULL;
        if (colon)
            snprintf(r->machine.model, sizeof r->machine.model, "%.*s",
                     (int)strcspn(colon + 2, "\n"), colon + 2);
    }
    if (f)
        fclose(f);
    if (uname(&u) == 0)
        snprintf(r->machine.kernel, sizeof r->machine.kernel, "%s %.60s", u.sysname, u.release);
    if (sysinfo(&info) == 0)
        r->machine.memory_bytes = (double)info.totalram * info.mem_unit;
}

/* ---- sums ---- */

double op_percentile_us(const struct op_result *o, double percent)
{
    return o->hist && hist_enough(o->hist->total, percent)
               ? (double)hist_percentile(o->hist, percent) / 1e3
               : NAN;
}

/*
 * Of a closed loop: the median, which a disturbance of one round does not change. An outage is
 * none: where calls failed, every round counts.
 */
static double typical_rate(const struct step *s)
{
    double sum = 0;

    for (size_t i = 0; i < s->rates.n; i++)
        sum += s->rates.v[i];
    return s->n_errors ? sum / (double)s->rates.n : stats_median(s->rates.v, s->rates.n);
}

static void finish_step(struct step *s)
{
    s->all.calls = s->calls;
    s->all.errors = s->n_errors;
    if (s->rates.n)
        s->reached_rate = s->arrival == ARRIVAL_CLOSED ? typical_rate(s)
                          : s->seconds > 0             ? (double)s->calls / s->seconds
                                                       : 0;
}

static void find_limits(struct report *r)
{
    struct per_round trips = {NULL, 0}, pipes = {NULL, 0};

    for (size_t i = 0; i < r->n_targets; i++) {
        for (size_t k = 0; k < r->targets[i].n_steps; k++) {
            const struct step *s = &r->targets[i].steps[k];
            const struct op_result *ping = &s->ops[OP_PING];
            for (size_t n = 0; n < ping->p50_us.n; n++) {
                if (isfinite(ping->p50_us.v[n]))
                    per_round_add(&trips, ping->p50_us.v[n]);
            }
            for (size_t n = 0; s->ops[OP_PIPE].hist && n < s->rates.n; n++)
                per_round_add(&pipes, s->rates.v[n] * LIMIT_PIECE / 1e6);
        }
    }
    r->limits.measured = trips.n && pipes.n;
    if (r->limits.measured) {
        r->limits.round_trip_us = stats_median(trips.v, trips.n);
        r->limits.pipe_mb_per_s = stats_median(pipes.v, pipes.n);
    }
    free(trips.v);
    free(pipes.v);
}

/* A Poisson plan has n calls on average, with a standard deviation of their square root. */
static double chance(const struct step *s)
{
    double n = s->planned_rate * s->seconds;

    return s->arrival == ARRIVAL_POISSON && n > 0 ? 3 / sqrt(n) : 0;
}

static void find_knee(enum sweep_kind kind, struct report_target *t)
{
    struct sweep_point points[SWEEP_VALUES_MAX];
    size_t n = 0;

    free(t->knee_reason);
    t->knee_reason = NULL;
    for (; n < t->n_steps && n < SWEEP_VALUES_MAX; n++) {
        const struct step *s = &t->steps[n];
        points[n] = (struct sweep_point){s->value, s->reached_rate, op_percentile_us(&s->all, 99),
                                         s->planned_rate, chance(s)};
    }
    int knee = sweep_knee(kind, points, n, &t->knee_reason);
    t->knee = knee < 0 ? 0 : (size_t)knee;
}

bool report_saturates(const struct report *r)
{
    return r->sweep == SWEEP_RATE || (r->arrival == ARRIVAL_CLOSED &&
                                      (r->sweep == SWEEP_CALLERS || r->sweep == SWEEP_REMOTES));
}

bool report_has_every_knee(const struct report *r)
{
    for (size_t i = 0; i < r->n_targets; i++) {
        if (!r->targets[i].is_limit && r->targets[i].knee_reason == NULL)
            return false;
    }
    return true;
}

void report_finish(struct report *r)
{
    for (size_t i = 0; i < r->n_targets; i++) {
        for (size_t k = 0; k < r->targets[i].n_steps; k++)
            finish_step(&r->targets[i].steps[k]);
        if (!r->targets[i].is_limit && report_saturates(r))
            find_knee(r->sweep, &r->targets[i]);
    }
    find_limits(r);
}

struct ratio ratio_of(const struct per_round *a, const struct per_round *b)
{
    size_t rounds = a->n < b->n ? a->n : b->n, n = 0;
    struct ratio r = {NAN, NAN, NAN, false, false};
    double *v = xcalloc(3 * rounds, sizeof *v), *of_a = v + rounds, *of_b = of_a + rounds;

    for (size_t i = 0; i < rounds; i++) {
        if (!isfinite(a->v[i]) || !isfinite(b->v[i]) || !(a->v[i] > 0))
            continue;
        of_a[n] = a->v[i];
        of_b[n] = b->v[i];
        v[n] = b->v[i] / a->v[i];
        r.least = n == 0 || v[n] < r.least ? v[n] : r.least;
        r.greatest = n == 0 || v[n] > r.greatest ? v[n] : r.greatest;
        n++;
    }
    if (n) {
        r.median = stats_median(v, n);
        r.enough = stats_least_p(n, n) <= STATS_SIGNIFICANT;
        r.more_than_noise = stats_rank_sum_p(of_a, n, of_b, n) <= STATS_SIGNIFICANT &&
                            fabs(r.median - 1) > RATIO_FLOOR;
    }
    free(v);
    return r;
}

const char *ratio_verdict(const struct ratio *r)
{
    return r->more_than_noise ? "more than noise"
           : r->enough        ? "no difference beyond noise"
                              : "too few rounds to tell";
}

double step_cpu_others_s(const struct step *s)
{
    double others = s->cpu_machine_s - s->cpu_client_s;

    others -= isfinite(s->cpu_server_s) ? s->cpu_server_s : 0;
    return others < 0 ? 0 : others; /* the kernel counts it in ticks */
}

bool step_fell_short(const struct step *s)
{
    return s->planned_rate > 0 && s->reached_rate < (RATE_REACHED - chance(s)) * s->planned_rate;
}

void step_warning(const struct step *s, char *buf, size_t cap)
{
    buf[0] = '\0';
    if (step_fell_short(s)) {
        char failed[40] = "", unstarted[120] = "";
        if (s->n_errors)
            snprintf(failed, sizeof failed, "; %llu calls failed", (unsigned long long)s->n_errors);
        if (s->unstarted)
            snprintf(unstarted, sizeof unstarted,
                     "; %llu calls that were due never started (they count in the times with what "
                     "they had waited)",
                     (unsigned long long)s->unstarted);
        snprintf(buf, cap, "only %.*f of %.15g planned calls/s were reached%s%s",
                 s->reached_rate < 10 ? 2 : 0, s->reached_rate, s->planned_rate, failed, unstarted);
    } else if (s->backed_off) {
        snprintf(buf, cap,
                 "after 10 failures in a row a caller waits, up to 100 ms, before it calls again "
                 "(%llu times): failures are fewer and calls/s less than without that",
                 (unsigned long long)s->backed_off);
    }
}
