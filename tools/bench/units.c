/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "units.h"
#include "util.h"
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct unit {
    const char *name;
    double factor;
};

/* A number >= 0 in decimal digits (no sign, no hexadecimal, no "inf") and one of the units. */
static bool parse_with(const char *s, const struct unit *units, double *ret)
{
    char *end;

    if (!isdigit((unsigned char)s[0]) || (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')))
        return false;
    errno = 0;
    double v = strtod(s, &end);
    if (errno || !isfinite(v))
        return false;
    for (const struct unit *u = units; u->name; u++) {
        if (strcasecmp(end, u->name) == 0) {
            *ret = v * u->factor;
            return true;
        }
    }
    return false;
}

bool parse_duration(const char *s, int64_t *ret_ns)
{
    static const struct unit units[] = {{"", 1e9}, {"s", 1e9},  {"ms", 1e6},   {"us", 1e3},
                                        {"ns", 1}, {"m", 60e9}, {"h", 3600e9}, {NULL, 0}};
    double ns;

    if (!parse_with(s, units, &ns) || ns > 86400e9)
        return false;
    *ret_ns = (int64_t)ns;
    return true;
}

bool parse_size(const char *s, int64_t *ret)
{
    static const struct unit units[] = {{"", 1},
                                        {"b", 1},
                                        {"k", 1024},
                                        {"kib", 1024},
                                        {"m", 1048576},
                                        {"mib", 1048576},
                                        {"g", 1073741824.0},
                                        {"gib", 1073741824.0},
                                        {"t", 1099511627776.0},
                                        {"tib", 1099511627776.0},
                                        {NULL, 0}};
    double bytes;

    if (!parse_with(s, units, &bytes) || bytes > 1099511627776.0 || bytes != floor(bytes))
        return false;
    *ret = (int64_t)bytes;
    return true;
}

bool parse_number(const char *s, double *ret)
{
    static const struct unit units[] = {{"", 1}, {"k", 1e3}, {"m", 1e6}, {NULL, 0}};

    return parse_with(s, units, ret);
}

char *format_us(char buf[UNIT_TEXT_MAX], double us)
{
    double v = us < 1e3 ? us : us < 1e6 ? us / 1e3 : us / 1e6;
    const char *unit = us < 1e3 ? "us" : us < 1e6 ? "ms" : "s";

    snprintf(buf, UNIT_TEXT_MAX, "%.*f %s", v < 9.995 ? 2 : v < 99.95 ? 1 : 0, v, unit);
    return buf;
}

char *format_bytes(char buf[UNIT_TEXT_MAX], double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    int i = 0;

    for (; bytes >= 1024 && i < 4; i++)
        bytes /= 1024;
    snprintf(buf, UNIT_TEXT_MAX, "%.*f %s", bytes == floor(bytes) ? 0 : 1, bytes, units[i]);
    return buf;
}
