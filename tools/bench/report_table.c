/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* The report as a person reads it. */
#include "limit.h"
#include "report.h"
#include "units.h"
#include "util.h"
#include <math.h>
#include <proxyfs/proxyfs.h>
#include <string.h>

static const double percentiles[REPORT_N_PERCENTILES] = REPORT_PERCENTILES;

/* "19.2us": without the blank, so that columns stay narrow; "-" for what is not known. */
static const char *cell(double us, char buf[UNIT_TEXT_MAX])
{
    if (!isfinite(us))
        return "-";
    format_us(buf, us);
    char *blank = strchr(buf, ' ');
    memmove(blank, blank + 1, strlen(blank));
    return buf;
}

static const char *label(const struct report *r, const struct step *s, char buf[UNIT_TEXT_MAX * 2])
{
    char bytes[UNIT_TEXT_MAX];

    if (r->sweep == SWEEP_SIZE)
        snprintf(buf, UNIT_TEXT_MAX * 2, "%s", format_bytes(bytes, s->value));
    else if (r->sweep == SWEEP_ENTRIES)
        snprintf(buf, UNIT_TEXT_MAX * 2, "%.0f entries", s->value);
    else if (r->sweep == SWEEP_REMOTES)
        snprintf(buf, UNIT_TEXT_MAX * 2, "%.0f remote%s", s->value, s->value > 1 ? "s" : "");
    else if (s->planned_rate > 0)
        snprintf(buf, UNIT_TEXT_MAX * 2, "%.15g/s", s->planned_rate);
    else
        snprintf(buf, UNIT_TEXT_MAX * 2, "%u caller%s", s->callers, s->callers == 1 ? "" : "s");
    return buf;
}

static void write_op(FILE *f, const char *step, const char *name, const struct op_result *o,
                     double rate, bool *any_refused)
{
    char buf[UNIT_TEXT_MAX];

    fprintf(f, "%-14s %-10s %9llu %9.*f", step, name, (unsigned long long)o->calls,
            rate < 100 ? 1 : 0, rate);
    for (int i = 0; i < REPORT_N_PERCENTILES; i++) {
        double us = op_percentile_us(o, percentiles[i]);
        *any_refused |= o->calls && !isfinite(us);
        fprintf(f, " %7s", cell(us, buf));
    }
    fprintf(f, " %7s\n", cell(o->hist && o->hist->total ? (double)o->hist->max / 1e3 : NAN, buf));
}

static void write_errors(FILE *f, const struct step *s)
{
    if (s->n_errors == 0)
        return;
    fprintf(f, "%14s %llu of %llu calls FAILED:", "", (unsigned long long)s->n_errors,
            (unsigned long long)(s->n_errors + s->calls));
    for (int i = 0; i < PFS_N_CLASSES; i++) {
        if (s->errors[i])
            fprintf(f, " %s %llu", pfs_class_name((enum pfs_class)i),
                    (unsigned long long)s->errors[i]);
    }
    if (s->errors[PFS_TIMEOUT])
        fputs("; timeouts count in the times", f);
    fprintf(f, " (outcome NA %llu, UN %llu, AP %llu)\n%14s first: %s\n",
            (unsigned long long)s->outcomes[PFS_OUTCOME_NA],
            (unsigned long long)s->outcomes[PFS_OUTCOME_UN],
            (unsigned long long)s->outcomes[PFS_OUTCOME_AP], "", s->first_error.text);
}

static void write_cpu(FILE *f, const char *who, double s, const struct step *step)
{
    fprintf(f, "%s ", who);
    if (isfinite(s))
        fprintf(f, "%.2f s (%.1f us/call)", s, step->calls ? s / (double)step->calls * 1e6 : 0);
    else
        fputc('-', f);
}

static void write_details(FILE *f, const struct step *s, bool is_limit)
{
    char a[UNIT_TEXT_MAX], b[UNIT_TEXT_MAX], warning[300];

    write_errors(f, s);
    fprintf(f, "%14s content %s read, %s written", "", format_bytes(a, (double)s->bytes_read),
            format_bytes(b, (double)s->bytes_written));
    if (s->bytes_read + s->bytes_written && s->calls)
        fprintf(f, " (%.1f MB/s)",
                (double)(s->bytes_read + s->bytes_written) / (double)s->calls * s->reached_rate /
                    1e6);
    if (!is_limit)
        fprintf(f, "; wire %s in, %s out; %u connection%s (%llu new)",
                format_bytes(a, (double)s->wire_in), format_bytes(b, (double)s->wire_out),
                s->connections, s->connections == 1 ? "" : "s", (unsigned long long)s->connects);
    if (!is_limit && s->streams_peak)
        fprintf(f, ", %u stream%s at once seen", s->streams_peak, s->streams_peak == 1 ? "" : "s");
    fprintf(f, "\n%14s CPU ", "");
    write_cpu(f, "client", s->cpu_client_s, s);
    write_cpu(f, ", server", s->cpu_server_s, s);
    double others = step_cpu_others_s(s);
    if (isfinite(others))
        fprintf(f, ", %s %.2f s", isfinite(s->cpu_server_s) ? "all else" : "all else here", others);
    if (s->calls)
        fprintf(f, "; %.2f context switches/call", s->switches / (double)s->calls);
    if (s->calls && isfinite(s->instructions))
        fprintf(f, "; %.0f instructions/call", s->instructions / (double)s->calls);
    fputc('\n', f);
    if (s->late && s->late->total)
        fprintf(
            f,
            "%14s this machine itself began calls late by p50 %s, p99 %s: that is in the times\n",
            "", format_us(a, (double)hist_percentile(s->late, 50) / 1e3),
            format_us(b, (double)hist_percentile(s->late, 99) / 1e3));
    if (s->cut)
        fprintf(f, "%14s %llu call%s under way at Ctrl-C: in the times, with what they had taken\n",
                "", (unsigned long long)s->cut, s->cut == 1 ? " was" : "s were");
    step_warning(s, warning, sizeof warning);
    if (warning[0])
        fprintf(f, "%14s WARNING: %s\n", "", warning);
}

static void write_step(FILE *f, const struct report *r, const struct step *s, bool is_limit,
                       bool *any_refused)
{
    char text[UNIT_TEXT_MAX * 2];
    const char *first = label(r, s, text);
    unsigned used = 0;

    for (int op = 0; op < N_OPS; op++) {
        const struct op_result *o = &s->ops[op];
        if (o->hist == NULL && o->errors == 0)
            continue;
        double share = s->calls ? (double)o->calls / (double)s->calls : 0;
        write_op(f, first, bench_op_name((enum bench_op)op), o, s->reached_rate * share,
                 any_refused);
        first = "";
        used++;
    }
    if (used > 1)
        write_op(f, "", "all", &s->all, s->reached_rate, any_refused);
    write_details(f, s, is_limit);
}

static void write_queue(FILE *f, const struct queue_result *q)
{
    if (q->used)
        fprintf(
            f,
            "queue: %llu enqueued, %llu dequeued (%llu of them left at the end), %llu of unknown "
            "outcome, found empty %llu times: %s\n",
            q->enqueued, q->dequeued, q->left, q->unknown, q->empty,
            q->conserved ? "none lost, none doubled" : "NOT CONSERVED");
}

static void write_factor(FILE *f, const char *what, const struct ratio *r)
{
    fprintf(f, "%s x%.2f (%.2f to %.2f, %s)", what, r->median, r->least, r->greatest,
            ratio_verdict(r));
}

static void write_ratio(FILE *f, const struct report *r, const struct report_target *t, size_t k)
{
    const struct step *a = &r->targets[0].steps[k], *b = &t->steps[k];
    struct ratio p50 = ratio_of(&a->all.p50_us, &b->all.p50_us),
                 rate = ratio_of(&a->rates, &b->rates);
    char text[UNIT_TEXT_MAX * 2];

    /* A percentile that is refused is refused as a part of a ratio too. */
    bool any_p50 = isfinite(op_percentile_us(&a->all, 50)) &&
                   isfinite(op_percentile_us(&b->all, 50)) && isfinite(p50.median);
    bool any_rate = b->arrival == ARRIVAL_CLOSED /* else it is what was asked for */
                    && isfinite(rate.median);
    if (!any_p50 && !any_rate)
        return;
    fprintf(f, "%s / %s, %s:", t->name, r->targets[0].name, label(r, b, text));
    if (any_p50)
        write_factor(f, " p50", &p50);
    if (any_rate)
        write_factor(f, any_p50 ? ", calls/s" : " calls/s", &rate);
    fputc('\n', f);
}

/* What bare TLS did in the rounds of the same step; NULL: it was not measured. */
static const struct step *limit_step(const struct report *r, size_t k, enum bench_op op)
{
    for (size_t i = 0; i < r->n_targets; i++) {
        const struct report_target *t = &r->targets[i];
        if (t->is_limit && k < t->n_steps && t->steps[k].ops[op].hist && t->steps[k].rates.n)
            return &t->steps[k];
    }
    return NULL;
}

static void write_distance(FILE *f, const struct report *r, const struct report_target *t, size_t k)
{
    const struct step *s = &t->steps[k], *ping = limit_step(r, k, OP_PING);
    const struct step *pipe = limit_step(r, k, OP_PIPE);
    double p50 = op_percentile_us(&s->all, 50), bytes = (double)(s->bytes_read + s->bytes_written);
    char text[UNIT_TEXT_MAX * 2];

    if (ping == NULL || pipe == NULL || s->calls == 0)
        return;
    fprintf(f, "%s, %s:", t->name, label(r, s, text));
    if (isfinite(p50))
        fprintf(f, " p50 is %.2f round trips", p50 / op_percentile_us(&ping->all, 50));
    if (bytes > 0)
        fprintf(f, "%s content moves at %.2f of the pipe", isfinite(p50) ? "," : "",
                bytes / (double)s->calls * s->reached_rate / (pipe->reached_rate * LIMIT_PIECE));
    fputc('\n', f);
}

static void write_limits(FILE *f, const struct report *r)
{
    char buf[UNIT_TEXT_MAX];

    if (!r->limits.measured)
        return;
    fprintf(f, "limit: bare TLS takes %s for a round trip and carries %.0f MB/s\n",
            format_us(buf, r->limits.round_trip_us), r->limits.pipe_mb_per_s);
    for (size_t i = 0; i < r->n_targets; i++) {
        const struct report_target *t = &r->targets[i];
        for (size_t k = 0; k < t->n_steps && !t->is_limit; k++)
            write_distance(f, r, t, k);
    }
}

static void write_head(FILE *f, const struct report *r)
{
    char size[UNIT_TEXT_MAX];

    fprintf(f, "agfs-bench %s  %s  %u CPUs, %s, %s\n", PFS_VERSION, r->started, r->machine.cpus,
            r->machine.model[0] ? r->machine.model : "unknown model", r->machine.kernel);
    fprintf(f, "%s; %s; %s; ", r->workload.text,
            r->sweep == SWEEP_SIZE ? "several sizes" : format_bytes(size, (double)r->size),
            r->arrival == ARRIVAL_CLOSED     ? "closed loop"
            : r->arrival == ARRIVAL_CONSTANT ? "open loop, constant; times count from the plan"
                                             : "open loop, Poisson; times count from the plan");
    if (r->count)
        fprintf(f, "%llu calls in %u round%s\n", (unsigned long long)r->count, r->rounds,
                r->rounds == 1 ? "" : "s");
    else
        fprintf(f, "%.3g s in %u round%s\n", r->duration_s, r->rounds, r->rounds == 1 ? "" : "s");
    if (r->interrupted)
        fputs("INTERRUPTED: this is what was measured so far\n", f);
    if (r->ended_early)
        fputs("ENDED EARLY: a target failed altogether, what follows was not measured\n", f);
}

static void write_target(FILE *f, const struct report *r, const struct report_target *t,
                         bool *any_refused)
{
    fprintf(f, "\n%s: ", t->name);
    if (strcmp(t->name, t->url) != 0 && t->url[0])
        fprintf(f, "%s ", t->url);
    fprintf(f, "%s%s%s\n", t->path, t->path[0] ? ", " : "", t->protocol);
    fprintf(f, "%-14s %-10s %9s %9s %7s %7s %7s %7s %7s %7s %7s %7s\n", "", "", "calls", "calls/s",
            "p50", "p75", "p90", "p95", "p99", "p99.9", "p99.99", "max");
    for (size_t k = 0; k < t->n_steps; k++)
        write_step(f, r, &t->steps[k], t->is_limit, any_refused);
    write_queue(f, &t->queue);
}

static void write_knees(FILE *f, const struct report *r)
{
    char text[UNIT_TEXT_MAX * 2];
    bool several = r->n_targets > 1 && !r->targets[1].is_limit;

    for (size_t i = 0; i < r->n_targets && report_saturates(r); i++) {
        const struct report_target *t = &r->targets[i];
        if (t->is_limit)
            continue;
        fprintf(f, "knee%s%s: ", several ? " of " : "", several ? t->name : "");
        if (t->knee_reason)
            fprintf(f, "%s: %s\n", label(r, &t->steps[t->knee], text), t->knee_reason);
        else
            fputs("not within these values\n", f);
    }
}

void report_write_table(FILE *f, const struct report *r)
{
    bool any_refused = false;

    write_head(f, r);
    for (size_t i = 0; i < r->n_targets; i++) {
        /* Of a sweep only what the limit is for the steps is of interest. */
        if (!r->targets[i].is_limit || r->sweep == SWEEP_NONE)
            write_target(f, r, &r->targets[i], &any_refused);
    }
    fputc('\n', f);
    for (size_t i = 1; i < r->n_targets; i++) {
        for (size_t k = 0; k < r->targets[i].n_steps && !r->targets[i].is_limit &&
                           k < r->targets[0].n_steps && !r->targets[0].is_limit;
             k++)
            write_ratio(f, r, &r->targets[i], k);
    }
    write_limits(f, r);
    write_knees(f, r);
    if (any_refused)
        fputs("-: too few samples: p50 needs 20, p99 1000, p99.9 10,000, p99.99 100,000\n", f);
}
