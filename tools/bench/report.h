/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

/*
 * What was measured, as values; the writers (table, JSON, CSV, HdrHistogram log, HTML) only read
 * it. Facts that are not known are NAN.
 */
#include "hist.h"
#include "schedule.h"
#include "sweep.h"
#include "timeline.h"
#include "workload.h"
#include <proxyfs/error.h>
#include <stdio.h>

/* The percentiles of every report. */
#define REPORT_PERCENTILES                                                                         \
    {                                                                                              \
        50, 75, 90, 95, 99, 99.9, 99.99                                                            \
    }
#define REPORT_N_PERCENTILES 7

/* A row of numbers, one per round; NAN: that round has none. */
struct per_round {
    double *v;
    size_t n;
};
void per_round_add(struct per_round *r, double v);

/* One operation of a step, or all of them. hist: NULL where it was never called. */
struct op_result {
    uint64_t calls, errors; /* calls: that succeeded */
    struct hist *hist;      /* of those and of timeouts; open loop: from the planned time, and what
                               never started */
    struct per_round p50_us;
};

struct step {
    double value; /* of the sweep; NAN: no sweep */
    unsigned callers, remotes;
    int64_t size;
    enum arrival arrival;
    double planned_rate; /* 0: closed loop */
    double reached_rate, seconds;
    uint64_t calls, n_errors; /* calls: that succeeded */
    uint64_t errors[PFS_N_CLASSES], outcomes[3];
    struct pfs_error first_error; /* of class OK when there was none */
    uint64_t unstarted;           /* open loop: due, but no caller was free before the end */
    uint64_t cut;                 /* under way at Ctrl-C: in the times, with what they had taken */
    uint64_t backed_off;          /* closed loop: times that a caller waited after failures */
    struct hist *late;            /* open loop: how late a waiting caller started; NULL */
    uint64_t bytes_read, bytes_written, wire_in, wire_out, connects;
    unsigned connections;
    unsigned streams_peak; /* seen now and then; 0: never looked while a call was under way */
    double cpu_client_s, cpu_server_s, cpu_machine_s; /* machine: those two and everything else */
    double instructions;
    double switches;
    struct per_round rates;
    struct op_result ops[N_OPS], all;
    struct timeline timeline;
};

struct queue_result {
    bool used, conserved;
    unsigned long long enqueued, dequeued, left, empty, unknown;
};

struct report_target {
    char *name, *url, *path;
    const char *protocol; /* static */
    bool is_limit;
    struct step *steps;
    size_t n_steps;
    char *knee_reason; /* of a sweep; NULL: no knee */
    size_t knee;       /* at which step */
    struct queue_result queue;
};

struct report {
    char started[32]; /* UTC, RFC 3339 */
    double started_s; /* since 1970 */
    bool interrupted;
    bool ended_early; /* a target failed altogether: the steps that follow were not measured */
    bool left_behind; /* something could not be removed from a server */
    char **command;   /* owned, without secrets */
    size_t n_command;
    struct {
        unsigned cpus;
        char model[128], kernel[128];
        double memory_bytes;
    } machine;
    struct workload workload;
    int64_t size;
    unsigned entries, files, rounds;
    enum arrival arrival;
    double warmup_s, duration_s; /* duration 0: count */
    uint64_t count;
    enum sweep_kind sweep;
    struct report_target *targets;
    size_t n_targets;
    struct {
        bool measured;
        double round_trip_us, pipe_mb_per_s; /* medians over all rounds */
    } limits;
};

/* Everything of r is freed, not r. */
void report_fini(struct report *r);
void step_fini(struct step *s);
/* The time now and the machine. */
void report_describe_machine(struct report *r);
/* Adds up operations, means over rounds, limits, knees: call it when all steps are there. */
void report_finish(struct report *r);
/* A sweep that can have a knee: in an open loop throughput is planned, only the rate can have one.
 */
bool report_saturates(const struct report *r);
bool report_has_every_knee(const struct report *r);

/* A percentile of an operation in microseconds, NAN when there are too few samples. */
double op_percentile_us(const struct op_result *o, double percent);
/*
 * How a target's median latency and throughput compare with the first target's in one step: the
 * median over rounds of the ratio, its least and greatest, and whether it is more than noise.
 */
struct ratio {
    double median, least, greatest;
    bool enough; /* rounds to tell a difference from chance */
    bool more_than_noise;
};
struct ratio ratio_of(const struct per_round *a, const struct per_round *b);
/* "more than noise", "no difference beyond noise", "too few rounds to tell". */
const char *ratio_verdict(const struct ratio *r);
/* CPU time of this machine that neither the client nor the server took; NAN: unknown. */
double step_cpu_others_s(const struct step *s);
/* The planned rate was not reached, by more than Poisson arrivals miss it by chance. */
bool step_fell_short(const struct step *s);
/* What should be said aloud about a step: "", or one line (rate not reached, errors, ...). */
void step_warning(const struct step *s, char *buf, size_t cap);

void report_write_table(FILE *f, const struct report *r);
void report_write_json(FILE *f, const struct report *r);
void report_write_html(FILE *f, const struct report *r);
void report_write_csv(FILE *f, const struct report *r);
/* HdrHistogram's log of intervals: one line per target, step and operation. */
void report_write_hdr(FILE *f, const struct report *r);
/* One histogram as HdrHistogram's V2 compressed form in base64; to be freed. */
char *hist_encode(const struct hist *h);

#endif
