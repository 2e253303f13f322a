/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFS_CANCEL_H
#define AGFS_CANCEL_H

/*
 * Ctrl-C. One command or a script ends at once with exit code 130; the half-written local file is
 * removed. In the interactive shell the first Ctrl-C asks the running command to stop at the next
 * step, a second one ends the tool. Main thread only.
 */
#include <stdbool.h>

/* Catches SIGINT and SIGTERM from now on. */
void cancel_install(bool interactive);
/* A command begins that `changes` something on the remote (cancelling it leaves that open). */
void cancel_begin(bool changes);
/* True when the running command was asked to stop. */
bool cancel_asked(void);
/* Names the local file to remove when the tool is cancelled; NULL: none any more. */
void cancel_file(const char *path);

#endif
