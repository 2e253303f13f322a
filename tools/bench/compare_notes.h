/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef BENCH_COMPARE_NOTES_H
#define BENCH_COMPARE_NOTES_H

/* What else differs between two reports than what they were made for. */
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>

/*
 * Prints it, a line each. Where bare TLS changed by more than *floor, that is the floor from then
 * on. False: the work differs, so that calls in general do not compare.
 */
bool compare_notes(FILE *out, json_object *a, json_object *b, double *floor);

#endif
