/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "parse.h"
#include "util.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a scan of one word collects: its text and, at the same time, the pattern it would be. */
struct scan {
    const char *at;
    int last_status;
    struct text text, pattern;
    bool any;  /* quotes make a word even when it is empty */
    bool glob; /* an unquoted `*` was seen */
};

/* A character that means itself. */
static void plain(struct scan *s, char c)
{
    s->any = true;
    text_char(&s->text, c);
    if (strchr("*?[]\\", c))
        text_char(&s->pattern, '\\');
    text_char(&s->pattern, c);
}

static void status_value(struct scan *s)
{
    char digits[16];
    snprintf(digits, sizeof(digits), "%d", s->last_status);
    for (const char *d = digits; *d; d++)
        plain(s, *d);
    s->at += 2;
}

static const char *quoted(struct scan *s, char quote)
{
    s->any = true;
    for (s->at++; *s->at != quote;) {
        if (*s->at == '\0')
            return quote == '"' ? "a \" is not closed" : "a ' is not closed";
        if (quote == '"' && s->at[0] == '$' && s->at[1] == '?') {
            status_value(s);
            continue;
        }
        if (quote == '"' && s->at[0] == '\\' && s->at[1] && strchr("\"\\$", s->at[1]))
            s->at++;
        plain(s, *s->at++);
    }
    s->at++;
    return NULL;
}

static bool ends_word(char c)
{
    return c == '\0' || strchr(" \t\r\n;|<>", c) != NULL;
}

/* What a user of other shells means by it differs; none of it may become a word by accident. */
static const char *wrong_ampersand(const char *at)
{
    if (at[1] == '&')
        return "&& is not supported: ; separates commands, and each runs even if the one before "
               "failed (quote it if it is meant as text)";
    if (at[1] == '>')
        return "&> is not supported: > takes the output, and error lines stay where they are";
    return "& is not supported (quote it if it is meant as text)";
}

/* Scans one word into *ret; *ret stays empty (text NULL) where none begins. */
static const char *scan_word(struct scan *s, struct word *ret)
{
    const char *wrong = NULL;
    while (wrong == NULL && !ends_word(*s->at)) {
        if (*s->at == '\'' || *s->at == '"') {
            wrong = quoted(s, *s->at);
        } else if (*s->at == '&') {
            wrong = wrong_ampersand(s->at);
        } else if (s->at[0] == '$' && s->at[1] == '?') {
            status_value(s);
        } else if (*s->at == '\\' && s->at[1] == '\0') {
            wrong = "nothing follows the last \\";
        } else if (*s->at == '\\') {
            plain(s, s->at[1]);
            s->at += 2;
        } else if (*s->at == '*') {
            s->any = s->glob = true;
            text_char(&s->text, '*');
            text_char(&s->pattern, '*');
            s->at++;
        } else {
            plain(s, *s->at++);
        }
    }
    char *text = text_take(&s->text), *pattern = text_take(&s->pattern);
    if (wrong == NULL && s->any) {
        ret->text = text;
        ret->pattern = s->glob ? pattern : NULL;
        text = NULL;
        if (s->glob)
            pattern = NULL;
    }
    free(text);
    free(pattern);
    return wrong;
}

static void skip_blanks(const char **at)
{
    *at += strspn(*at, " \t\r\n");
}

static const char *next_word(const char **at, int last_status, struct word *ret)
{
    struct scan s = {.at = *at, .last_status = last_status};
    *ret = (struct word){0};
    const char *wrong = scan_word(&s, ret);
    *at = s.at;
    return wrong;
}

static const char *parse_redirect(const char **at, int last_status, struct command *c)
{
    if (c->redirect != REDIRECT_NONE)
        return "two redirections in one command";
    c->redirect = (*at)[1] == '>' ? REDIRECT_APPEND : REDIRECT_REPLACE;
    *at += c->redirect == REDIRECT_APPEND ? 2 : 1;
    skip_blanks(at);
    const char *wrong = next_word(at, last_status, &c->target);
    if (wrong == NULL && (c->target.text == NULL || c->target.text[0] == '\0'))
        wrong = "a path must follow >";
    return wrong;
}

/* What begins at `at` and is no part of this language; NULL: nothing. */
static const char *unsupported(const char *at)
{
    if (at[0] == '|' && at[1] == '|')
        return "|| is not supported: ; separates commands, and each runs even if the one before "
               "succeeded (quote it if it is meant as text)";
    if (at[0] == '|')
        return "| is not supported (quote it if it is meant as text)";
    if (at[0] == '<')
        return "< is not supported (quote it if it is meant as text)";
    size_t digits = strspn(at, "0123456789");
    if (digits > 0 && at[digits] == '>')
        return "a number directly before > is not supported: > takes the output, and error lines "
               "stay where they are (put a blank between if the number is meant as text)";
    return NULL;
}

/* Parses one command up to `;` or the end. */
static const char *parse_command(const char **at, int last_status, struct command *c)
{
    const char *wrong = NULL;
    for (skip_blanks(at); wrong == NULL && **at && **at != ';'; skip_blanks(at)) {
        struct word w;
        if (**at == '#') {
            *at += strlen(*at);
            break;
        }
        if ((wrong = unsupported(*at)) != NULL)
            return wrong;
        if (**at == '>') {
            wrong = parse_redirect(at, last_status, c);
            continue;
        }
        wrong = next_word(at, last_status, &w);
        if (wrong == NULL) {
            c->words = xrealloc(c->words, (c->n + 1) * sizeof(*c->words));
            c->words[c->n++] = w;
        }
    }
    return wrong;
}

static bool is_empty(const struct command *c)
{
    return c->n == 0 && c->redirect == REDIRECT_NONE;
}

const char *command_next(const char **text, int last_status, struct command *ret)
{
    struct command c = {0};
    const char *wrong = NULL;
    while (wrong == NULL && **text && is_empty(&c)) {
        wrong = parse_command(text, last_status, &c);
        *text += **text == ';';
    }
    if (wrong)
        command_fini(&c);
    else
        *ret = c;
    return wrong;
}

void command_fini(struct command *c)
{
    for (size_t i = 0; i < c->n; i++) {
        free(c->words[i].text);
        free(c->words[i].pattern);
    }
    free(c->words);
    free(c->target.text);
    free(c->target.pattern);
    *c = (struct command){0};
}

const char *line_parse(const char *text, int last_status, struct line *ret)
{
    struct line l = {0};
    const char *wrong = NULL;
    while (wrong == NULL && *text) {
        struct command c = {0};
        wrong = command_next(&text, last_status, &c);
        if (!is_empty(&c)) {
            l.commands = xrealloc(l.commands, (l.n + 1) * sizeof(*l.commands));
            l.commands[l.n++] = c;
        }
    }
    if (wrong)
        line_fini(&l);
    else
        *ret = l;
    return wrong;
}

void line_fini(struct line *l)
{
    for (size_t i = 0; i < l->n; i++)
        command_fini(&l->commands[i]);
    free(l->commands);
    *l = (struct line){0};
}

char *word_quote(const char *name)
{
    struct text t = {0};
    for (const char *s = name; *s; s++) {
        if (strchr(" \t;&|<>'\"\\*#$", *s))
            text_char(&t, '\\');
        text_char(&t, *s);
    }
    return text_take(&t);
}
