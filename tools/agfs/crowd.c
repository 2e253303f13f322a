/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "crowd.h"
#include <pthread.h>
#include <stdatomic.h>

struct crowd {
    atomic_size_t next;
    size_t n;
    crowd_fn *work;
    void *arg;
};

static void *take_part(void *arg)
{
    struct crowd *c = arg;
    for (size_t i; (i = atomic_fetch_add(&c->next, 1)) < c->n;)
        c->work(c->arg, i);
    return NULL;
}

void crowd_run(size_t n, unsigned width, crowd_fn *work, void *arg)
{
    struct crowd c = {.n = n, .work = work, .arg = arg};
    pthread_t others[CROWD_MAX];
    unsigned n_others = 0;
    while (n_others + 1 < width && n_others + 1 < n &&
           pthread_create(&others[n_others], NULL, take_part, &c) == 0)
        n_others++;
    take_part(&c);
    while (n_others > 0)
        pthread_join(others[--n_others], NULL);
}
