/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef TESTS_AGFS_FILES_H
#define TESTS_AGFS_FILES_H

/* A directory of this machine for one test, which runs inside of it. */
extern char files_dir[64];
void files_begin(void);
void files_end(void);

void put_file(const char *name, const char *content);
/* The file is there, and holds that. */
void expect_file(const char *name, const char *content);

#endif
