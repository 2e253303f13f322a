/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef TESTS_SYSCALL_FAIL_H
#define TESTS_SYSCALL_FAIL_H

/*
 * System calls that fail when told to: a library that stands between a program and the C library,
 * linked into a test or preloaded into a server (LD_PRELOAD). A program that is preloaded is told
 * through the file that the environment names, which holds a struct syscall_fail.
 */
#include <stdatomic.h>
#include <stdint.h>

#define SYSCALL_FAIL_FILE "PFS_SYSCALL_FAIL"
#define SYSCALL_FAIL_NAME 24

/* Faults that are no errno. */
#define FAULT_SHORT (-1) /* of a read or write: one byte is moved */
#define FAULT_END (-2)   /* of a read: 0, as at the end of a file or of a connection */

struct syscall_fail {
    char call[SYSCALL_FAIL_NAME]; /* as in the C library, without the 64 */
    _Atomic int32_t fault;        /* an errno, or one of the above */
    _Atomic int32_t lasting;      /* 0: only call number nth; 1: that and all that follow */
    _Atomic uint64_t nth;         /* 1: the next one; 0: none */
    _Atomic uint64_t count;       /* calls of that name since then */
    _Atomic uint64_t hits;        /* of them, those that failed */
};

/* For the process itself: call number nth of that name from now on fails. nth 0: none does. */
void syscall_fail_nth(const char *call, int fault, unsigned long nth);
/* How often it was called since it was last told to fail, until none was. */
unsigned long syscall_fail_count(void);

#endif
