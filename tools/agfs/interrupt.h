/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFS_INTERRUPT_H
#define AGFS_INTERRUPT_H

/*
 * For the interactive shell: a command that Ctrl-C asked to stop ends at its next step, so that the
 * outcome of the call under way is known. A server that does not answer that call within
 * INTERRUPT_GRACE_MS is not waited for: all calls of the client are given up. What the command
 * sends after that, to clean up, is not.
 */
#include <proxyfs/proxyfs.h>

#define INTERRUPT_GRACE_MS 300

/* From now on, for c; main thread, after cancel_install. Without memory for it nothing happens. */
void interrupt_begin(struct pfs_client *c);
/* Before c is freed; also without interrupt_begin. */
void interrupt_end(void);

#endif
