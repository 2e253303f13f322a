/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_PROCESS_H
#define AGFSD_PROCESS_H

/* What the process may do: limits and rights that it gives up before it serves anybody. */
#include <stdbool.h>

/*
 * As many descriptors as the system allows, no core dumps (they would hold keys and content), no
 * death by SIGPIPE or SIGXFSZ. Before any thread.
 */
void process_set_limits(void);
/*
 * From now on neither this process nor its children gain rights by running a program; with
 * `sandbox` they cannot run one at all, nor mount, load kernel code, or look into other processes.
 * After the configuration's libraries are loaded, before the other threads start. What the system
 * does not know is left out, and logged.
 */
void process_give_up_rights(bool sandbox);

#endif
