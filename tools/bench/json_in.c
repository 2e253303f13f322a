/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "json_in.h"
#include "util.h"
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX (256 << 20)

const char *json_text_of(json_object *o, const char *key)
{
    json_object *v;

    return json_object_object_get_ex(o, key, &v) && json_object_is_type(v, json_type_string)
               ? json_object_get_string(v)
               : "";
}

double json_number_of(json_object *o, const char *key)
{
    json_object *v;

    return json_object_object_get_ex(o, key, &v) && v ? json_object_get_double(v) : NAN;
}

size_t json_array_of(json_object *o, const char *key, json_object **ret)
{
    return json_object_object_get_ex(o, key, ret) && json_object_is_type(*ret, json_type_array)
               ? json_object_array_length(*ret)
               : 0;
}

double *json_numbers_of(json_object *o, const char *key, size_t *ret_n)
{
    json_object *list;
    size_t n = json_array_of(o, key, &list);
    double *v = xcalloc(n, sizeof *v);

    *ret_n = 0;
    for (size_t i = 0; i < n; i++) {
        json_object *one = json_object_array_get_idx(list, i);
        if (one)
            v[(*ret_n)++] = json_object_get_double(one);
    }
    return v;
}

static char *read_whole(const char *path)
{
    FILE *f = fopen(path, "re");
    char *text = NULL;
    size_t n = 0, cap = 0, got = 1;

    for (; f && got > 0 && n < FILE_MAX; n += got) {
        cap = n + 65536 < 2 * cap ? cap : 2 * cap + 65536;
        text = xrealloc(text, cap + 1);
        got = fread(text + n, 1, cap - n, f);
    }
    if (f == NULL || ferror(f) || n >= FILE_MAX) {
        complain(EXIT_USAGE, "cannot read %s: %s", path,
                 n >= FILE_MAX ? "too large" : strerror(errno));
        free(text);
        text = NULL;
    } else {
        text[n] = '\0';
    }
    if (f)
        fclose(f);
    return text;
}

json_object *json_read_report(const char *path)
{
    enum json_tokener_error why = json_tokener_success;
    char *text = read_whole(path);
    json_object *o = text ? json_tokener_parse_verbose(text, &why) : NULL;

    if (text && o == NULL)
        complain(EXIT_USAGE, "%s is no report: %s", path,
                 why == json_tokener_success ? "it holds null" : json_tokener_error_desc(why));
    if (o && strcmp(json_text_of(o, "schema"), "agfs-bench/1") != 0) {
        complain(EXIT_USAGE, "%s is no report: its schema is not agfs-bench/1", path);
        json_object_put(o);
        o = NULL;
    }
    free(text);
    return o;
}
