/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "shell.h"
#include "cancel.h"
#include "commands.h"
#include "redirect.h"
#include "stop.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int run_words(struct cli *cli, const struct command *c, struct strings *words)
{
    struct redirection r;
    unsigned errors = cli->n_errors;
    int code = 0, redirect_code;
    if (c->redirect == REDIRECT_NONE)
        return command_run(cli, words->v, (int)words->n);
    redirect_begin(&r, cli, c->redirect, c->target.text);
    if (words->n > 0 && r.code == 0)
        code = command_run(cli, words->v, (int)words->n);
    bool whole = cli->n_errors == errors;
    if (whole && cancel_asked()) {
        code = cli_error(cli, EXIT_CANCEL, "%s: cancelled", c->target.text);
        whole = false;
    }
    /* A failed command must not replace a good file by half an output. */
    redirect_code = redirect_end(&r, whole);
    return redirect_code ? redirect_code : code;
}

static void run_command(struct cli *cli, const struct command *c)
{
    struct strings words = {0};
    const struct command_spec *spec = c->n ? command_find(c->words[0].text) : NULL;
    int code = 0;
    cli->command = spec ? spec->name : NULL;
    cancel_next(c->redirect != REDIRECT_NONE || (spec && spec->changes));
    for (size_t i = 0; i < c->n && code == 0; i++) {
        if (i == 0)
            strings_add(&words, xstrdup(c->words[i].text));
        else
            code = glob_expand(cli, &c->words[i], &words);
    }
    cli->command = NULL;
    if (code)
        cli->status = code;
    else if (!cancel_asked())
        cli->status = run_words(cli, c, &words);
    strings_fini(&words);
}

/* Ctrl-C ends the line with n_left commands to go: they may rely on the cancelled one. */
static int line_cancelled(struct cli *cli, size_t n_left)
{
    if (n_left > 0)
        cli_error(cli, EXIT_CANCEL, "cancelled: %zu more command%s of the line %s not run", n_left,
                  n_left == 1 ? "" : "s", n_left == 1 ? "was" : "were");
    return EXIT_CANCEL;
}

/* How many commands the line has; *ret_wrong: what is wrong with it. */
static size_t count_commands(const char *line, const char **ret_wrong)
{
    struct line l = {0};
    *ret_wrong = line_parse(line, 0, &l);
    size_t n = l.n;
    line_fini(&l);
    return n;
}

int shell_line(struct cli *cli, const char *line)
{
    const char *wrong; /* of the whole line, before anything of it is run */
    size_t n_left = count_commands(line, &wrong);
    if (wrong) {
        cli->status = cli_error(cli, EXIT_USAGE, "%s", wrong);
        return cli->status;
    }
    for (; n_left > 0 && !cli->quit && !cancel_asked(); n_left--) {
        struct command c = {0};
        command_next(&line, cli->status, &c); /* not before: $? is of the command before it */
        run_command(cli, &c);
        command_fini(&c);
        cli->status = stop_flush(cli, cli->status);
    }
    if (cancel_asked())
        cli->status = line_cancelled(cli, n_left);
    return cli->status;
}

char *shell_prompt(const struct cli *cli)
{
    return xasprintf("agfs:%s> ", cli->cwd);
}

/* Comments and empty lines are shown as they are: they explain what follows. */
static void show_line(struct cli *cli, const char *line)
{
    char first = line[strspn(line, " \t")];
    char *prompt = shell_prompt(cli);
    fprintf(cli->out, "%s%s\n", first == '\0' || first == '#' ? "" : prompt, line);
    free(prompt);
}

/* Runs the n bytes at `line`, with or without what ends a line. */
static void script_line(struct cli *cli, char *line, size_t n)
{
    while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
        line[--n] = '\0';
    if (cli->echo)
        show_line(cli, line);
    shell_line(cli, line);
}

int shell_text(struct cli *cli, const char *text)
{
    bool several = strcspn(text, "\n") < strlen(text);
    while (!cli->quit && !cancel_asked() && *text) {
        size_t n = strcspn(text, "\n");
        char *line = xstrndup(text, n);
        cli->line += several;
        script_line(cli, line, n);
        free(line);
        text += n + (text[n] == '\n');
    }
    cli->line = 0;
    return cli->status;
}

int shell_script(struct cli *cli, FILE *f, const char *name)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    cli->script = strcmp(name, "-") == 0 ? NULL : name;
    while (!cli->quit && !cancel_asked() && (n = getline(&line, &cap, f)) >= 0) {
        cli->line++;
        script_line(cli, line, (size_t)n);
    }
    cli->script = NULL;
    cli->line = 0;
    if (ferror(f))
        cli->status = cli_fail_local(cli, name, errno);
    free(line);
    return cli->status;
}
