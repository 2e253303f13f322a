/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef TESTS_AGFS_RUN_H
#define TESTS_AGFS_RUN_H

/* A shell over the fake client whose output is kept. */
#include "cli.h"
#include "support/fake_pfs.h"
#include <criterion/criterion.h>

struct run {
    struct cli cli;
    struct pfs_client *client;
    char *out, *err; /* of the last run_line */
    size_t out_len, err_len;
};

/* A tree with the mounts /m1 (a, b.txt, sub/c.txt), /m2 and /remote (reload). */
void run_begin(struct run *r);
void run_end(struct run *r);
/* Runs one line as the shell does; r->out and r->err are what it printed. Returns $?. */
int run_line(struct run *r, const char *line);

/* The line succeeds, prints exactly `expected`, and no error. */
#define expect_out(r, line, expected)                                                              \
    do {                                                                                           \
        int code_ = run_line((r), (line));                                                         \
        cr_assert_eq(code_, 0, "%s: code %d, %s", (line), code_, (r)->err);                        \
        cr_assert_str_eq((r)->out, (expected), "%s", (line));                                      \
        cr_assert_str_eq((r)->err, "", "%s", (line));                                              \
    } while (0)

/* The line fails with this exit code and an error that holds `part`. */
#define expect_fail(r, line, code, part)                                                           \
    do {                                                                                           \
        int code_ = run_line((r), (line));                                                         \
        cr_assert_eq(code_, (code), "%s: code %d, %s", (line), code_, (r)->err);                   \
        cr_assert(strstr((r)->err, (part)), "%s: %s", (line), (r)->err);                           \
    } while (0)

#endif
