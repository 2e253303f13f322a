/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "json_out.h"
#include "utf8.h"
#include <math.h>

/* Bytes that are no text become '?': an argument of a command may hold anything. */
static void quote(FILE *f, const char *s)
{
    fputc('"', f);
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            fprintf(f, "\\%c", *s);
        else if ((unsigned char)*s < 0x20 || *s == '<') /* "</script>" must not end a page */
            fprintf(f, "\\u%04x", (unsigned char)*s);
        else if ((unsigned char)*s < 0x80)
            fputc(*s, f);
        else if (utf8_length(s) == 0)
            fputc('?', f);
        else {
            int n = utf8_length(s);
            fwrite(s, 1, (size_t)n, f);
            s += n - 1;
        }
    }
    fputc('"', f);
}

static void before(struct json_out *j, const char *key)
{
    if (j->comma)
        fputs(key ? ",\n" : ",", j->f);
    if (key) {
        quote(j->f, key);
        fputc(':', j->f);
    }
    j->comma = true;
}

void json_begin(struct json_out *j, const char *key, char bracket)
{
    before(j, key);
    fputc(bracket, j->f);
    j->comma = false;
}

void json_end(struct json_out *j, char bracket)
{
    fputc(bracket, j->f);
    j->comma = true;
}

void json_text(struct json_out *j, const char *key, const char *value)
{
    before(j, key);
    if (value)
        quote(j->f, value);
    else
        fputs("null", j->f);
}

void json_number(struct json_out *j, const char *key, double value)
{
    before(j, key);
    if (isfinite(value) && value == floor(value)) /* sizes of steps are found again by it */
        fprintf(j->f, "%.0f", value);
    else if (isfinite(value))
        fprintf(j->f, "%.12g", value);
    else
        fputs("null", j->f);
}

void json_count(struct json_out *j, const char *key, uint64_t value)
{
    before(j, key);
    fprintf(j->f, "%llu", (unsigned long long)value);
}

void json_bool(struct json_out *j, const char *key, bool value)
{
    before(j, key);
    fputs(value ? "true" : "false", j->f);
}
