/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Blocked callers. They sleep on a few futex words, each thread on a bit of its own as long as
 * there are no more than bits; a batch of finished exchanges is woken by one call for each word,
 * with the bits of its waiters. The waker sets `done` first and changes the word afterwards; the
 * waiter reads the word first and `done` afterwards: so it either sees done or its futex call finds
 * the word changed. Once done is set the caller may have gone, and its remote: so the words are the
 * process's.
 */
#include "base/clock.h"
#include "conn/generation_internal.h"
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static atomic_uint words[WAKE_WORDS];

/* At least so often a sleeper looks again, whatever happens. */
#define LOOK_AGAIN_NS (500 * PFS_MS)

void wake_callers(const uint32_t bits[WAKE_WORDS])
{
    for (unsigned i = 0; i < WAKE_WORDS; i++) {
        if (bits[i]) {
            atomic_fetch_add(&words[i], 1);
            syscall(SYS_futex, &words[i], FUTEX_WAKE_BITSET | FUTEX_PRIVATE_FLAG, INT32_MAX, NULL,
                    NULL, bits[i]);
        }
    }
}

unsigned caller_number(void)
{
    static atomic_uint next;
    static _Thread_local unsigned number; /* plus 1; 0: none yet */

    if (number == 0) {
        number = 1 + atomic_fetch_add_explicit(&next, 1, memory_order_relaxed);
    }
    return number - 1;
}

/*
 * Threads take numbers in turn, so that few of them share one word and none a bit; neighbours have
 * different words where the generation has several connections at work (choose.c).
 */
static unsigned own_slot(const struct generation *g)
{
    unsigned k = caller_number(), n = g->n_loops, word = k / (32 * n) * n + k % n;

    return word % WAKE_WORDS * 32 + k / n % 32;
}

void exchange_finish(struct exchange *ex)
{
    uint32_t bits[WAKE_WORDS] = {0};

    bits[ex->wake_slot / 32] = 1u << ex->wake_slot % 32;
    if (ex->notify) {
        ex->notify(ex, EXCHANGE_DONE);
        return;
    }
    atomic_store(&ex->done, 1);
    wake_callers(bits);
}

/* True: done; false: the deadline passed. now: as it was a moment ago. */
static bool sleep_until_done(struct exchange *ex, int64_t deadline_ns, int64_t now)
{
    atomic_uint *word = &words[ex->wake_slot / 32];

    for (bool slept = false;; slept = true) {
        unsigned seen = atomic_load(word);

        if (atomic_load(&ex->done)) {
            return true;
        }
        now = slept ? pfs_now() : now;
        if (now >= deadline_ns) {
            return false;
        }
        int64_t until = pfs_earlier(deadline_ns, now + LOOK_AGAIN_NS);
        struct timespec ts = {.tv_sec = until / PFS_SEC, .tv_nsec = until % PFS_SEC};

        syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, seen, &ts, NULL,
                1u << ex->wake_slot % 32);
    }
}

void generation_call(struct generation *g, struct exchange *ex)
{
    int64_t now = ex->ready_ns; /* another thread may submit it again, later */

    ex->wake_slot = own_slot(g);
    struct conn *mine = generation_submit_for_caller(g, ex);
    if (mine) {
        conn_drive(mine, ex);
    }
    if (!atomic_load(&ex->done) && !sleep_until_done(ex, ex->deadline_ns, now)) {
        exchange_cancel(ex, PFS_TIMEOUT);
        while (!sleep_until_done(ex, PFS_NEVER, pfs_now())) {
        }
    }
}
