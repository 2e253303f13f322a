/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

/* What the callers do: operations and their weights, from "stat:60,read:25,write:10,list:5". */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is measured on its own. PING and PIPE are what bare TLS does (limit.h). */
#define BENCH_OP_TABLE(X)                                                                          \
    X(STAT, "stat")                                                                                \
    X(READ, "read")                                                                                \
    X(WRITE, "write")                                                                              \
    X(LIST, "list")                                                                                \
    X(CREATE, "create")                                                                            \
    X(REMOVE, "remove")                                                                            \
    X(ENQUEUE, "enqueue")                                                                          \
    X(DEQUEUE, "dequeue")                                                                          \
    X(PING, "round trip")                                                                          \
    X(PIPE, "pipe 1 MiB")

enum bench_op {
#define X(id, name) OP_##id,
    BENCH_OP_TABLE(X)
#undef X
        N_OPS
};

const char *bench_op_name(enum bench_op op);

/*
 * A part is one operation, or two that a caller does in turn: create and remove of a file of its
 * own, enqueue and dequeue.
 */
struct workload_part {
    enum bench_op op, then; /* the same when there is one only */
    unsigned weight;
};

#define WORKLOAD_PARTS_MAX 16
#define WORKLOAD_TEXT_MAX 200

struct workload {
    char text[WORKLOAD_TEXT_MAX]; /* as given */
    struct workload_part parts[WORKLOAD_PARTS_MAX];
    size_t n;
    unsigned total; /* of the weights */
};

/*
 * Reads "NAME[:WEIGHT],...". On success returns true; else *ret_bad (to be freed) says what is
 * wrong.
 */
bool workload_parse(const char *text, struct workload *ret, char **ret_bad);
bool workload_has(const struct workload *w, enum bench_op op);
/* The part that a random number falls on. */
size_t workload_pick(const struct workload *w, uint64_t random);

/* Random numbers (xorshift64*): quick, one state per caller, the same run from the same seed. */
struct rng {
    uint64_t state;
};
void rng_seed(struct rng *r, uint64_t seed);
uint64_t rng_next(struct rng *r);
/* In (0, 1]. */
double rng_unit(struct rng *r);

#endif
