/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "parse.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

/* A parsed line as one text: words in [], patterns in {}, redirections, commands by ';'. */
static char *show(const char *text)
{
    struct line l;
    char *s = NULL;
    size_t len;
    const char *wrong = line_parse(text, 7, &l);
    if (wrong)
        return strdup(wrong);
    FILE *f = open_memstream(&s, &len);
    for (size_t i = 0; i < l.n; i++) {
        const struct command *c = &l.commands[i];
        fputs(i ? ";" : "", f);
        for (size_t j = 0; j < c->n; j++) {
            fprintf(f, "[%s]", c->words[j].text);
            if (c->words[j].pattern)
                fprintf(f, "{%s}", c->words[j].pattern);
        }
        if (c->redirect != REDIRECT_NONE)
            fprintf(f, "%s%s", c->redirect == REDIRECT_APPEND ? ">>" : ">", c->target.text);
    }
    fclose(f);
    line_fini(&l);
    return s;
}

static void check(const char *const (*rows)[2], size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char *got = show(rows[i][0]);
        cr_assert_str_eq(got, rows[i][1], "%s: %s", rows[i][0], got);
        free(got);
    }
}

#define CHECK(rows) check(rows, sizeof(rows) / sizeof((rows)[0]))

Test(parse, words_and_quotes)
{
    static const char *const rows[][2] = {
        {"", ""},
        {"   # nothing but a comment", ""},
        {"ls", "[ls]"},
        {"  ls\t-l  /a \r\n", "[ls][-l][/a]"},
        {"echo 'a b' \"c d\"", "[echo][a b][c d]"},
        {"echo ''", "[echo][]"},
        {"echo \"\"x", "[echo][x]"},
        {"echo a'b'\"c\"d", "[echo][abcd]"},
        {"echo 'it\\s' \"say \\\"hi\\\" \\\\ \\n\"", "[echo][it\\s][say \"hi\" \\ \\n]"},
        {"echo a\\ b \\> \\# \\'", "[echo][a b][>][#][']"},
        {"echo a#b # c", "[echo][a#b]"},
        {"echo '#' \"> x\" '; y'", "[echo][#][> x][; y]"},
        {"echo $? \"$?\" '$?' \\$? $x", "[echo][7][7][$?][$?][$x]"},
        {"mount proxyfs /r \"base_url=http://h:1/api/v1?a&b\"",
         "[mount][proxyfs][/r][base_url=http://h:1/api/v1?a&b]"},
    };
    CHECK(rows);
}

Test(parse, redirections_and_separators)
{
    static const char *const rows[][2] = {
        {"echo a > /f", "[echo][a]>/f"},
        {"echo a>/f", "[echo][a]>/f"},
        {"echo a>>/f", "[echo][a]>>/f"},
        {"> '/a b' echo x y", "[echo][x][y]>/a b"},
        {">/f", ">/f"},
        {"a; b ;c;", "[a];[b];[c]"},
        {";;", ""},
        {"echo x > /f; cat /f", "[echo][x]>/f;[cat][/f]"},
    };
    CHECK(rows);
}

Test(parse, patterns)
{
    static const char *const rows[][2] = {
        {"ls *.txt", "[ls][*.txt]{*.txt}"},
        {"ls '*.txt' \\*", "[ls][*.txt][*]"},
        {"ls a?b[c]*\"*\"", "[ls][a?b[c]**]{a\\?b\\[c\\]*\\*}"},
    };
    CHECK(rows);
}

Test(parse, what_is_wrong_is_said)
{
    static const char *const rows[][2] = {
        {"echo 'a", "a ' is not closed"},
        {"echo \"a", "a \" is not closed"},
        {"echo a\\", "nothing follows the last \\"},
        {"echo a >", "a path must follow >"},
        {"echo a > ; ls", "a path must follow >"},
        {"echo a > ''", "a path must follow >"},
        {"echo a > /x >> /y", "two redirections in one command"},
        {"cat /a | grep b", "| is not supported (quote it if it is meant as text)"},
        {"cat < /a", "< is not supported (quote it if it is meant as text)"},
        {"ls /a; echo 'x", "a ' is not closed"},
    };
    CHECK(rows);
}

/* What other shells do with it is no word of this one: `rm -r t && cp a b` would remove a and b. */
Test(parse, what_other_shells_have_is_refused)
{
#define AND                                                                                        \
    "&& is not supported: ; separates commands, and each runs even if the one before failed "      \
    "(quote it if it is meant as text)"
#define OR                                                                                         \
    "|| is not supported: ; separates commands, and each runs even if the one before succeeded "   \
    "(quote it if it is meant as text)"
#define BACKGROUND "& is not supported (quote it if it is meant as text)"
#define BOTH "&> is not supported: > takes the output, and error lines stay where they are"
#define NUMBER                                                                                     \
    "a number directly before > is not supported: > takes the output, and error lines stay where " \
    "they are (put a blank between if the number is meant as text)"
    static const char *const rows[][2] = {
        {"rm -r t && cp a b", AND},
        {"rm -r t&&cp a b", AND},
        {"rm -r t || cp a b", OR},
        {"rm -r t||cp a b", OR},
        {"rm t &", BACKGROUND},
        {"rm t& ", BACKGROUND},
        {"rm t & rm u", BACKGROUND},
        {"cat a&b", BACKGROUND},
        {"ls > &1", BACKGROUND},
        {"ls >&2", BACKGROUND},
        {"ls &> /f", BOTH},
        {"ls&>/f", BOTH},
        {"ls 2> /f", NUMBER},
        {"ls 2>&1", NUMBER},
        {"ls 2>>/f", NUMBER},
        {"2>/f ls", NUMBER},
        {"echo 2 > /f", "[echo][2]>/f"},
        {"echo a2>/f", "[echo][a2]>/f"},
        {"echo '2'>/f", "[echo][2]>/f"},
        {"echo '&&' \\&\\& \"a&b\" # && 2>", "[echo][&&][&&][a&b]"},
    };
    CHECK(rows);
}

Test(parse, a_quoted_name_reads_back)
{
    static const char *const names[] = {"plain",  "a b", "it's", "\"x\"",
                                        "*#;|<>", "$?",  "a\\b", "a&b"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct line l;
        char *q = word_quote(names[i]);
        cr_assert_null(line_parse(q, 0, &l), "%s", q);
        cr_assert_eq(l.commands[0].n, 1);
        cr_assert_str_eq(l.commands[0].words[0].text, names[i]);
        cr_assert_null(l.commands[0].words[0].pattern);
        line_fini(&l);
        free(q);
    }
}
