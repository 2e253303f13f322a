/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFS_PROGRESS_H
#define AGFS_PROGRESS_H

/* One line on a terminal's stderr that shows how far a long transfer is. */
#include "cli.h"

struct progress {
    struct cli *cli; /* NULL: nothing is shown */
    const char *name;
    int64_t total; /* -1: unknown */
    int64_t start_ms, next_ms;
    bool shown;
};
/* name: borrowed until progress_end. */
void progress_begin(struct progress *p, struct cli *cli, const char *name, int64_t total);
void progress_step(struct progress *p, int64_t done);
/* Takes the line away. */
void progress_end(struct progress *p);

#endif
