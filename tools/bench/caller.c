/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "caller.h"
#include "util.h"
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>

#define NAP_NS (2 * NS_PER_MS) /* longest sleep that the end of the run does not end */
/* A closed loop at a server that is gone: */
#define FAILURES_FREE 10          /* in a row, before a caller waits between calls */
#define BACK_OFF_NS_MIN NS_PER_MS /* doubled with each further failure */
#define BACK_OFF_NS_MAX (100 * NS_PER_MS)
#define GIVE_UP_NS (10 * NS_PER_S) /* of a number of calls, which has no end by itself */

void run_stop(struct run *run)
{
    pthread_mutex_lock(&run->mu);
    atomic_store(&run->stop, true);
    pthread_cond_broadcast(&run->changed);
    pthread_mutex_unlock(&run->mu);
}

void caller_init(struct caller *c, struct run *run, unsigned number)
{
    const struct load *l = run->load;

    *c = (struct caller){.run = run, .number = number};
    rng_seed(&c->rng, l->seed * 4099 + number);
    for (int op = 0; op < N_OPS; op++) {
        if (l->target->limit ? op == (int)l->target->limit_op
                             : workload_has(l->workload, (enum bench_op)op))
            c->hists[op] = hist_new(3);
    }
    c->late = run->open_loop ? hist_new(3) : NULL;
}

void caller_fini(struct caller *c)
{
    for (int op = 0; op < N_OPS; op++)
        hist_free(c->hists[op]);
    hist_free(c->late);
}

/* ---- the timeline ---- */

static void hand_over_slot(struct caller *c)
{
    struct run *run = c->run;

    if (c->slot_calls + c->slot_errors == 0)
        return;
    pthread_mutex_lock(&run->mu);
    struct timeline_point *p = timeline_at(&run->step->timeline, c->slot);
    p->calls += c->slot_calls;
    p->errors += c->slot_errors;
    if (p->hist == NULL)
        p->hist = hist_new(2);
    for (unsigned i = 0; i < c->slot_calls; i++)
        hist_record(p->hist, c->slot_took[i]);
    pthread_mutex_unlock(&run->mu);
    c->slot_calls = c->slot_errors = 0;
}

static void note_slot(struct caller *c, int64_t due, int64_t took, bool ok)
{
    int64_t since = due - c->run->begin_ns, slot = since - since % c->run->step->timeline.slot_ns;

    if (slot != c->slot || c->slot_calls == SLOT_CALLS) {
        hand_over_slot(c);
        c->slot = slot;
    }
    if (ok)
        c->slot_took[c->slot_calls++] = took;
    else
        c->slot_errors++;
}

/* ---- a call ---- */

static void note_error(struct caller *c, enum bench_op op, const struct pfs_error *err)
{
    c->errors[op]++;
    c->classes[err->cls]++;
    c->outcomes[err->outcome]++;
    if (atomic_fetch_add_explicit(&c->failures, 1, memory_order_relaxed) == 0) {
        pthread_mutex_lock(&c->run->mu);
        if (c->run->step->first_error.cls == PFS_OK)
            c->run->step->first_error = *err;
        pthread_mutex_unlock(&c->run->mu);
    }
}

/*
 * False: the round was stopped meanwhile. Most of the time is waited where that wakes up: looking
 * every now and then would take more CPU time than the calls of a slow plan. The rest is slept,
 * since a wake-up that needs the lock may come late.
 */
static bool wait_until(struct run *run, int64_t due)
{
    struct timespec soon = timespec_of(due - NAP_NS), then = timespec_of(due);
    int timed_out = 0;

    if (due - now_ns() > NAP_NS) {
        pthread_mutex_lock(&run->mu);
        while (!atomic_load(&run->stop) && timed_out == 0)
            timed_out = pthread_cond_clockwait(&run->changed, &run->mu, CLOCK_MONOTONIC, &soon);
        pthread_mutex_unlock(&run->mu);
    }
    if (atomic_load(&run->stop))
        return false;
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &then, NULL) == EINTR) {
    }
    return true;
}

/*
 * Calls that fail at once, because nobody listens, would be made as fast as this machine can: that
 * is no measurement and a burden for a server that starts again. False: the caller gives up.
 */
static bool back_off(struct caller *c, int64_t now, bool measured)
{
    int64_t wait = BACK_OFF_NS_MIN;

    if (c->failed_in_a_row++ == 0)
        c->failing_since_ns = now;
    if (c->run->open_loop || c->failed_in_a_row <= FAILURES_FREE)
        return true;
    for (unsigned i = FAILURES_FREE + 1; i < c->failed_in_a_row && wait < BACK_OFF_NS_MAX; i++)
        wait *= 2;
    c->backed_off += measured;
    wait_until(c->run, now + (wait < BACK_OFF_NS_MAX ? wait : BACK_OFF_NS_MAX));
    return c->run->load->duration_ns > 0 || now - c->failing_since_ns < GIVE_UP_NS;
}

/*
 * Open loop: nobody was free in time for a planned call, which waited until the end at least; that
 * must not be lost.
 */
static void note_unstarted(struct caller *c, int64_t due)
{
    const struct run *run = c->run;
    const struct workload *w = run->load->workload;
    int64_t cut = atomic_load(&run->cut_ns), end = cut < run->end_ns ? cut : run->end_ns;

    if (due < run->begin_ns || due >= end || end == INT64_MAX)
        return;
    hist_record(c->hists[w->parts[workload_pick(w, rng_next(&c->rng))].op], end - due);
    c->unstarted++;
}

/* Takes the next planned call and waits for its time. False: there is none any more. */
static bool wait_for_turn(struct caller *c, int64_t *ret_due)
{
    struct run *run = c->run;

    if (atomic_load(&run->stop))
        return false; /* what nobody takes is counted together */
    int64_t due = schedule_take(&run->schedule), now = now_ns();

    if (due < run->begin_ns && now >= run->begin_ns) { /* what the warm-up left is not measured */
        schedule_skip(&run->schedule, run->begin_ns);
        due = schedule_take(&run->schedule);
    }
    if (due >= run->end_ns)
        return false;
    if (now < due) {
        if (!wait_until(run, due))
            return false;
        if (due >= run->begin_ns)
            hist_record(c->late, now_ns() - due);
    } else if (now >= run->end_ns) {
        note_unstarted(c, due);
        return false;
    }
    *ret_due = due;
    return true;
}

/*
 * Closed loop: the warm-up is over for this caller; the measured time begins for all at once, when
 * it is for all.
 */
static void end_warm_up(struct caller *c)
{
    struct run *run = c->run;

    c->warm = true;
    pthread_mutex_lock(&run->mu);
    run->warm++;
    pthread_cond_broadcast(&run->changed);
    while (!run->measuring)
        pthread_cond_wait(&run->changed, &run->mu);
    pthread_mutex_unlock(&run->mu);
}

/* A caller of a closed loop makes one call at least. */
static bool is_over(const struct caller *c, int64_t start)
{
    return start >= c->run->end_ns && (c->first_ns || c->run->open_loop);
}

/* Ctrl-C came while it was under way: how it ends is not of the run, that it took so long is. */
static void note_cut(struct caller *c, enum bench_op op, int64_t due, int64_t cut)
{
    hist_record(c->hists[op], cut > due ? cut - due : 0);
    c->cut++;
}

/* err NULL: it succeeded. */
static void note_call(struct caller *c, enum bench_op op, const struct pfs_error *err, int64_t due,
                      int64_t end)
{
    int64_t cut = atomic_load_explicit(&c->run->cut_ns, memory_order_relaxed);

    if (end > cut) {
        note_cut(c, op, due, cut);
        return;
    }
    c->last_ns = end;
    if (err == NULL) {
        hist_record(c->hists[op], end - due);
        c->succeeded[op]++;
        atomic_fetch_add_explicit(&c->calls, 1, memory_order_relaxed);
    } else {
        note_error(c, op, err);
        if (err->cls == PFS_TIMEOUT) /* the slowest of all: without them times would flatter */
            hist_record(c->hists[op], end - due);
    }
    note_slot(c, due, end - due, err == NULL);
}

/* One of the calls that were asked for; with the last one nobody waits for a turn any more. */
static bool take_ticket(struct run *run)
{
    long long left = atomic_fetch_sub(&run->tickets, 1);

    if (left == 1)
        run_stop(run);
    return left > 0;
}

static bool make_call(struct caller *c)
{
    struct run *run = c->run;
    const struct load *l = run->load;
    const struct workload_part limit = {l->target->limit_op, l->target->limit_op, 1};
    const struct workload_part *part =
        l->target->limit ? &limit
                         : &l->workload->parts[workload_pick(l->workload, rng_next(&c->rng))];
    struct pfs_error err;
    int64_t due = 0;

    if (run->open_loop && !wait_for_turn(c, &due))
        return false;
    if (!run->open_loop && !c->warm && now_ns() >= run->warm_ns)
        end_warm_up(c);
    enum bench_op op = session_next(&c->session, part);
    int64_t start = now_ns();
    if (!run->open_loop)
        due = start;
    bool measured = run->open_loop ? due >= run->begin_ns : c->warm;
    if (is_over(c, start))
        return false;
    if (atomic_load(&run->stop)) {
        if (run->open_loop)
            note_unstarted(c, due);
        return false;
    }
    if (measured && l->duration_ns == 0 && !take_ticket(run))
        return false;
    if (measured && c->first_ns == 0) {
        c->first_ns = start;
        c->session.bytes_read = c->session.bytes_written = 0;
    }
    bool ok = session_call(&c->session, op, &err) == PFS_OK;
    int64_t end = now_ns();
    ok = ok && session_check(&c->session, op, &err) == PFS_OK;
    if (measured)
        note_call(c, op, ok ? NULL : &err, due, end);
    if (!ok)
        return back_off(c, end, measured);
    c->failed_in_a_row = 0;
    return true;
}

/* ---- the thread ---- */

static bool wait_for_go(struct caller *c, const struct pfs_error *err)
{
    struct run *run = c->run;

    pthread_mutex_lock(&run->mu);
    if (err->cls != PFS_OK && run->error.cls == PFS_OK)
        run->error = *err;
    run->ready++;
    pthread_cond_broadcast(&run->changed);
    while (!run->go)
        pthread_cond_wait(&run->changed, &run->mu);
    bool ok = run->error.cls == PFS_OK;
    pthread_mutex_unlock(&run->mu);
    return ok;
}

void *caller_main(void *arg)
{
    struct caller *c = arg;
    struct run *run = c->run;
    struct pfs_error err = {.cls = PFS_OK};

    prctl(PR_SET_TIMERSLACK, 1ul); /* planned times are to be kept */
    session_open(&c->session, run->load->target, run->load->setup, c->number, &err);
    if (wait_for_go(c, &err)) {
        while (make_call(c)) {
        }
    }
    if (!run->open_loop && !c->warm)
        end_warm_up(c); /* it gave up: the others need not wait */
    hand_over_slot(c);
    if (c->first_ns == 0)
        c->session.bytes_read = c->session.bytes_written = 0;
    uint64_t bytes_read = c->session.bytes_read, bytes_written = c->session.bytes_written;
    session_close(&c->session);
    c->session.bytes_read = bytes_read;
    c->session.bytes_written = bytes_written;
    atomic_fetch_add(&run->finished, 1);
    return NULL;
}

void caller_add_up(const struct caller *c, struct step *s, struct hist *round[N_OPS])
{
    for (int op = 0; op < N_OPS; op++) {
        if (c->hists[op])
            hist_add(round[op], c->hists[op]);
        s->ops[op].calls += c->succeeded[op];
        s->ops[op].errors += c->errors[op];
    }
    for (int i = 0; i < PFS_N_CLASSES; i++)
        s->errors[i] += c->classes[i];
    for (int i = 0; i < 3; i++)
        s->outcomes[i] += c->outcomes[i];
    if (c->late) {
        if (s->late == NULL)
            s->late = hist_new(3);
        hist_add(s->late, c->late);
    }
    s->n_errors += atomic_load(&c->failures);
    s->calls += atomic_load(&c->calls);
    s->unstarted += c->unstarted;
    s->cut += c->cut;
    s->backed_off += c->backed_off;
    s->bytes_read += c->session.bytes_read;
    s->bytes_written += c->session.bytes_written;
}
