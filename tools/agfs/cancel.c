/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "cancel.h"
#include "util.h"
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool is_interactive;
static volatile sig_atomic_t asked, changing, has_file;
static char file[PATH_MAX];

static void say(const char *s)
{
    ssize_t ignored = write(STDERR_FILENO, s, strlen(s));
    (void)ignored;
}

/* Only async-signal-safe calls. */
static void on_signal(int sig)
{
    if (is_interactive && sig == SIGINT && !asked) {
        asked = 1;
        return;
    }
    if (has_file)
        unlink(file);
    say("\nagfs: cancelled");
    if (changing)
        say("; it is not known whether the remote did what was under way");
    say("\n");
    _exit(sig == SIGINT ? EXIT_CANCEL : 128 + sig);
}

void cancel_install(bool interactive)
{
    struct sigaction sa = {.sa_handler = on_signal};
    is_interactive = interactive;
    sigemptyset(&sa.sa_mask);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    /* A closed stdout is seen where it is written to. */
    sa.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &sa, NULL);
}

void cancel_begin(bool changes)
{
    asked = 0;
    changing = changes;
}

bool cancel_asked(void)
{
    return asked != 0;
}

void cancel_file(const char *path)
{
    has_file = 0;
    if (path && strlen(path) < sizeof(file)) {
        memcpy(file, path, strlen(path) + 1);
        has_file = 1;
    }
}
