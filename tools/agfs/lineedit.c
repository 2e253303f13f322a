/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* The terminal: libedit with prompt, history and completion. Nothing else knows libedit. */
#include "cancel.h"
#include "secret.h"
#include "shell.h"
#include <errno.h>
#include <histedit.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

#define HISTORY_LINES 1000 /* as much as one scrolls back */

/* What libedit's callbacks find with EL_CLIENTDATA. */
struct terminal {
    struct cli *cli;
    EditLine *el;
    History *history;
    char *prompt, *history_file; /* owned; history_file may be NULL */
    sigset_t usual;              /* the signals blocked while no line is edited */
};

static char *prompt_cb(EditLine *el)
{
    struct terminal *t;
    el_get(el, EL_CLIENTDATA, &t);
    return t->prompt;
}

/* What wakes who waits for a key comes at no other time: see wait_for_key. */
static void hold_signals(struct terminal *t)
{
    sigset_t held;
    sigemptyset(&held);
    sigaddset(&held, SIGINT);
    sigaddset(&held, SIGWINCH);
    sigaddset(&held, SIGCONT);
    sigprocmask(SIG_BLOCK, &held, &t->usual);
}

static void release_signals(const struct terminal *t)
{
    sigprocmask(SIG_SETMASK, &t->usual, NULL);
}

static unsigned char show_choices(struct terminal *t, const struct strings *words)
{
    putc('\n', t->cli->out);
    for (size_t i = 0; i < words->n; i++) {
        cli_put_text(t->cli, words->v[i]);
        fputs(i + 1 < words->n ? "  " : "\n", t->cli->out);
    }
    fflush(t->cli->out);
    return CC_REDISPLAY;
}

/* libedit counts characters, not bytes, and takes no text that is none in this locale. */
static unsigned char replace(EditLine *el, const char *typed, const char *fill)
{
    size_t n = mbstowcs(NULL, typed, 0);
    if (n == (size_t)-1 || mbstowcs(NULL, fill, 0) == (size_t)-1)
        return CC_ERROR;
    el_deletestr(el, (int)n);
    return el_insertstr(el, fill) == 0 ? CC_REFRESH : CC_ERROR;
}

/* Puts in place of `typed` what is common to the words; shows them where that is nothing more. */
static unsigned char choose(struct terminal *t, const char *typed, const struct strings *words)
{
    size_t common = shell_common(words);
    bool only = words->n == 1 && words->v[0][common] == '\0';
    if (!only && common <= strlen(typed))
        return show_choices(t, words);
    bool done = only && common > 0 && words->v[0][common - 1] != '/';
    char *fill = xasprintf("%.*s%s", (int)common, words->v[0], done ? " " : "");
    unsigned char result = replace(t->el, typed, fill);
    free(fill);
    return result;
}

static unsigned char complete_cb(EditLine *el, int ch)
{
    struct terminal *t;
    struct strings words = {0};
    size_t word;
    unsigned char result = CC_ERROR;
    (void)ch;
    el_get(el, EL_CLIENTDATA, &t);
    const LineInfo *info = el_line(el);
    char *line = xstrndup(info->buffer, (size_t)(info->cursor - info->buffer));
    release_signals(t);
    shell_complete(t->cli, line, &word, &words);
    hold_signals(t);
    if (words.n > 0)
        result = choose(t, line + word, &words);
    strings_fini(&words);
    free(line);
    return result;
}

static void load_history(struct terminal *t)
{
    HistEvent ev;
    const char *home = getenv("HOME");
    t->history = history_init();
    if (t->history == NULL)
        return;
    history(t->history, &ev, H_SETSIZE, HISTORY_LINES);
    history(t->history, &ev, H_SETUNIQUE, 1);
    if (home && home[0]) {
        t->history_file = xasprintf("%s/.agfs_history", home);
        history(t->history, &ev, H_LOAD, t->history_file);
    }
    el_set(t->el, EL_HIST, history, t->history);
}

static void save_history(struct terminal *t)
{
    HistEvent ev;
    if (t->history && t->history_file) {
        /* Commands may hold what others should not read. */
        mode_t mask = umask(077);
        history(t->history, &ev, H_SAVE, t->history_file);
        umask(mask);
    }
    if (t->history)
        history_end(t->history);
    free(t->history_file);
}

/* The window has another size, or another program had the terminal. */
static void draw_again(EditLine *el)
{
    el_set(el, EL_PREP_TERM, 0); /* else it believes that it has the terminal */
    el_set(el, EL_PREP_TERM, 1);
    el_resize(el);
    el_set(el, EL_REFRESH);
}

/*
 * False: Ctrl-C (EINTR), or the terminal failed; errno says which. Where libedit itself waits, no
 * signal is held: a Ctrl-C that came after the prompt was printed and before its read began changed
 * nothing, and the next one ended the shell.
 */
static bool wait_for_key(const struct terminal *t)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    while (!cancel_asked()) {
        if (ppoll(&in, 1, NULL, &t->usual) > 0)
            return true;
        if (errno != EINTR)
            return false;
        if (!cancel_asked())
            draw_again(t->el);
    }
    errno = EINTR;
    return false;
}

/* In place of libedit's own, for wait_for_key. */
static int read_key_cb(EditLine *el, wchar_t *key)
{
    struct terminal *t;
    mbstate_t state = {0};
    el_get(el, EL_CLIENTDATA, &t);
    for (;;) {
        char byte;
        if (!wait_for_key(t))
            return -1;
        ssize_t n = read(STDIN_FILENO, &byte, 1);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (n <= 0)
            return (int)n;
        size_t rc = mbrtowc(key, &byte, 1, &state);
        if (rc == (size_t)-1)
            memset(&state, 0, sizeof state); /* no text in this locale */
        else if (rc != (size_t)-2)
            return 1;
    }
}

static void wake(int sig)
{
    (void)sig; /* that ppoll returns is enough */
}

static const char *edit_line(struct terminal *t, int *n)
{
    hold_signals(t);
    cancel_begin(false);
    el_resize(t->el);
    const char *line = el_gets(t->el, n);
    int error = errno;
    release_signals(t);
    errno = error;
    return line;
}

/* Reads one line; NULL: the end of input. A line given up with Ctrl-C comes back empty. */
static const char *read_line(struct terminal *t)
{
    int n;
    free(t->prompt);
    t->prompt = shell_prompt(t->cli);
    const char *line = edit_line(t, &n);
    if (line && n > 0)
        return line;
    if (n < 0 && errno == EINTR) {
        el_reset(t->el);
        putc('\n', t->cli->out);
        return "";
    }
    return NULL;
}

static void run_line(struct terminal *t, const char *line)
{
    HistEvent ev;
    char *copy = xstrndup(line, strcspn(line, "\n"));
    if (copy[strspn(copy, " \t")]) {
        if (t->history && !line_is_secret(copy))
            history(t->history, &ev, H_ENTER, copy);
        shell_line(t->cli, copy);
    }
    free(copy);
}

int shell_interactive(struct cli *cli)
{
    struct terminal t = {.cli = cli};
    const char *line;
    setlocale(LC_CTYPE, "");
    t.el = el_init("agfs", stdin, stdout, stderr);
    if (t.el == NULL)
        return cli_error(cli, EXIT_OTHER, "the terminal cannot be used");
    el_set(t.el, EL_CLIENTDATA, &t);
    el_set(t.el, EL_EDITOR, "emacs");
    el_set(t.el, EL_PROMPT, prompt_cb);
    /* el_set would keep copies of both texts for ever. */
    el_wset(t.el, EL_ADDFN, L"agfs-complete", L"complete a command or path", complete_cb);
    el_set(t.el, EL_BIND, "^I", "agfs-complete", NULL);
    el_wset(t.el, EL_GETCFN, read_key_cb);
    struct sigaction sa = {.sa_handler = wake, .sa_flags = SA_RESTART};
    sigaction(SIGWINCH, &sa, NULL);
    sigaction(SIGCONT, &sa, NULL);
    load_history(&t);
    el_source(t.el, NULL);
    while (!cli->quit && (line = read_line(&t)) != NULL)
        run_line(&t, line);
    if (!cli->quit)
        putc('\n', cli->out);
    save_history(&t);
    el_end(t.el);
    free(t.prompt);
    return cli->status;
}
