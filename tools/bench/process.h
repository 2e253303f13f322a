/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef BENCH_PROCESS_H
#define BENCH_PROCESS_H

/* Other processes and this one, as the kernel knows them. */
#include <stdint.h>
#include <sys/types.h>

/* The process on this machine that listens where the URL points to, 0 when that is another machine
 * or cannot be found out (it belongs to somebody else). */
pid_t process_of_url(const char *url);
/* CPU time of a process in seconds, NAN when it cannot be known. */
double process_cpu_s(pid_t pid);
/* That of everything on this machine, and what its hypervisor gave to others; NAN: unknown. */
double machine_cpu_s(void);

/*
 * User instructions of this process and every thread that it starts from now on; where the machine
 * or its settings do not allow counting, instructions_read says NAN.
 */
void instructions_start(void);
double instructions_read(void);

/* Binds the calling thread, and what it starts from now on, to one CPU. 0 or an errno. */
int process_pin(int cpu);

#endif
