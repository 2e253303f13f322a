/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFS_STOP_H
#define AGFS_STOP_H

/* When a command that has several things to do must not go on. */
#include "cli.h"

/*
 * Whether the command must end before the n_left things that are left of it: after Ctrl-C. An error
 * line says how many those are, and *code becomes EXIT_CANCEL. Main thread.
 */
bool stop_before(struct cli *cli, int n_left, int *code);

#endif
