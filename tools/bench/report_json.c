/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* The report as JSON, schema agfs-bench/1: what --compare and the HTML page read. */
#include "json_out.h"
#include "limit.h"
#include "report.h"
#include <math.h>
#include <proxyfs/proxyfs.h>
#include <stdlib.h>
#include <string.h>

#define CURVE_TICKS 5 /* points each time the distance to 100 % halves, as HdrHistogram has it */

static const double percentiles[REPORT_N_PERCENTILES] = REPORT_PERCENTILES;

static void write_row(struct json_out *j, const char *key, const struct per_round *r)
{
    json_begin(j, key, '[');
    for (size_t i = 0; i < r->n; i++)
        json_number(j, NULL, r->v[i]);
    json_end(j, ']');
}

static double next_tick(double p)
{
    double halvings = floor(log2(100 / (100 - p)) + 1e-9);

    return p + 100 / (pow(2, halvings + 1) * CURVE_TICKS);
}

static void write_point(struct json_out *j, double p, double us)
{
    json_begin(j, NULL, '[');
    json_number(j, NULL, p);
    json_number(j, NULL, us);
    json_end(j, ']');
}

/* [percentile, us] where the samples carry it: p50 needs the fewest, those on either side more. */
static void write_curve(struct json_out *j, const struct op_result *o)
{
    bool enough = o->hist && isfinite(op_percentile_us(o, 50));

    json_begin(j, "curve", '[');
    if (enough)
        write_point(j, 0, (double)o->hist->min / 1e3);
    for (double p = next_tick(0); enough && p < 99.9999; p = next_tick(p)) {
        double us = op_percentile_us(o, p);
        if (isfinite(us))
            write_point(j, p, us);
    }
    json_end(j, ']');
}

static void write_op(struct json_out *j, const char *name, const struct op_result *o)
{
    const struct hist *h = o->hist && o->hist->total ? o->hist : NULL;
    char text[16];

    json_begin(j, NULL, '{');
    json_text(j, "op", name);
    json_count(j, "calls", o->calls);
    json_count(j, "errors", o->errors);
    json_number(j, "min_us", h ? (double)h->min / 1e3 : NAN);
    json_number(j, "mean_us", h ? hist_mean(h) / 1e3 : NAN);
    json_number(j, "sd_us", h ? hist_sd(h) / 1e3 : NAN);
    json_number(j, "max_us", h ? (double)h->max / 1e3 : NAN);
    json_begin(j, "percentiles_us", '{');
    for (int i = 0; i < REPORT_N_PERCENTILES; i++) {
        snprintf(text, sizeof text, "%g", percentiles[i]);
        json_number(j, text, op_percentile_us(o, percentiles[i]));
    }
    json_end(j, '}');
    write_row(j, "p50_per_round_us", &o->p50_us);
    write_curve(j, o);
    char *hdr = h ? hist_encode(h) : NULL;
    json_text(j, "hdr", hdr);
    free(hdr);
    json_end(j, '}');
}

static void write_ops(struct json_out *j, const struct step *s)
{
    int used = 0;

    json_begin(j, "ops", '[');
    for (int op = 0; op < N_OPS; op++) {
        if (s->ops[op].hist || s->ops[op].errors) {
            write_op(j, bench_op_name((enum bench_op)op), &s->ops[op]);
            used++;
        }
    }
    if (used > 1)
        write_op(j, "all", &s->all);
    json_end(j, ']');
}

static void write_timeline(struct json_out *j, const struct step *s)
{
    json_begin(j, "timeline", '[');
    for (unsigned i = 0; i < s->timeline.n; i++) {
        const struct timeline_point *p = &s->timeline.points[i];
        const struct hist *h = p->hist && p->hist->total ? p->hist : NULL;
        json_begin(j, NULL, '{');
        json_number(j, "t_s", i * timeline_interval_s(&s->timeline));
        json_count(j, "calls", p->calls);
        json_count(j, "errors", p->errors);
        json_number(j, "p50_us",
                    h && hist_enough(h->total, 50) ? (double)hist_percentile(h, 50) / 1e3 : NAN);
        json_number(j, "p99_us",
                    h && hist_enough(h->total, 99) ? (double)hist_percentile(h, 99) / 1e3 : NAN);
        json_number(j, "max_us", h ? (double)h->max / 1e3 : NAN);
        json_end(j, '}');
    }
    json_end(j, ']');
}

static void write_outcome(struct json_out *j, const struct step *s)
{
    char warning[300];

    json_begin(j, "errors", '{');
    for (int i = 0; i < PFS_N_CLASSES; i++) {
        if (s->errors[i])
            json_count(j, pfs_class_name((enum pfs_class)i), s->errors[i]);
    }
    json_end(j, '}');
    json_begin(j, "outcomes", '{');
    for (int i = 0; i < 3; i++)
        json_count(j, pfs_outcome_name((enum pfs_outcome)i), s->outcomes[i]);
    json_end(j, '}');
    json_text(j, "first_error", s->n_errors ? s->first_error.text : NULL);
    step_warning(s, warning, sizeof warning);
    json_text(j, "warning", warning[0] ? warning : NULL);
}

static void write_late(struct json_out *j, const struct step *s)
{
    if (s->late == NULL || s->late->total == 0)
        return;
    json_begin(j, "generator_late_us", '{');
    json_number(j, "50", (double)hist_percentile(s->late, 50) / 1e3);
    json_number(j, "99", (double)hist_percentile(s->late, 99) / 1e3);
    json_number(j, "max", (double)s->late->max / 1e3);
    json_end(j, '}');
}

/* Whether a step differs from that of the first target; NULL: it is the first's. */
static void write_against(struct json_out *j, const struct step *s, const struct step *first)
{
    if (first == NULL) {
        json_text(j, "against_first", NULL);
        return;
    }
    struct ratio p50 = ratio_of(&first->all.p50_us, &s->all.p50_us),
                 rate = ratio_of(&first->rates, &s->rates);
    json_begin(j, "against_first", '{');
    json_text(j, "p50", ratio_verdict(&p50));
    json_text(j, "rate", ratio_verdict(&rate));
    json_end(j, '}');
}

static void write_step(struct json_out *j, const struct step *s, const struct step *first)
{
    json_begin(j, NULL, '{');
    json_number(j, "value", s->value);
    json_count(j, "callers", s->callers);
    json_count(j, "remotes", s->remotes);
    json_count(j, "size_bytes", (uint64_t)s->size);
    json_text(j, "latency_from", s->planned_rate > 0 ? "planned" : "start");
    json_number(j, "planned_rate_per_s", s->planned_rate > 0 ? s->planned_rate : NAN);
    json_number(j, "reached_rate_per_s", s->reached_rate);
    json_count(j, "unstarted", s->unstarted);
    json_count(j, "cut_by_interrupt", s->cut);
    write_late(j, s);
    json_number(j, "seconds", s->seconds);
    json_count(j, "calls", s->calls);
    write_outcome(j, s);
    json_count(j, "bytes_read", s->bytes_read);
    json_count(j, "bytes_written", s->bytes_written);
    json_count(j, "wire_in_bytes", s->wire_in);
    json_count(j, "wire_out_bytes", s->wire_out);
    json_count(j, "connections", s->connections);
    json_number(j, "streams_peak", s->streams_peak ? s->streams_peak : NAN);
    json_count(j, "connects", s->connects);
    json_number(j, "cpu_client_s", s->cpu_client_s);
    json_number(j, "cpu_server_s", s->cpu_server_s);
    json_number(j, "cpu_machine_s", s->cpu_machine_s);
    double calls = s->calls ? (double)s->calls : NAN;
    json_number(j, "context_switches_per_call", s->switches / calls);
    json_number(j, "instructions_per_call", s->instructions / calls);
    write_row(j, "rates_per_round", &s->rates);
    write_against(j, s, first);
    write_ops(j, s);
    write_timeline(j, s);
    json_end(j, '}');
}

static void write_knee(struct json_out *j, const struct report_target *t)
{
    if (t->knee_reason == NULL) {
        json_text(j, "knee", NULL);
        return;
    }
    json_begin(j, "knee", '{');
    json_number(j, "value", t->steps[t->knee].value);
    json_text(j, "reason", t->knee_reason);
    json_end(j, '}');
}

static void write_target(struct json_out *j, const struct report *r, const struct report_target *t)
{
    const struct report_target *first = &r->targets[0];

    json_begin(j, NULL, '{');
    json_text(j, "name", t->name);
    json_text(j, "kind", t->is_limit ? "limit" : "remote");
    json_text(j, "url", t->url);
    json_text(j, "path", t->path);
    json_text(j, "protocol", t->protocol);
    write_knee(j, t);
    if (t->queue.used) {
        json_begin(j, "queue", '{');
        json_count(j, "enqueued", t->queue.enqueued);
        json_count(j, "dequeued", t->queue.dequeued);
        json_count(j, "left", t->queue.left);
        json_count(j, "unknown", t->queue.unknown);
        json_count(j, "found_empty", t->queue.empty);
        json_bool(j, "conserved", t->queue.conserved);
        json_end(j, '}');
    }
    json_begin(j, "steps", '[');
    for (size_t i = 0; i < t->n_steps; i++)
        write_step(j, &t->steps[i],
                   t == first || t->is_limit || i >= first->n_steps ? NULL : &first->steps[i]);
    json_end(j, ']');
    json_end(j, '}');
}

/* The version after that name in "libproxyfs 0.1.0 (OpenSSL 3.0.17, ...)"; "": it is not there. */
static void find_version(const char *library, char *dst, size_t cap)
{
    const char *at = strstr(pfs_version(), library);

    at = at ? at + strlen(library) : "";
    at += *at == ' ';
    snprintf(dst, cap, "%.*s", (int)strcspn(at, " ,)"), at);
}

static void write_versions(struct json_out *j)
{
    static const char *const libraries[] = {"libproxyfs", "OpenSSL", "nghttp2", "json-c"};
    static const char *const keys[] = {"libproxyfs", "openssl", "nghttp2", "json_c"};
    char version[32];

    json_begin(j, "versions", '{');
    json_text(j, "agfs_bench", PFS_VERSION);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        find_version(libraries[i], version, sizeof version);
        json_text(j, keys[i], version);
    }
    json_end(j, '}');
}

static void write_workload(struct json_out *j, const struct report *r)
{
    json_begin(j, "workload", '{');
    json_text(j, "text", r->workload.text);
    json_count(j, "size_bytes", (uint64_t)r->size);
    json_count(j, "entries", r->entries);
    json_count(j, "files", r->files);
    json_text(j, "arrival", arrival_name(r->arrival));
    json_number(j, "warmup_s", r->warmup_s);
    json_number(j, "duration_s", r->count ? NAN : r->duration_s);
    json_number(j, "count", r->count ? (double)r->count : NAN);
    json_count(j, "rounds", r->rounds);
    json_end(j, '}');
}

static void write_sweep(struct json_out *j, const struct report *r)
{
    if (r->sweep == SWEEP_NONE) {
        json_text(j, "sweep", NULL);
        return;
    }
    json_begin(j, "sweep", '{');
    json_text(j, "name", sweep_name(r->sweep));
    write_knee(j, &r->targets[0]); /* each target has its own, too */
    json_end(j, '}');
}

void report_write_json(FILE *f, const struct report *r)
{
    struct json_out out = {.f = f}, *j = &out;

    json_begin(j, NULL, '{');
    json_text(j, "schema", "agfs-bench/1");
    json_text(j, "started", r->started);
    json_bool(j, "interrupted", r->interrupted);
    json_bool(j, "ended_early", r->ended_early);
    json_begin(j, "command", '[');
    for (size_t i = 0; i < r->n_command; i++)
        json_text(j, NULL, r->command[i]);
    json_end(j, ']');
    write_versions(j);
    json_begin(j, "machine", '{');
    json_count(j, "cpus", r->machine.cpus);
    json_text(j, "model", r->machine.model);
    json_text(j, "kernel", r->machine.kernel);
    json_number(j, "memory_bytes", r->machine.memory_bytes);
    json_end(j, '}');
    write_workload(j, r);
    write_sweep(j, r);
    json_begin(j, "targets", '[');
    for (size_t i = 0; i < r->n_targets; i++)
        write_target(j, r, &r->targets[i]);
    json_end(j, ']');
    if (r->limits.measured) {
        json_begin(j, "limits", '{');
        json_number(j, "round_trip_us", r->limits.round_trip_us);
        json_number(j, "pipe_mb_per_s", r->limits.pipe_mb_per_s);
        json_end(j, '}');
    } else {
        json_text(j, "limits", NULL);
    }
    json_end(j, '}');
    fputc('\n', f);
}
