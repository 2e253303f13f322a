/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef BENCH_OUTPUT_H
#define BENCH_OUTPUT_H

/*
 * Where reports go: each file is written beside its place and renamed, so that there is a whole
 * report or none. A link stays, what it leads to is replaced. That it can be written is found out
 * before anything is measured.
 */
#include "interrupt.h"
#include "report.h"

#define OUTPUTS_MAX INTERRUPT_FILES_MAX

typedef void report_writer_fn(FILE *f, const struct report *r);

struct output {
    const char *path; /* as it was given; "-": stdout */
    report_writer_fn *write;
    char *place;     /* where the path leads to */
    char *temporary; /* the file beside it; NULL: written in place */
    FILE *f;
};

struct outputs {
    struct output v[OUTPUTS_MAX];
    size_t n;
    bool stdout_taken; /* by a report: the table stays away */
};

/* Opens one more; NULL path: nothing to do. 0, or an exit code after an error line on stderr. */
int outputs_add(struct outputs *o, const char *path, report_writer_fn *write);
/* Writes and renames all that can be. 0, or the first exit code after an error line for each. */
int outputs_write(struct outputs *o, const struct report *r);
/* Removes what was not renamed. */
void outputs_fini(struct outputs *o);
/* What was printed must have arrived. 0, or an exit code after an error line on stderr. */
int output_flush_stdout(void);

#endif
