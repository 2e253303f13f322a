/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "progress.h"
#include <criterion/criterion.h>
#include <string.h>

static const char *fit(const char *text, size_t columns)
{
    static char line[80];

    strcpy(line, text);
    progress_fit(line, columns);
    return line;
}

Test(bench_progress, a_line_is_cut_where_the_terminal_ends)
{
    cr_assert_str_eq(fit("local, step 1", 80), "local, step 1");
    cr_assert_str_eq(fit("local, step 1", 13), "local, step 1");
    cr_assert_str_eq(fit("local, step 1", 12), "local, step ");
    cr_assert_str_eq(fit("local", 0), "");
}

Test(bench_progress, a_character_is_cut_as_a_whole)
{
    cr_assert_str_eq(fit("\xc3\xa9t\xc3\xa9", 3), "\xc3\xa9t\xc3\xa9");
    cr_assert_str_eq(fit("\xc3\xa9t\xc3\xa9", 2), "\xc3\xa9t");
    cr_assert_str_eq(fit("\xe2\x82\xac\xe2\x82\xac", 1), "\xe2\x82\xac");
}

/* As the rest of a name that was too long, or a name that would talk to the terminal. */
Test(bench_progress, what_is_no_text_is_not_shown)
{
    cr_assert_str_eq(fit("a\xe2\x82", 80), "a??");
    cr_assert_str_eq(fit("\033[2J\n", 80), "?[2J?");
}
