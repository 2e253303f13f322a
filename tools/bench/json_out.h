/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef BENCH_JSON_OUT_H
#define BENCH_JSON_OUT_H

/* Writes JSON to a stream piece by piece: commas, quotes and numbers that JSON can express. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct json_out {
    FILE *f;
    bool comma; /* before the next member */
};

/* key NULL: an element of an array, or the outermost value. */
void json_begin(struct json_out *j, const char *key, char bracket);
void json_end(struct json_out *j, char bracket);
void json_text(struct json_out *j, const char *key, const char *value); /* NULL: null */
void json_number(struct json_out *j, const char *key, double value);    /* NAN: null */
void json_count(struct json_out *j, const char *key, uint64_t value);
void json_bool(struct json_out *j, const char *key, bool value);

#endif
