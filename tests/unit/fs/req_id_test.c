/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "fs/req_id.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

Test(fs_req_id, ids_are_32_hex_digits_and_count_up)
{
    char last[33], id[33];

    req_id_make(last);
    for (int i = 0; i < 1000; i++) {
        req_id_make(id);
        cr_assert_eq(strlen(id), 32);
        cr_assert_eq(strspn(id, "0123456789abcdef"), 32, "%s", id);
        cr_assert_eq(memcmp(id, last, 16), 0, "the first half is the process's");
        unsigned long long a = strtoull(last + 16, NULL, 16), b = strtoull(id + 16, NULL, 16);
        cr_assert_eq(b, a + 1, "%s after %s", id, last);
        memcpy(last, id, sizeof last);
    }
}

Test(fs_req_id, a_forked_child_makes_others)
{
    char mine[33], childs[33];
    int fds[2];

    req_id_make(mine);
    cr_assert_eq(pipe(fds), 0);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        req_id_make(childs);
        _exit(write(fds[1], childs, sizeof childs) == sizeof childs ? 0 : 1);
    }
    cr_assert_eq(read(fds[0], childs, sizeof childs), sizeof childs);
    waitpid(child, NULL, 0);
    cr_assert_neq(memcmp(mine, childs, 16), 0);
    close(fds[0]);
    close(fds[1]);
}
