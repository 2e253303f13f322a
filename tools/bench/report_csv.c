/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* The report as CSV: a row per target, step and operation. */
#include "report.h"
#include <math.h>
#include <proxyfs/error.h>
#include <string.h>

static const double percentiles[REPORT_N_PERCENTILES] = REPORT_PERCENTILES;

static void text(FILE *f, const char *s)
{
    fputc('"', f);
    for (; *s; s++)
        fputs(*s == '"' ? "\"\"" : (char[]){*s, '\0'}, f);
    fputs("\",", f);
}

/* Empty where it is not known. Counts must add up: whole numbers are written in full. */
static void number(FILE *f, double v)
{
    if (isfinite(v) && v == floor(v))
        fprintf(f, "%.0f", v);
    else if (isfinite(v))
        fprintf(f, "%.10g", v);
    fputc(',', f);
}

static void write_op(FILE *f, const struct report_target *t, const struct step *s, const char *name,
                     const struct op_result *o)
{
    const struct hist *h = o->hist && o->hist->total ? o->hist : NULL;
    double calls = s->calls ? (double)s->calls : NAN;

    text(f, t->name);
    text(f, t->url);
    number(f, s->value);
    number(f, s->callers);
    number(f, s->remotes);
    number(f, (double)s->size);
    text(f, name);
    number(f, s->planned_rate > 0 ? s->planned_rate : NAN);
    number(f, s->reached_rate);
    number(f, s->seconds);
    number(f, (double)o->calls);
    number(f, (double)o->errors);
    number(f, h ? (double)h->min / 1e3 : NAN);
    number(f, h ? hist_mean(h) / 1e3 : NAN);
    number(f, h ? hist_sd(h) / 1e3 : NAN);
    for (int i = 0; i < REPORT_N_PERCENTILES; i++)
        number(f, op_percentile_us(o, percentiles[i]));
    number(f, h ? (double)h->max / 1e3 : NAN);
    number(f, (double)s->bytes_read);
    number(f, (double)s->bytes_written);
    number(f, (double)s->wire_in);
    number(f, (double)s->wire_out);
    number(f, s->connections);
    number(f, s->streams_peak ? s->streams_peak : NAN);
    number(f, s->cpu_client_s);
    number(f, s->cpu_server_s);
    number(f, s->cpu_machine_s);
    number(f, s->switches / calls);
    fprintf(f, "%.0f\n", (double)s->unstarted);
}

void report_write_csv(FILE *f, const struct report *r)
{
    fputs("target,url,value,callers,remotes,size_bytes,op,planned_rate_per_s,reached_rate_per_s,"
          "seconds,calls,errors,min_us,mean_us,sd_us,p50_us,p75_us,p90_us,p95_us,p99_us,p99.9_us,"
          "p99.99_us,max_us,bytes_read,bytes_written,wire_in_bytes,wire_out_bytes,connections,"
          "streams_peak,cpu_client_s,cpu_server_s,cpu_machine_s,context_switches_per_call,"
          "unstarted\n",
          f);
    for (size_t i = 0; i < r->n_targets; i++) {
        const struct report_target *t = &r->targets[i];
        for (size_t k = 0; k < t->n_steps; k++) {
            const struct step *s = &t->steps[k];
            int used = 0;
            for (int op = 0; op < N_OPS; op++) {
                if (s->ops[op].hist || s->ops[op].errors) {
                    write_op(f, t, s, bench_op_name((enum bench_op)op), &s->ops[op]);
                    used++;
                }
            }
            if (used > 1)
                write_op(f, t, s, "all", &s->all);
        }
    }
}
