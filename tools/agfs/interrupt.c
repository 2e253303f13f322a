/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "interrupt.h"
#include "cancel.h"
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

static bool is_running;
static pthread_t thread;
static atomic_bool is_ending;

static void give_up(void *client)
{
    pfs_cancel_all(client);
}

static void *watch(void *client)
{
    for (cancel_await(); !atomic_load(&is_ending); cancel_await()) {
        poll(NULL, 0, INTERRUPT_GRACE_MS);
        cancel_if_asked(give_up, client);
    }
    return NULL;
}

void interrupt_begin(struct pfs_client *c)
{
    sigset_t all, before;
    sigfillset(&all); /* signals are for the main thread, which waits for keys */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    is_running = pthread_create(&thread, NULL, watch, c) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void interrupt_end(void)
{
    if (!is_running)
        return;
    is_running = false;
    atomic_store(&is_ending, true);
    cancel_wake();
    pthread_join(thread, NULL);
}
