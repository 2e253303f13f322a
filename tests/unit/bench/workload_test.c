/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "workload.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static void refused(const char *text, const char *words)
{
    struct workload w;
    char *bad = NULL;

    cr_assert_not(workload_parse(text, &w, &bad), "%s", text);
    cr_assert(strstr(bad, words), "%s: %s", text, bad);
    free(bad);
}

static struct workload parse(const char *text)
{
    struct workload w;
    char *bad = NULL;

    cr_assert(workload_parse(text, &w, &bad), "%s: %s", text, bad);
    return w;
}

Test(bench_workload, a_mix)
{
    struct workload w = parse("stat:60,read:25,write:10,list:5");

    cr_assert_eq(w.n, 4);
    cr_assert_eq(w.total, 100);
    cr_assert_eq(w.parts[1].op, OP_READ);
    cr_assert_eq(w.parts[1].weight, 25);
    cr_assert(workload_has(&w, OP_LIST));
    cr_assert_not(workload_has(&w, OP_CREATE));
    cr_assert_str_eq(w.text, "stat:60,read:25,write:10,list:5");
}

Test(bench_workload, pairs_and_weights_left_out)
{
    struct workload w = parse("create+remove,enqueue/dequeue:3");

    cr_assert_eq(w.parts[0].op, OP_CREATE);
    cr_assert_eq(w.parts[0].then, OP_REMOVE);
    cr_assert_eq(w.parts[0].weight, 1);
    cr_assert_eq(w.parts[1].then, OP_DEQUEUE);
    cr_assert_eq(w.total, 4);
    cr_assert(workload_has(&w, OP_REMOVE));
}

Test(bench_workload, bad_ones_are_refused_by_name)
{
    refused("", "is none of stat, read");
    refused("stat,", "is none of");
    refused("stat,rename:2", "'rename' is none of");
    refused("stat:0", "'stat:0': the weight");
    refused("stat:-1", "the weight");
    refused("stat:1x", "the weight");
    refused("stat:", "the weight");
    refused("stat:99999999999999999999", "the weight");
    refused("Stat", "is none of");
    refused("stat,stat,stat,stat,stat,stat,stat,stat,stat,stat,stat,stat,stat,stat,stat,stat,stat",
            "more than 16");
}

Test(bench_workload, a_text_that_is_too_long)
{
    char text[WORKLOAD_TEXT_MAX + 1];

    memset(text, 's', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    refused(text, "longer than 199");
}

Test(bench_workload, operations_come_as_often_as_their_weights)
{
    struct workload w = parse("stat:60,read:25,write:10,list:5");
    unsigned seen[4] = {0};
    struct rng rng;

    rng_seed(&rng, 1);
    for (int i = 0; i < 100000; i++)
        seen[workload_pick(&w, rng_next(&rng))]++;
    for (size_t i = 0; i < 4; i++) {
        double share = seen[i] / 1000.0;
        cr_assert_float_eq(share, w.parts[i].weight, 1.0, "%s: %g %%", bench_op_name(w.parts[i].op),
                           share);
    }
}

Test(bench_workload, the_same_seed_gives_the_same_run)
{
    struct rng a, b, other;

    rng_seed(&a, 7);
    rng_seed(&b, 7);
    rng_seed(&other, 8);
    uint64_t first = rng_next(&a);
    cr_assert_eq(first, rng_next(&b));
    cr_assert_neq(first, rng_next(&other));
    for (int i = 0; i < 1000; i++) {
        double u = rng_unit(&a);
        cr_assert(u > 0 && u <= 1);
    }
}
