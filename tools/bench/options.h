/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

/* The command line. */
#include "schedule.h"
#include "sweep.h"
#include "target.h"
#include "workload.h"

struct options {
    struct target_spec *targets;
    size_t n_targets;
    struct workload workload;
    int64_t size;
    unsigned entries, files, callers, remotes, rounds;
    enum arrival arrival;
    double rate;
    int64_t warmup_ns, duration_ns; /* duration 0: count */
    uint64_t count;
    struct sweep sweep;
    bool limit;
    int cpu;                             /* -1: any */
    const char *json, *csv, *html, *hdr; /* files; "-": stdout; NULL: none */
    const char *compare[2];
    bool quiet, help, version;
    unsigned verbose;
};

/*
 * Reads argv; without a target and without --limit the server is AGFS_API_URL, AGFS_SERVER_URL or
 * http://localhost:8080. Returns 0, or EXIT_USAGE after an error line on stderr. *ret must be given
 * to options_fini in any case; it borrows from argv.
 */
int options_parse(int argc, char **argv, struct options *ret);
void options_fini(struct options *o);

/* The text of --help, static. */
extern const char options_help[];

#endif
