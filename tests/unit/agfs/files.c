/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "files.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char files_dir[64];

void files_begin(void)
{
    strcpy(files_dir, "/tmp/agfs-copy-XXXXXX");
    cr_assert_not_null(mkdtemp(files_dir));
    cr_assert_eq(chdir(files_dir), 0);
}

void files_end(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", files_dir);
    cr_assert_eq(system(command), 0);
}

void put_file(const char *name, const char *content)
{
    FILE *f = fopen(name, "w");
    cr_assert_not_null(f);
    fputs(content, f);
    fclose(f);
}

void expect_file(const char *name, const char *content)
{
    char buf[256] = "";
    FILE *f = fopen(name, "r");
    cr_assert_not_null(f, "%s", name);
    buf[fread(buf, 1, sizeof(buf) - 1, f)] = '\0';
    fclose(f);
    cr_assert_str_eq(buf, content, "%s", name);
}
