/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFS_PROGRESS_H
#define AGFS_PROGRESS_H

/*
 * One line on a terminal's stderr that shows how far a long transfer is, of one file or of several
 * at a time; those may step from any thread, and whoever holds the lock of cli->err may hide it
 * (cli_lock_err).
 */
#include "cli.h"

struct progress {
    struct cli *cli; /* NULL: nothing is shown */
    const char *name;
    int64_t total, done;     /* bytes; total -1: unknown */
    size_t n_files, n_ended; /* of several; n_files 0: of one */
    int64_t start_ms, next_ms;
    bool shown;
};
/* name: borrowed. */
void progress_begin(struct progress *p, struct cli *cli, const char *name, int64_t total);
void progress_begin_files(struct progress *p, struct cli *cli, const char *name, size_t n_files);
/* n more bytes, or one file more, are done. */
void progress_bytes(struct progress *p, size_t n);
void progress_file(struct progress *p);
/* Takes the line away, until the next step. */
void progress_hide(struct progress *p);

#endif
