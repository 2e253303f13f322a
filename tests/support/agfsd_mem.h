/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef TESTS_AGFSD_MEM_H
#define TESTS_AGFSD_MEM_H

/*
 * A whole agfsd in this process, without threads of its own: one loop that is turned by hand, the
 * API, memfs at /m, queuefs at /q, streamfs at /s, hellofs at /h. What a connection says goes in at
 * one end of a socket pair.
 */
#include <stdbool.h>
#include <stddef.h>

/* Makes it, once per process. Ends the program when it cannot. */
void agfsd_mem_start(void);
/* The same, but where memory runs out nothing is left behind. False: it ran out. */
bool agfsd_mem_try_start(void);
void agfsd_mem_stop(void);

/*
 * A connection says n bytes in pieces of `step` (0: all at once), is read to the end, and ends.
 * What came back is in buf, at most cap bytes; returns how many came.
 */
size_t agfsd_mem_talk(const char *data, size_t n, size_t step, char *buf, size_t cap);

#endif
