/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFS_STOP_H
#define AGFS_STOP_H

/* When what has several things to do must not go on: Ctrl-C, and output that arrives nowhere. */
#include "cli.h"

/* Whether the running command must end. Main thread, as the others. */
bool stop_asked(const struct cli *cli);
/*
 * The same before the n_left things that are left of the command. After Ctrl-C an error line says
 * how many those are, and *code becomes EXIT_CANCEL.
 */
bool stop_before(struct cli *cli, int n_left, int *code);
/*
 * Sends what was printed, at the end of a command with this exit code, which it returns. Where
 * output was lost it returns a failure and sets cli->quit: nobody would see what comes next. An
 * error line says why, unless the reader has left or an earlier failure was told of.
 */
int stop_flush(struct cli *cli, int code);

/* 0, or EXIT_CANCEL after an error line about `what` when the command was asked to stop.
 * Any thread. */
int stop_if_cancelled(struct cli *cli, const char *what);

#endif
