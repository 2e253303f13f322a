/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "workload.h"
#include "util.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char known[] =
    "stat, read, write, list, create+remove, enqueue+dequeue, enqueue, dequeue";

static const struct {
    const char *name;
    enum bench_op op, then;
} names[] = {
    {"stat", OP_STAT, OP_STAT},
    {"read", OP_READ, OP_READ},
    {"write", OP_WRITE, OP_WRITE},
    {"list", OP_LIST, OP_LIST},
    {"create+remove", OP_CREATE, OP_REMOVE},
    {"create/remove", OP_CREATE, OP_REMOVE},
    {"enqueue+dequeue", OP_ENQUEUE, OP_DEQUEUE},
    {"enqueue/dequeue", OP_ENQUEUE, OP_DEQUEUE},
    {"enqueue", OP_ENQUEUE, OP_ENQUEUE},
    {"dequeue", OP_DEQUEUE, OP_DEQUEUE},
};

const char *bench_op_name(enum bench_op op)
{
    static const char *const table[] = {
#define X(id, name) name,
        BENCH_OP_TABLE(X)
#undef X
    };
    return table[op];
}

/* One "NAME[:WEIGHT]" of n bytes; false: *ret_bad says why not. */
static bool parse_part(const char *item, size_t n, struct workload *w, char **ret_bad)
{
    const char *colon = memchr(item, ':', n);
    size_t n_name = colon ? (size_t)(colon - item) : n;
    unsigned weight = 1;

    if (colon) {
        char *end;
        size_t n_digits = strspn(colon + 1, "0123456789");
        unsigned long v = n_digits ? strtoul(colon + 1, &end, 10) : 0;
        if (n_digits == 0 || colon + 1 + n_digits != item + n || v < 1 || v > 1000000) {
            *ret_bad =
                xasprintf("'%.*s': the weight must be a number from 1 to 1000000", (int)n, item);
            return false;
        }
        weight = (unsigned)v;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strlen(names[i].name) == n_name && memcmp(names[i].name, item, n_name) == 0) {
            w->parts[w->n++] = (struct workload_part){names[i].op, names[i].then, weight};
            w->total += weight;
            return true;
        }
    }
    *ret_bad = xasprintf("'%.*s' is none of %s", (int)n_name, item, known);
    return false;
}

bool workload_parse(const char *text, struct workload *ret, char **ret_bad)
{
    struct workload w = {.n = 0};

    if (strlen(text) >= sizeof w.text) {
        *ret_bad = xasprintf("longer than %zu characters", sizeof w.text - 1);
        return false;
    }
    snprintf(w.text, sizeof w.text, "%s", text);
    for (const char *item = text;;) {
        size_t n = strcspn(item, ",");
        if (w.n == WORKLOAD_PARTS_MAX) {
            *ret_bad = xasprintf("more than %d operations", WORKLOAD_PARTS_MAX);
            return false;
        }
        if (!parse_part(item, n, &w, ret_bad))
            return false;
        if (item[n] == '\0')
            break;
        item += n + 1;
    }
    *ret = w;
    return true;
}

bool workload_has(const struct workload *w, enum bench_op op)
{
    for (size_t i = 0; i < w->n; i++) {
        if (w->parts[i].op == op || w->parts[i].then == op)
            return true;
    }
    return false;
}

size_t workload_pick(const struct workload *w, uint64_t random)
{
    uint64_t at = w->n > 1 ? random % w->total : 0;
    size_t i = 0;

    while (at >= w->parts[i].weight)
        at -= w->parts[i++].weight;
    return i;
}

void rng_seed(struct rng *r, uint64_t seed)
{
    r->state = (seed + 1) * 0x9e3779b97f4a7c15u;
    for (int i = 0; i < 4; i++) /* neighbouring seeds must not begin alike */
        rng_next(r);
}

uint64_t rng_next(struct rng *r)
{
    r->state ^= r->state >> 12;
    r->state ^= r->state << 25;
    r->state ^= r->state >> 27;
    return (r->state * 0x2545f4914f6cdd1du) >> 16;
}

double rng_unit(struct rng *r)
{
    return ((double)(rng_next(r) >> 4) + 1) / (double)(1ull << 44);
}
