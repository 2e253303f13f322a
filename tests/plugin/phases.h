/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef TESTS_PLUGIN_PHASES_H
#define TESTS_PLUGIN_PHASES_H

/* Tests of a mounted plugin that hold for any remote. `dir`: a directory that may be filled. */
#include "host.h"

/* Each operation, its result, and its failure. */
void phase_files(struct host *h, const char *dir);
/* n_threads threads with their own files, n_calls calls each; each checks what it reads. */
void phase_threads(struct host *h, const char *dir, unsigned n_threads, unsigned n_calls);
/* n_calls reads and stats; the process must not grow by more than max_mib (A120). */
void phase_memory(struct host *h, const char *dir, unsigned long n_calls, long max_mib);

#endif
