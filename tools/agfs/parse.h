/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFS_PARSE_H
#define AGFS_PARSE_H

/* The shell's language: words, quotes, `>` and `>>`, `;`, `#` and `$?`. Pure functions. */
#include <stdbool.h>
#include <stddef.h>

/* A word after the removal of quotes. All members are owned by the word. */
struct word {
    char *text;
    char *pattern; /* fnmatch pattern when an unquoted `*` occurs, else NULL */
};

enum redirect { REDIRECT_NONE, REDIRECT_REPLACE, REDIRECT_APPEND };

/* One command; n is 0 for a bare redirection. */
struct command {
    struct word *words;
    size_t n;
    enum redirect redirect;
    struct word target; /* of the redirection */
};

/* What a line holds: commands in the order they run. */
struct line {
    struct command *commands;
    size_t n;
};

/*
 * Parses `text`. Inside '..' nothing is special; inside ".." a backslash takes away the meaning of
 * the following `"`, `\`, `$` and `$?` becomes last_status; elsewhere a backslash takes away any
 * meaning. Returns NULL and *ret (line_fini) or what is wrong, a static string.
 */
const char *line_parse(const char *text, int last_status, struct line *ret);
void line_fini(struct line *l);
/*
 * The same for the next command of *text alone, behind which *text is moved; at the end of the line
 * *ret has neither words nor a redirection.
 */
const char *command_next(const char **text, int last_status, struct command *ret);
void command_fini(struct command *c);

/* `name` so that the shell reads it back as one word (owned by the caller). */
char *word_quote(const char *name);

#endif
