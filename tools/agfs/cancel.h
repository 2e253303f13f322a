/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFS_CANCEL_H
#define AGFS_CANCEL_H

/*
 * Ctrl-C. One command or a script ends at once with exit code 130; the half-written local file is
 * removed. In the interactive shell the first Ctrl-C asks the running command to stop at the next
 * step (interrupt.h: if that comes soon), a second one ends the tool.
 */
#include <stdbool.h>

/* Catches SIGINT, SIGTERM, SIGHUP and SIGQUIT from now on. Main thread, as cancel_begin. */
void cancel_install(bool interactive);
/* A command begins that `changes` something on the remote (cancelling it leaves that open). */
void cancel_begin(bool changes);
/* The same for the next command of a line: whoever asked the line to stop is not forgotten. */
void cancel_next(bool changes);
/* True when the running command was asked to stop. Any thread. */
bool cancel_asked(void);
/* Returns once for each time that a command is asked to stop, and for each cancel_wake. */
void cancel_await(void);
void cancel_wake(void);
/* Calls fn(arg) if the running command was asked to stop; no other begins meanwhile. */
void cancel_if_asked(void (*fn)(void *arg), void *arg);
/*
 * Makes a file as mkostemp(3) does, which is removed when the tool is cancelled before
 * cancel_file_done. -1: errno tells why not. Any thread.
 */
int cancel_file(char *name);
void cancel_file_done(const char *name);
/* Until cancel_file_done, who cancels the tool is told that `name` may hold what was moved. */
void cancel_tell(const char *name);

#endif
