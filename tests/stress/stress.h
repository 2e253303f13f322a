/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_TESTS_STRESS_H
#define PFS_TESTS_STRESS_H

#include "base/clock.h"
#include <stdio.h>
#include <stdlib.h>

/* Unlike assert: also in builds without it. */
#define REQUIRE(condition, ...)                                                                    \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);                        \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fputc('\n', stderr);                                                                   \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* Each how-manieth allocation a sweep of whole files has fail: under TSan one takes minutes. */
#if defined(__SANITIZE_THREAD__)
#define SWEEP_STEP 5
#else
#define SWEEP_STEP 1
#endif

/* When to stop: after the seconds of the argument, of PFS_STRESS_SECONDS, else `usual`. */
static inline int64_t stress_until(int argc, char **argv, double usual)
{
    const char *s = argc > 1 ? argv[1] : getenv("PFS_STRESS_SECONDS");

    return pfs_now() + (int64_t)((s ? atof(s) : usual) * 1e9);
}

/* A small generator of its own for each thread. */
static inline unsigned stress_random(unsigned *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

#endif
