/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef BENCH_PROGRESS_H
#define BENCH_PROGRESS_H

/* One line on a terminal that says what is being measured; nothing where stderr is no terminal. */
#include <proxyfs/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
    bool on, shown;
    char what[160]; /* target and step */
    int64_t next_ns;
};

void progress_init(struct progress *p, bool quiet);
/* What comes now, shown at once. */
void progress_say(struct progress *p, const char *format, ...) PFS_PRINTF(2, 3);
/* As load.h calls it. */
void progress_step(void *progress, uint64_t calls, uint64_t errors, double seconds);
void progress_clear(struct progress *p);
/* Cuts the line after so many characters; bytes that are none, and controls, become '?'. */
void progress_fit(char *line, size_t columns);

#endif
