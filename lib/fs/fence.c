/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "fs/fence.h"
#include "base/alloc.h"
#include <pthread.h>
#include <string.h>

/* Writes of unknown outcome on living connections at the same time; the oldest gives way. */
#define FENCES_MAX 64

struct fences {
    atomic_uint n;
    pthread_mutex_t mu;
    struct fence {
        char *path;
        struct sign_of_life sign;
    } list[FENCES_MAX]; /* n used, oldest first */
};

struct fences *fences_new(void)
{
    struct fences *f = pfs_calloc(1, sizeof *f);

    if (f) {
        pthread_mutex_init(&f->mu, NULL);
    }
    return f;
}

static void drop_locked(struct fences *f, unsigned i)
{
    unsigned n = atomic_load(&f->n) - 1;

    pfs_free(f->list[i].path);
    sign_of_life_release(&f->list[i].sign);
    memmove(&f->list[i], &f->list[i + 1], (n - i) * sizeof f->list[0]);
    atomic_store(&f->n, n);
}

void fences_free(struct fences *f)
{
    if (f) {
        while (atomic_load(&f->n) > 0) {
            drop_locked(f, 0);
        }
        pthread_mutex_destroy(&f->mu);
        pfs_free(f);
    }
}

void fences_raise(struct fences *f, const char *path, struct exchange *ex)
{
    struct fence fresh = {.path = pfs_strdup(path)};

    if (!fresh.path || !exchange_ask_for_sign(ex, &fresh.sign)) {
        pfs_free(fresh.path);
        return;
    }
    pthread_mutex_lock(&f->mu);
    if (atomic_load(&f->n) == FENCES_MAX) {
        drop_locked(f, 0);
    }
    f->list[atomic_load(&f->n)] = fresh;
    atomic_fetch_add(&f->n, 1);
    pthread_mutex_unlock(&f->mu);
}

bool fences_block(struct fences *f, const char *path)
{
    bool blocked = false;

    if (atomic_load_explicit(&f->n, memory_order_relaxed) == 0) {
        return false;
    }
    pthread_mutex_lock(&f->mu);
    for (unsigned i = 0; i < atomic_load(&f->n);) {
        if (sign_of_life_came(&f->list[i].sign)) {
            drop_locked(f, i);
            continue;
        }
        blocked |= strcmp(f->list[i].path, path) == 0;
        i++;
    }
    pthread_mutex_unlock(&f->mu);
    return blocked;
}
