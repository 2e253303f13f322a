/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef BENCH_SWEEP_H
#define BENCH_SWEEP_H

/* Cost as work grows: one quantity takes several values, and where the curve bends is its knee. */
#include <stdbool.h>
#include <stddef.h>

enum sweep_kind { SWEEP_NONE, SWEEP_CALLERS, SWEEP_SIZE, SWEEP_ENTRIES, SWEEP_REMOTES, SWEEP_RATE };
/* As in the report: "size_bytes". */
const char *sweep_name(enum sweep_kind kind);

#define SWEEP_VALUES_MAX 64

struct sweep {
    enum sweep_kind kind;
    double values[SWEEP_VALUES_MAX]; /* ascending */
    size_t n;
    bool stop_at_knee;
};

/*
 * Reads "callers=1,2,4,..,256" (also size=, entries=, remotes=, rate=). ".." goes on as the two
 * values before it: by their ratio where that is a whole number, else by their difference; after a
 * single value entries grow tenfold, sizes fourfold, the rest twofold. False: *ret_bad (to be
 * freed) says what is wrong.
 */
bool sweep_parse(const char *text, struct sweep *ret, char **ret_bad);

/* What is known of one step. */
struct sweep_point {
    double value, rate; /* reached */
    double p99_us;      /* NAN: too few samples */
    double planned;     /* rate; 0: closed loop */
    double chance;      /* part of it that may be missing by chance */
};

/*
 * Looks for the knee: the last value before more of it stopped paying. Returns its index and
 * *ret_reason (to be freed), or -1. Callers and remotes: throughput grew by less than a tenth of
 * what the value grew by. Rate: less than 95 % of what was planned was reached, or p99 rose
 * tenfold.
 */
int sweep_knee(enum sweep_kind kind, const struct sweep_point *points, size_t n, char **ret_reason);

#endif
