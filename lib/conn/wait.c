/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Blocked callers. All callers of a remote sleep on one futex word; a batch of finished exchanges
 * is woken by one call with the bits of its waiters. The waker sets `done` first and changes the
 * word afterwards; the waiter reads the word first and `done` afterwards: so it either sees done or
 * its futex call finds the word changed.
 */
#include "base/clock.h"
#include "conn/conn.h"
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* At least so often a sleeper looks again, whatever happens. */
#define LOOK_AGAIN_NS (500 * PFS_MS)

void wake_callers(atomic_uint *word, uint32_t bits)
{
    atomic_fetch_add(word, 1);
    syscall(SYS_futex, word, FUTEX_WAKE_BITSET | FUTEX_PRIVATE_FLAG, INT32_MAX, NULL, NULL, bits);
}

void exchange_finish(struct exchange *ex)
{
    atomic_uint *word = ex->wake_word;
    uint32_t bit = ex->wake_bit;

    if (ex->notify) {
        ex->notify(ex, EXCHANGE_DONE);
        return;
    }
    atomic_store(&ex->done, 1);
    wake_callers(word, bit);
}

/* True: done; false: the deadline passed. */
static bool sleep_until_done(struct exchange *ex, int64_t deadline_ns)
{
    for (;;) {
        unsigned seen = atomic_load(ex->wake_word);
        int64_t now = pfs_now();

        if (atomic_load(&ex->done)) {
            return true;
        }
        if (now >= deadline_ns) {
            return false;
        }
        int64_t until = pfs_earlier(deadline_ns, now + LOOK_AGAIN_NS);
        struct timespec ts = {.tv_sec = until / PFS_SEC, .tv_nsec = until % PFS_SEC};

        syscall(SYS_futex, ex->wake_word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, seen, &ts, NULL,
                ex->wake_bit);
    }
}

void generation_call(struct generation *g, struct exchange *ex)
{
    static atomic_uint next_bit;

    ex->wake_bit = 1u << (atomic_fetch_add_explicit(&next_bit, 1, memory_order_relaxed) & 31);
    struct conn *mine = generation_submit_for_caller(g, ex);
    if (mine) {
        conn_drive(mine, ex);
    }
    if (!atomic_load(&ex->done) && !sleep_until_done(ex, ex->deadline_ns)) {
        exchange_cancel(ex, PFS_TIMEOUT);
        while (!sleep_until_done(ex, PFS_NEVER)) {
        }
    }
}
