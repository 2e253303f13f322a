/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "crowd.h"
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>

#define THINGS 100

struct things {
    atomic_uint done[THINGS], running, most;
    pthread_barrier_t all_here;
    size_t n_meeting; /* the first so many wait for each other */
};

static void work(void *arg, size_t i)
{
    struct things *t = arg;
    unsigned running = atomic_fetch_add(&t->running, 1) + 1;
    for (unsigned most = atomic_load(&t->most);
         most < running && !atomic_compare_exchange_weak(&t->most, &most, running);)
        continue;
    if (i < t->n_meeting)
        pthread_barrier_wait(&t->all_here);
    atomic_fetch_add(&t->done[i], 1);
    atomic_fetch_sub(&t->running, 1);
}

Test(crowd, each_once_and_so_many_at_a_time, .timeout = 20)
{
    static const struct {
        size_t n;
        unsigned width, expected_most;
    } rows[] = {{0, 8, 0}, {1, 8, 1},      {THINGS, 1, 1},
                {3, 8, 3}, {THINGS, 8, 8}, {64, CROWD_MAX, 64}};
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        struct things t = {.n_meeting = rows[r].expected_most};
        if (t.n_meeting)
            cr_assert_eq(pthread_barrier_init(&t.all_here, NULL, (unsigned)t.n_meeting), 0);
        crowd_run(rows[r].n, rows[r].width, work, &t);
        for (size_t i = 0; i < THINGS; i++)
            cr_expect_eq(atomic_load(&t.done[i]), i < rows[r].n, "row %zu, %zu", r, i);
        cr_expect_eq(atomic_load(&t.most), rows[r].expected_most, "row %zu", r);
        if (t.n_meeting)
            pthread_barrier_destroy(&t.all_here);
    }
}
