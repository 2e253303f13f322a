/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef BENCH_INTERRUPT_H
#define BENCH_INTERRUPT_H

/*
 * Ctrl-C. The first one asks the run to stop: what was measured is reported, what was made on the
 * servers is removed. The second one ends the process at once.
 */
#include <proxyfs/error.h>
#include <stdbool.h>

/* Catches SIGINT and SIGTERM from now on, and ignores SIGPIPE. */
void interrupt_install(void);
bool interrupted(void);
/* Says in *err that work was given up for it: CANCELLED. */
enum pfs_class interrupt_error(struct pfs_error *err);
/* Waits for ns, less when interrupted. */
void interrupt_sleep(long long ns);

#endif
