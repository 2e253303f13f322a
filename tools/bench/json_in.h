/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef BENCH_JSON_IN_H
#define BENCH_JSON_IN_H

/* Reading a JSON report: what is not there, or of another type, is "", NAN or nothing. */
#include <json-c/json.h>
#include <stddef.h>

/* NULL after an error line on stderr: the file cannot be read, or is no report. */
json_object *json_read_report(const char *path);

const char *json_text_of(json_object *o, const char *key);
double json_number_of(json_object *o, const char *key);
/* How many elements the array has, 0 when there is none. */
size_t json_array_of(json_object *o, const char *key, json_object **ret);
/* The numbers of an array without its nulls (rounds that have none); to be freed. */
double *json_numbers_of(json_object *o, const char *key, size_t *ret_n);

#endif
