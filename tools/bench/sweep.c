/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "sweep.h"
#include "units.h"
#include "util.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *key; /* as typed; as in the report */
    double growth;          /* after a single value */
    double min, max;
} kinds[] = {
    [SWEEP_CALLERS] = {"callers", "callers", 2, 1, 4096},
    [SWEEP_SIZE] = {"size", "size_bytes", 4, 0, 1099511627776.0},
    [SWEEP_ENTRIES] = {"entries", "entries", 10, 0, 1000000},
    [SWEEP_REMOTES] = {"remotes", "remotes", 2, 1, 64},
    [SWEEP_RATE] = {"rate", "rate_per_s", 2, 0.001, 1e9},
};

const char *sweep_name(enum sweep_kind kind)
{
    return kinds[kind].key;
}

static bool parse_value(enum sweep_kind kind, const char *s, double *ret)
{
    int64_t bytes;

    if (kind == SWEEP_SIZE) {
        if (!parse_size(s, &bytes))
            return false;
        *ret = (double)bytes;
        return true;
    }
    return parse_number(s, ret) && (kind == SWEEP_RATE || *ret == floor(*ret));
}

static bool add_value(struct sweep *s, double value, char **ret_bad)
{
    if (value < kinds[s->kind].min || value > kinds[s->kind].max) {
        *ret_bad = xasprintf("%s must be from %.15g to %.15g", kinds[s->kind].name,
                             kinds[s->kind].min, kinds[s->kind].max);
    } else if (s->n && value <= s->values[s->n - 1]) {
        *ret_bad = xasprintf("values must ascend");
    } else if (s->n == SWEEP_VALUES_MAX) {
        *ret_bad = xasprintf("more than %d values", SWEEP_VALUES_MAX);
    } else {
        s->values[s->n++] = value;
        return true;
    }
    return false;
}

/* The values of ".." before `last`. */
static bool fill_up(struct sweep *s, double last, char **ret_bad)
{
    double v = s->values[s->n - 1], before = s->n > 1 ? s->values[s->n - 2] : 0;
    double ratio = before > 0 ? v / before : kinds[s->kind].growth;
    double step = ratio >= 2 && ratio == floor(ratio) ? 0 : v - before;

    if (step == 0 && v == 0) {
        *ret_bad = xasprintf("'..' cannot go on from 0");
        return false;
    }
    for (v = step == 0 ? v * ratio : v + step; v < last; v = step == 0 ? v * ratio : v + step) {
        if (!add_value(s, v, ret_bad))
            return false;
    }
    return true;
}

static bool parse_values(struct sweep *s, char *list, char **ret_bad)
{
    char *rest;
    bool dots = false;

    for (char *item = strtok_r(list, ",", &rest); item; item = strtok_r(NULL, ",", &rest)) {
        double value;
        if (strcmp(item, "..") == 0) {
            if (s->n == 0 || dots) {
                *ret_bad = xasprintf("'..' must stand between values");
                return false;
            }
            dots = true;
            continue;
        }
        if (!parse_value(s->kind, item, &value)) {
            *ret_bad = xasprintf("'%s' is no value of %s", item, kinds[s->kind].name);
            return false;
        }
        if ((dots && !fill_up(s, value, ret_bad)) || !add_value(s, value, ret_bad))
            return false;
        dots = false;
    }
    if (dots || s->n == 0)
        *ret_bad = xasprintf(dots ? "'..' must stand between values" : "no values");
    return !dots && s->n > 0;
}

bool sweep_parse(const char *text, struct sweep *ret, char **ret_bad)
{
    struct sweep s = {.kind = SWEEP_NONE};
    size_t n_name = strcspn(text, "=");

    for (int k = SWEEP_CALLERS; k <= SWEEP_RATE; k++) {
        if (strlen(kinds[k].name) == n_name && memcmp(kinds[k].name, text, n_name) == 0)
            s.kind = (enum sweep_kind)k;
    }
    if (s.kind == SWEEP_NONE || text[n_name] != '=') {
        *ret_bad =
            xasprintf("one of callers=, size=, entries=, remotes=, rate= and values expected");
        return false;
    }
    char *list = xstrdup(text + n_name + 1);
    bool ok = parse_values(&s, list, ret_bad);
    free(list);
    if (ok)
        *ret = s;
    return ok;
}

static bool misses_plan(const struct sweep_point *p)
{
    return p->rate < (0.95 - p->chance) * p->planned;
}

static char *rate_bends(const struct sweep_point *first, const struct sweep_point *p)
{
    char a[UNIT_TEXT_MAX], b[UNIT_TEXT_MAX];

    if (misses_plan(p))
        return xasprintf("of %.0f planned calls/s only %.0f were reached", p->planned, p->rate);
    if (p->p99_us > 10 * first->p99_us)
        return xasprintf("at %.0f calls/s p99 rose from %s to %s", p->planned,
                         format_us(a, first->p99_us), format_us(b, p->p99_us));
    return NULL;
}

static char *throughput_bends(enum sweep_kind kind, const struct sweep_point *a,
                              const struct sweep_point *b)
{
    double grew = b->rate / a->rate - 1, could = b->value / a->value - 1;
    char p99[80] = "", x[UNIT_TEXT_MAX], y[UNIT_TEXT_MAX];

    if (grew >= could / 10)
        return NULL;
    if (isfinite(a->p99_us) && isfinite(b->p99_us))
        snprintf(p99, sizeof p99, ", p99 went from %s to %s", format_us(x, a->p99_us),
                 format_us(y, b->p99_us));
    return xasprintf("from %.0f to %.0f %s throughput changed by %+.0f %%%s", a->value, b->value,
                     kinds[kind].name, grew * 100, p99);
}

int sweep_knee(enum sweep_kind kind, const struct sweep_point *points, size_t n, char **ret_reason)
{
    if (kind != SWEEP_CALLERS && kind != SWEEP_RATE && kind != SWEEP_REMOTES)
        return -1; /* sizes and entries have a cost each, but nothing that saturates */
    if (kind == SWEEP_RATE && n && misses_plan(&points[0])) {
        *ret_reason =
            xasprintf("that is too much already: only %.0f calls/s were reached, so the knee is "
                      "below these values",
                      points[0].rate);
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        const struct sweep_point *a = &points[i - 1], *b = &points[i];
        /* A bend that the next value takes back was a disturbance. */
        bool back = kind != SWEEP_RATE && i + 1 < n && b[1].rate > 1.25 * a->rate;
        char *reason = kind == SWEEP_RATE ? rate_bends(&points[0], b)
                       : back             ? NULL
                                          : throughput_bends(kind, a, b);
        if (reason) {
            *ret_reason = reason;
            return (int)i - 1;
        }
    }
    return -1;
}
