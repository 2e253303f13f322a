/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef BENCH_RUN_H
#define BENCH_RUN_H

/* A whole run: opens the targets, takes turns, fills the report, cleans up. */
#include "options.h"
#include "report.h"

/*
 * Returns 0 when there is a report, also of a run that was interrupted or in which some calls
 * failed; else the exit code, after an error line on stderr. r: report_fini, in any case.
 */
int run_all(const struct options *o, struct report *r);

#endif
