/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/op.h"
#include <criterion/criterion.h>
#include <string.h>

static const struct {
    const char *id, *safety;
} rows[PFS_N_OPS] = {
#define X(id, name, safety) {#id, #safety},
    PFS_OP_TABLE(X)
#undef X
};

static bool is_one_of(const char *word, const char *const *words)
{
    while (*words && strcmp(*words, word) != 0) {
        words++;
    }
    return *words != NULL;
}

/* By the words of the row, which are what a reader of the table goes by. */
static enum op_subject subject_by_name(const char *id)
{
    static const char *const two[] = {"RENAME", "COPY", NULL};
    static const char *const of_path[] = {"HANDLE_OPEN", "HANDLE_REPLACE", NULL};
    static const char *const whole[] = {"CAPABILITIES", "HEALTH", NULL};

    if (is_one_of(id, two)) {
        return SUBJECT_TWO_PATHS;
    }
    if (strncmp(id, "HANDLE_", 7) == 0 && !is_one_of(id, of_path)) {
        return SUBJECT_HANDLE;
    }
    if (strstr(id, "MOUNT") || strstr(id, "PLUGIN")) {
        return SUBJECT_SERVER;
    }
    return is_one_of(id, whole) ? SUBJECT_WHOLE : SUBJECT_PATH;
}

Test(base_op, every_row_has_its_subject_and_safety)
{
    for (int i = 0; i < PFS_N_OPS; i++) {
        enum pfs_op op = (enum pfs_op)i;
        enum op_subject s = subject_by_name(rows[i].id);

        cr_expect_eq(op_subject(op), s, "%s", rows[i].id);
        cr_expect_eq("RWMQ"[op_safety(op)], rows[i].safety[0], "%s", rows[i].id);
        cr_expect_eq(op_is_by_handle(op), s == SUBJECT_HANDLE, "%s", rows[i].id);
        cr_expect_eq(op_is_of_server(op), s == SUBJECT_SERVER, "%s", rows[i].id);
        cr_expect_eq(op_has_two_paths(op), s == SUBJECT_TWO_PATHS, "%s", rows[i].id);
        cr_expect_eq(op_needs_path(op),
                     s == SUBJECT_PATH || s == SUBJECT_TWO_PATHS || op == PFS_OP_HANDLE_COMMIT,
                     "%s", rows[i].id);
    }
}

Test(base_op, what_is_no_row_is_nobodys_and_unsafe)
{
    cr_assert_eq(op_safety((enum pfs_op)9999), SAFETY_Q);
    cr_assert_eq(op_subject((enum pfs_op)9999), SUBJECT_WHOLE);
    cr_assert_not(op_needs_path(PFS_N_OPS));
}
