/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "load.h"
#include "caller.h"
#include "interrupt.h"
#include "process.h"
#include "util.h"
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define LOOK_NS (50 * NS_PER_MS)   /* how often the waiting thread looks at the connections */
#define END_LOOK_NS NS_PER_MS      /* and at the callers, when they should be about to end */
#define PATIENCE_NS (2 * NS_PER_S) /* with calls that hang, after Ctrl-C */
#define LEFT_WEIGHED 10000 /* calls that were never started: looked at one by one, up to this */

/* ---- what processes and connections used ---- */

struct usage {
    double client_s, server_s, machine_s, switches, instructions;
    uint64_t wire_in, wire_out, connects;
    unsigned connections, streams;
};

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void add_connections(const struct load *l, struct usage *u)
{
    for (unsigned i = 0; i < l->setup->remotes && i < l->target->n_remotes; i++) {
        struct pfs_stats st;
        pfs_client_stats(l->target->remotes[i].client, &st);
        u->wire_in += st.bytes_in;
        u->wire_out += st.bytes_out;
        u->connects += st.connects;
        u->connections += st.connections;
        u->streams += st.streams;
    }
}

static struct usage usage_now(const struct load *l)
{
    struct rusage r;
    struct usage u = {.server_s = process_cpu_s(l->target->server),
                      .machine_s = machine_cpu_s(),
                      .instructions = instructions_read()};

    getrusage(RUSAGE_SELF, &r);
    u.client_s = seconds(r.ru_utime) + seconds(r.ru_stime);
    u.switches = (double)(r.ru_nvcsw + r.ru_nivcsw);
    add_connections(l, &u);
    return u;
}

static void note_usage(struct step *s, const struct usage *a, const struct usage *b)
{
    s->cpu_client_s += b->client_s - a->client_s;
    s->cpu_server_s += b->server_s - a->server_s;
    s->cpu_machine_s += b->machine_s - a->machine_s;
    s->instructions += b->instructions - a->instructions;
    s->switches += b->switches - a->switches;
    s->wire_in += b->wire_in - a->wire_in;
    s->wire_out += b->wire_out - a->wire_out;
    s->connects += b->connects - a->connects;
    s->connections = b->connections > s->connections ? b->connections : s->connections;
}

/* ---- the round ---- */

static void count_so_far(const struct caller *callers, unsigned n, uint64_t *ret_calls,
                         uint64_t *ret_errors)
{
    *ret_calls = *ret_errors = 0;
    for (unsigned i = 0; i < n; i++) {
        *ret_calls += atomic_load_explicit(&callers[i].calls, memory_order_relaxed);
        *ret_errors += atomic_load_explicit(&callers[i].failures, memory_order_relaxed);
    }
}

/* Waits until every caller of a closed loop has ended its warm-up; then all begin together. */
static struct usage begin_together(struct run *run)
{
    const struct load *l = run->load;

    pthread_mutex_lock(&run->mu);
    while (run->warm < l->callers && !interrupted()) {
        struct timespec t = timespec_of(now_ns() + LOOK_NS); /* a signal wakes nobody here */
        pthread_cond_clockwait(&run->changed, &run->mu, CLOCK_MONOTONIC, &t);
    }
    struct usage u = usage_now(l);
    run->begin_ns = now_ns();
    run->end_ns = l->duration_ns ? run->begin_ns + l->duration_ns : INT64_MAX;
    run->measuring = true;
    if (interrupted())
        atomic_store(&run->stop, true);
    pthread_cond_broadcast(&run->changed);
    pthread_mutex_unlock(&run->mu);
    return u;
}

static struct usage await_begin(struct run *run)
{
    int64_t now;

    if (!run->open_loop)
        return begin_together(run);
    while (!interrupted() && (now = now_ns()) < run->begin_ns)
        interrupt_sleep(run->begin_ns - now);
    return usage_now(run->load);
}

/* Waits until the measured time is over; the callers stop by themselves. */
static void watch(struct run *run, const struct caller *callers, struct step *s)
{
    const struct load *l = run->load;
    struct usage before = await_begin(run), u = {0};
    uint64_t calls, errors;
    int64_t now;

    while (!interrupted() && atomic_load(&run->finished) < l->callers) {
        int64_t left = run->end_ns - now_ns();
        interrupt_sleep(left < END_LOOK_NS ? END_LOOK_NS : left < LOOK_NS ? left : LOOK_NS);
        u = (struct usage){0};
        add_connections(l, &u);
        s->streams_peak = u.streams > s->streams_peak ? u.streams : s->streams_peak;
        if (l->progress) {
            count_so_far(callers, l->callers, &calls, &errors);
            l->progress(l->progress_arg, calls, errors, (double)(now_ns() - run->begin_ns) / 1e9);
        }
    }
    u = usage_now(l);
    note_usage(s, &before, &u);
    run->ended_ns = run->end_ns;
    if (interrupted()) {
        now = now_ns();
        run->ended_ns = now < run->end_ns ? now : run->end_ns;
        atomic_store(&run->cut_ns, run->ended_ns);
        run_stop(run);
    }
}

/* After Ctrl-C a call that hangs is not waited for: ending its client completes it. */
static void end_hanging_calls(struct run *run)
{
    const struct load *l = run->load;

    for (int64_t until = now_ns() + PATIENCE_NS; now_ns() < until;) {
        struct timespec t = {.tv_nsec = NS_PER_MS};
        if (atomic_load(&run->finished) == l->callers)
            return;
        nanosleep(&t, NULL);
    }
    for (unsigned i = 0; i < l->target->n_remotes; i++) {
        pfs_client_free(l->target->remotes[i].client);
        l->target->remotes[i].client = NULL;
    }
}

/* Starts the callers with signals blocked, so that Ctrl-C wakes none of them. Returns how many. */
static unsigned start_callers(struct caller *callers, struct run *run)
{
    sigset_t all, old;
    unsigned n = 0;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    for (; n < run->load->callers; n++) {
        caller_init(&callers[n], run, n);
        if (pthread_create(&callers[n].thread, NULL, caller_main, &callers[n]) != 0) {
            caller_fini(&callers[n]);
            break;
        }
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return n;
}

/* When every caller is ready the clock starts. False: one of them cannot. */
static bool say_go(struct run *run, unsigned n)
{
    const struct load *l = run->load;

    pthread_mutex_lock(&run->mu);
    while (run->ready < n)
        pthread_cond_wait(&run->changed, &run->mu);
    if (n < l->callers && run->error.cls == PFS_OK) {
        run->error = (struct pfs_error){.cls = PFS_NOMEM};
        snprintf(run->error.text, sizeof run->error.text, "only %u of %u threads could be started",
                 n, l->callers);
    }
    int64_t now = now_ns();
    run->warm_ns = now + l->warmup_ns;
    if (run->open_loop) {
        run->begin_ns = run->warm_ns;
        run->end_ns = l->duration_ns ? run->begin_ns + l->duration_ns : INT64_MAX;
        schedule_init(&run->schedule, l->arrival, l->rate, now, l->seed);
    }
    run->go = true;
    bool ok = run->error.cls == PFS_OK;
    pthread_cond_broadcast(&run->changed);
    pthread_mutex_unlock(&run->mu);
    return ok;
}

/* Calls that were due but that nobody took: each had waited until the end. */
static void count_left(struct run *run, struct step *s, struct hist *round[N_OPS])
{
    const struct workload *w = run->load->workload;
    struct rng rng;
    int64_t first;
    uint64_t left;

    if (!run->open_loop || run->load->duration_ns == 0 || run->ended_ns <= run->begin_ns)
        return;
    schedule_skip(&run->schedule, run->begin_ns); /* what the warm-up left is not measured */
    left = schedule_left(&run->schedule, run->ended_ns);
    first = schedule_take(&run->schedule);
    uint64_t n = left < LEFT_WEIGHED ? left : LEFT_WEIGHED;
    rng_seed(&rng, run->load->seed);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t weight = left / n + (i < left % n);
        int64_t waited = (int64_t)((double)(run->ended_ns - first) * (double)(n - i) / (double)n);
        hist_record_n(round[w->parts[workload_pick(w, rng_next(&rng))].op], waited, weight);
    }
    s->unstarted += left;
}

/*
 * Calls a second, and how long was measured. A call of a closed loop may outlast the round, so each
 * caller has its own time; a number of planned calls takes as long as its plan.
 */
static double rate_of(const struct run *run, const struct caller *callers, unsigned n,
                      double *ret_s)
{
    int64_t last = 0;
    double sum = 0, plan_s = run->open_loop ? (double)run->load->count / run->load->rate : 0;
    uint64_t calls = 0;
    bool is_cut = atomic_load(&run->cut_ns) != INT64_MAX;

    for (unsigned i = 0; i < n; i++) {
        const struct caller *c = &callers[i];
        int64_t end = is_cut ? run->ended_ns : c->last_ns;
        uint64_t made = atomic_load(&callers[i].calls);
        last = c->last_ns > last ? c->last_ns : last;
        calls += made;
        sum += made && end > c->first_ns ? (double)made * 1e9 / (double)(end - c->first_ns) : 0;
    }
    int64_t end = is_cut || run->load->duration_ns ? run->ended_ns : last;
    *ret_s = end > run->begin_ns ? (double)(end - run->begin_ns) / 1e9 : 0;
    *ret_s = is_cut || *ret_s > plan_s ? *ret_s : plan_s;
    return !run->open_loop ? sum : *ret_s > 0 ? (double)calls / *ret_s : 0;
}

/* Takes the histogram of a round. */
static void add_round(struct op_result *o, struct hist *round)
{
    per_round_add(&o->p50_us, round->total ? (double)hist_percentile(round, 50) / 1e3 : NAN);
    if (o->hist == NULL) {
        o->hist = round;
    } else {
        hist_add(o->hist, round);
        hist_free(round);
    }
}

static void add_up(struct run *run, const struct caller *callers, unsigned n, struct step *s)
{
    struct hist *round[N_OPS] = {NULL};
    double took;

    for (int op = 0; op < N_OPS; op++)
        round[op] = n && callers[0].hists[op] ? hist_new(3) : NULL;
    for (unsigned i = 0; i < n; i++)
        caller_add_up(&callers[i], s, round);
    count_left(run, s, round);
    double rate = rate_of(run, callers, n, &took);
    s->seconds += took;
    timeline_end(&s->timeline, (int64_t)(took * 1e9));
    if (took > 0)
        per_round_add(&s->rates, rate);
    struct hist *all = hist_new(3);
    for (int op = 0; op < N_OPS; op++) {
        if (round[op]) {
            hist_add(all, round[op]);
            add_round(&s->ops[op], round[op]);
        }
    }
    add_round(&s->all, all);
}

enum pfs_class load_run(const struct load *l, struct step *into, struct pfs_error *err)
{
    struct run run = {.load = l,
                      .step = into,
                      .open_loop = l->arrival != ARRIVAL_CLOSED,
                      .tickets = (long long)l->count,
                      .cut_ns = INT64_MAX,
                      .mu = PTHREAD_MUTEX_INITIALIZER,
                      .changed = PTHREAD_COND_INITIALIZER};
    struct caller *callers = xcalloc(l->callers, sizeof *callers);

    timeline_begin(&into->timeline, l->duration_ns, l->slots);
    unsigned n = start_callers(callers, &run);
    bool ok = say_go(&run, n);
    if (ok) {
        watch(&run, callers, into);
        if (interrupted())
            end_hanging_calls(&run);
    }
    for (unsigned i = 0; i < n; i++)
        pthread_join(callers[i].thread, NULL);
    if (ok)
        add_up(&run, callers, n, into);
    for (unsigned i = 0; i < n; i++)
        caller_fini(&callers[i]);
    free(callers);
    if (run.open_loop)
        schedule_fini(&run.schedule);
    if (!ok)
        *err = run.error;
    return run.error.cls;
}
