/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef BENCH_INTERRUPT_H
#define BENCH_INTERRUPT_H

/*
 * Ctrl-C, SIGTERM, or a terminal that is closed. While targets are connected to, it ends the
 * process: nothing was made yet. From then on the first one asks the run to stop: what was measured
 * is reported, what was made on the servers is removed. The second one ends the process at once. No
 * half report is left in any case.
 */
#include <proxyfs/error.h>
#include <stdbool.h>
#include <stddef.h>

#define INTERRUPT_FILES_MAX 4

/*
 * Catches SIGINT, SIGTERM and, unless it is ignored, SIGHUP from now on; ignores SIGPIPE and
 * SIGXFSZ.
 */
void interrupt_install(void);
/* From now on there is something to report and to remove. */
void interrupt_gracefully(void);
/* A file that an end at once removes; the path stays valid until the slot gets another or NULL. */
void interrupt_unlinks(size_t slot, const char *path);
bool interrupted(void);
/* Says in *err that work was given up for it: CANCELLED. */
enum pfs_class interrupt_error(struct pfs_error *err);
/* Waits for ns, less when interrupted. */
void interrupt_sleep(long long ns);

#endif
