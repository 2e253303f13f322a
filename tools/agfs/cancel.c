/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "cancel.h"
#include "crowd.h"
#include "util.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_interactive;
static volatile sig_atomic_t asked, changing;
static sem_t askings;                                          /* for cancel_await */
static pthread_mutex_t begin_lock = PTHREAD_MUTEX_INITIALIZER; /* no command begins */
/*
 * Half-written files. Changed under the lock; the handler takes those whose state says so. One that
 * is made right now is not among them yet: the handler waits for it, on a thread that makes none.
 */
#define FILES_MAX (2 * CROWD_MAX) /* a moved file has one that waits, and one that is written */
enum state { UNUSED, REMOVE, TELL };
#define MAKING_MS 1000 /* not for ever, should a file system hang */
static atomic_uint n_making;
static atomic_bool is_ending;
static pthread_mutex_t files_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    atomic_int state;
    char path[PATH_MAX];
} files[FILES_MAX];

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
        sem_post(&askings);
        return;
    }
    atomic_store(&is_ending, true);
    for (int i = 0; i < MAKING_MS && atomic_load(&n_making) > 0; i++)
        poll(NULL, 0, 1);
    for (size_t i = 0; i < FILES_MAX; i++) {
        if (atomic_load(&files[i].state) == REMOVE)
            unlink(files[i].path);
    }
    say("\nagfs: cancelled");
    for (size_t i = 0; i < FILES_MAX; i++) {
        if (atomic_load(&files[i].state) == TELL) {
            say("; look at ");
            say(files[i].path);
            say(" before you remove it: what was being moved may be nowhere else");
        }
    }
    if (changing)
        say("; it is not known whether the remote did what was under way");
    say("\n");
    _exit(sig == SIGINT ? EXIT_CANCEL : 128 + sig);
}

static const int ending[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
#define N_ENDING (sizeof(ending) / sizeof(ending[0]))

/* What nohup and background jobs of a shell ignore stays so; not SIGINT, as it always was. */
static bool is_ignored(int sig)
{
    struct sigaction old;
    return (sig == SIGHUP || sig == SIGQUIT) && sigaction(sig, NULL, &old) == 0 &&
           old.sa_handler == SIG_IGN;
}

void cancel_install(bool interactive)
{
    struct sigaction sa = {.sa_handler = on_signal};
    is_interactive = interactive;
    sem_init(&askings, 0, 0);
    sigemptyset(&sa.sa_mask);
    for (size_t i = 0; i < N_ENDING; i++)
        if (!is_ignored(ending[i]))
            sigaction(ending[i], &sa, NULL);
    /* A closed stdout is seen where it is written to. */
    sa.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &sa, NULL);
}

void cancel_begin(bool changes)
{
    pthread_mutex_lock(&begin_lock);
    asked = 0;
    changing = changes;
    pthread_mutex_unlock(&begin_lock);
}

void cancel_next(bool changes)
{
    changing = changes;
}

bool cancel_asked(void)
{
    return asked != 0;
}

void cancel_await(void)
{
    while (sem_wait(&askings) != 0)
        ; /* EINTR */
}

void cancel_wake(void)
{
    sem_post(&askings);
}

void cancel_if_asked(void (*fn)(void *arg), void *arg)
{
    pthread_mutex_lock(&begin_lock);
    if (asked)
        fn(arg);
    pthread_mutex_unlock(&begin_lock);
}

static void remember(const char *path, enum state state)
{
    size_t i = 0;
    pthread_mutex_lock(&files_lock);
    while (i < FILES_MAX && atomic_load(&files[i].state) != UNUSED)
        i++;
    if (i < FILES_MAX && strlen(path) < PATH_MAX) {
        memcpy(files[i].path, path, strlen(path) + 1);
        atomic_store(&files[i].state, (int)state);
    }
    pthread_mutex_unlock(&files_lock);
}

int cancel_file(char *name)
{
    sigset_t ours, before;
    sigemptyset(&ours);
    for (size_t i = 0; i < N_ENDING; i++)
        sigaddset(&ours, ending[i]);
    pthread_sigmask(SIG_BLOCK, &ours, &before);
    atomic_fetch_add(&n_making, 1);
    if (atomic_load(&is_ending)) {
        atomic_fetch_sub(&n_making, 1);
        for (;;)
            pause(); /* the handler, on another thread, ends us all */
    }
    int fd = mkostemp(name, O_CLOEXEC);
    int eno = errno;
    if (fd >= 0)
        remember(name, REMOVE);
    atomic_fetch_sub(&n_making, 1);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = eno;
    return fd;
}

void cancel_file_done(const char *name)
{
    pthread_mutex_lock(&files_lock);
    for (size_t i = 0; i < FILES_MAX; i++) {
        if (atomic_load(&files[i].state) != UNUSED && strcmp(files[i].path, name) == 0)
            atomic_store(&files[i].state, UNUSED);
    }
    pthread_mutex_unlock(&files_lock);
}

void cancel_tell(const char *name)
{
    remember(name, TELL);
}
