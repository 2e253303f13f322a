/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "interrupt.h"
#include "util.h"
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static atomic_int asked;
static atomic_bool graceful;
static _Atomic(const char *) unfinished[INTERRUPT_FILES_MAX];

/* Only async-signal-safe calls. */
static void end_at_once(int sig, const char *text, size_t n)
{
    for (int i = 0; i < INTERRUPT_FILES_MAX; i++) {
        const char *path = atomic_load(&unfinished[i]);
        if (path)
            unlink(path);
    }
    ssize_t ignored = write(STDERR_FILENO, text, n);
    (void)ignored;
    _exit(128 + sig);
}

static void on_signal(int sig)
{
    static const char early[] = "\nagfs-bench: interrupted before anything was measured\n";
    static const char again[] =
        "\nagfs-bench: ended at once; a directory agfs-bench-* may be left on the server\n";

    if (!atomic_load(&graceful))
        end_at_once(sig, early, sizeof early - 1);
    if (atomic_fetch_add(&asked, 1) > 0)
        end_at_once(sig, again, sizeof again - 1);
}

void interrupt_install(void)
{
    struct sigaction sa = {.sa_handler = on_signal}, before;

    sigemptyset(&sa.sa_mask);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN) /* nohup(1) */
        sigaction(SIGHUP, &sa, NULL);
    sa.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &sa, NULL);
    sigaction(SIGXFSZ, &sa, NULL); /* the write fails instead, which is reported */
}

void interrupt_gracefully(void)
{
    atomic_store(&graceful, true);
}

void interrupt_unlinks(size_t slot, const char *path)
{
    atomic_store(&unfinished[slot], path);
}

bool interrupted(void)
{
    return atomic_load_explicit(&asked, memory_order_relaxed) != 0;
}

enum pfs_class interrupt_error(struct pfs_error *err)
{
    *err = (struct pfs_error){.cls = PFS_CANCELLED};
    snprintf(err->text, sizeof err->text, "interrupted");
    return err->cls;
}

void interrupt_sleep(long long ns)
{
    /* In pieces, since the signal may have been taken by another thread. */
    for (int64_t end = now_ns() + ns; !interrupted() && now_ns() < end;) {
        int64_t left = end - now_ns(), piece = left < 50 * NS_PER_MS ? left : 50 * NS_PER_MS;
        struct timespec t = {.tv_nsec = piece > 0 ? piece : 0};
        nanosleep(&t, NULL);
    }
}
