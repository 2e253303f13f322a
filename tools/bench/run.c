/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "run.h"
#include "interrupt.h"
#include "limit.h"
#include "load.h"
#include "process.h"
#include "progress.h"
#include "target_spec.h"
#include "util.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* So many calls of a target fail, and none works, before it is given up. */
#define FAILURES_ENOUGH 10

struct bench {
    const struct options *o;
    struct report *r;
    struct limit *limit;
    struct target **targets; /* as many as the report has, in its order */
    size_t n;
    char *content;
    struct progress progress;
};

/* What the sweep makes of the options in one step. */
struct point {
    double value; /* NAN: no sweep */
    unsigned callers;
    double rate;
    struct setup setup;
};

static struct point point_at(const struct bench *b, size_t step)
{
    const struct options *o = b->o;
    struct point p = {.value = NAN,
                      .callers = o->callers,
                      .rate = o->rate,
                      .setup = {o->size, o->entries, o->files, o->remotes, b->content}};

    if (o->sweep.kind != SWEEP_NONE)
        p.value = o->sweep.values[step];
    switch (o->sweep.kind) {
    case SWEEP_CALLERS:
        p.callers = (unsigned)p.value;
        break;
    case SWEEP_SIZE:
        p.setup.size = (int64_t)p.value;
        break;
    case SWEEP_ENTRIES:
        p.setup.entries = (unsigned)p.value;
        break;
    case SWEEP_REMOTES:
        p.setup.remotes = (unsigned)p.value;
        p.callers = p.callers > p.setup.remotes ? p.callers : p.setup.remotes;
        break;
    case SWEEP_RATE:
        p.rate = p.value;
        break;
    case SWEEP_NONE:
        break;
    }
    /* Big files are few: a server may keep them in memory. */
    int64_t fit = p.setup.size ? CONTENT_MAX / p.setup.size : p.setup.files;
    p.setup.files = fit < 1 ? 1 : fit < p.setup.files ? (unsigned)fit : p.setup.files;
    return p;
}

static size_t n_steps(const struct options *o)
{
    return o->sweep.kind == SWEEP_NONE ? 1 : o->sweep.n;
}

/* ---- opening ---- */

static void make_content(struct bench *b)
{
    int64_t most = b->o->size;

    if (b->o->sweep.kind == SWEEP_SIZE)
        most = (int64_t)b->o->sweep.values[b->o->sweep.n - 1];
    most = most > CONTENT_MAX ? CONTENT_MAX : most < 1 ? 1 : most;
    b->content = xcalloc(1, (size_t)most);
    for (int64_t i = 0; i < most; i++)
        b->content[i] = (char)('a' + (i * 2654435761u >> 13) % 26);
}

static bool is_taken(const struct bench *b, const char *name)
{
    for (size_t i = 0; i < b->n; i++) {
        if (strcmp(b->targets[i]->name, name) == 0)
            return true;
    }
    return false;
}

/* The same server twice shows what noise is; --compare and readers of logs go by the name. */
static void tell_apart(const struct bench *b, struct target *t)
{
    char *same = t->name;

    for (unsigned i = 2; is_taken(b, t->name); i++) {
        if (t->name != same)
            free(t->name);
        t->name = xasprintf("%s (%u)", same, i);
    }
    if (t->name != same)
        free(same);
}

static void add_target(struct bench *b, struct target *t)
{
    struct report *r = b->r;

    tell_apart(b, t);
    b->targets = xrealloc(b->targets, (b->n + 1) * sizeof(struct target *));
    b->targets[b->n++] = t;
    r->targets = xrealloc(r->targets, b->n * sizeof *r->targets);
    r->targets[r->n_targets++] =
        (struct report_target){.name = xstrdup(t->name),
                               .url = xstrdup(t->url),
                               .protocol = t->protocol,
                               .is_limit = t->limit != NULL,
                               .steps = xcalloc(n_steps(b->o), sizeof(struct step))};
}

static int open_targets(struct bench *b)
{
    const struct options *o = b->o;
    unsigned remotes =
        o->sweep.kind == SWEEP_REMOTES ? (unsigned)o->sweep.values[o->sweep.n - 1] : o->remotes;
    struct pfs_error err;

    if (o->limit && limit_start(&b->limit, &err) != PFS_OK)
        return complain(pfs_class_exit(err.cls), "%s", err.text);
    instructions_start(); /* not of the other end */
    for (size_t i = 0; i < o->n_targets; i++) {
        struct target *t;
        char *name =
            o->targets[i].name ? xstrdup(o->targets[i].name) : spec_masked(o->targets[i].url);
        progress_say(&b->progress, "connecting to %s", name);
        bool ok = target_open(&o->targets[i], remotes, &t, &err) == PFS_OK;
        if (!ok) {
            progress_clear(&b->progress);
            complain(0, "%s: %s (class %s)", name, err.text, pfs_class_name(err.cls));
        }
        free(name);
        if (!ok)
            return pfs_class_exit(err.cls);
        add_target(b, t);
    }
    if (b->limit) {
        add_target(b, target_of_limit(b->limit, OP_PING));
        add_target(b, target_of_limit(b->limit, OP_PIPE));
    }
    return 0;
}

/* ---- measuring ---- */

static void begin_step(const struct bench *b, const struct target *t, const struct point *p,
                       struct step *s)
{
    bool limit = t->limit != NULL;

    *s = (struct step){.value = p->value,
                       .callers = limit ? 1 : p->callers,
                       .remotes = p->setup.remotes,
                       .size = p->setup.size,
                       .arrival = limit ? ARRIVAL_CLOSED : b->o->arrival};
    s->planned_rate = s->arrival == ARRIVAL_CLOSED ? 0 : p->rate;
}

static int measure_round(struct bench *b, size_t target, size_t step, const struct point *p,
                         unsigned round)
{
    const struct options *o = b->o;
    struct step *s = &b->r->targets[target].steps[step];
    uint64_t share = o->count / o->rounds + (round < o->count % o->rounds);
    struct pfs_error err;
    struct load l = {.target = b->targets[target],
                     .workload = &o->workload,
                     .setup = &p->setup,
                     .callers = s->callers,
                     .arrival = s->arrival,
                     .rate = p->rate,
                     .warmup_ns = o->warmup_ns,
                     .duration_ns = o->duration_ns / o->rounds,
                     .count = share,
                     .seed = step * 1000 + round + 1,
                     .slots = o->rounds < TIMELINE_MAX ? TIMELINE_MAX / o->rounds : 1,
                     .progress = progress_step,
                     .progress_arg = &b->progress};

    if (o->count && share == 0)
        return 0;
    progress_say(&b->progress, "%s, step %zu of %zu, round %u of %u", l.target->name, step + 1,
                 n_steps(o), round + 1, o->rounds);
    if (load_run(&l, s, &err) == PFS_OK)
        return 0;
    progress_clear(&b->progress);
    return complain(pfs_class_exit(err.cls), "%s: %s", l.target->name, err.text);
}

static bool any_success(const struct report *r)
{
    for (size_t i = 0; i < r->n_targets; i++) {
        for (size_t k = 0; k < r->targets[i].n_steps; k++) {
            if (r->targets[i].steps[k].calls)
                return true;
        }
    }
    return false;
}

/* A target at which nothing works is no measurement. */
static int check_step(const struct report_target *t, const struct step *s, bool last_round)
{
    if (s->calls > 0 || (s->n_errors < FAILURES_ENOUGH && !last_round))
        return 0;
    if (s->n_errors == 0)
        return complain(EXIT_OTHER, "%s: no call began in the measured time: raise --duration",
                        t->name);
    return complain(pfs_class_exit(s->first_error.cls),
                    "%s: every one of %llu calls failed: %s (class %s, outcome %s)", t->name,
                    (unsigned long long)s->n_errors, s->first_error.text,
                    pfs_class_name(s->first_error.cls), pfs_outcome_name(s->first_error.outcome));
}

static int prepare(struct bench *b, size_t i, const struct point *p)
{
    struct pfs_error err;
    struct target *t = b->targets[i];

    progress_say(&b->progress, "%s: preparing", t->name);
    if (target_prepare(t, &b->o->workload, &p->setup, &err) != PFS_OK) {
        if (interrupted())
            return 0;
        progress_clear(&b->progress);
        return complain(pfs_class_exit(err.cls), "%s: cannot prepare: %s (class %s)", t->name,
                        err.text, pfs_class_name(err.cls));
    }
    if (b->r->targets[i].path == NULL)
        b->r->targets[i].path = xstrdup(t->path);
    return 0;
}

/*
 * One round of every target. What has failed altogether ends the run at once while nothing has
 * worked anywhere: nothing is lost by it. Else it stays in the report beside what has worked.
 */
static int measure_all_once(struct bench *b, size_t step, const struct point *p, unsigned round)
{
    bool last = round + 1 == b->o->rounds;
    int code = 0;

    for (size_t i = 0; i < b->n && code == 0 && !interrupted(); i++)
        code = measure_round(b, i, step, p, round);
    progress_clear(&b->progress);
    for (size_t i = 0; i < b->n && code == 0 && !interrupted() && (last || !any_success(b->r)); i++)
        code = check_step(&b->r->targets[i], &b->r->targets[i].steps[step], last);
    return code;
}

static int measure_step(struct bench *b, size_t step)
{
    struct point p = point_at(b, step);
    int code = 0;

    for (size_t i = 0; i < b->n && code == 0; i++)
        code = prepare(b, i, &p);
    for (size_t i = 0; i < b->n && code == 0; i++) {
        begin_step(b, b->targets[i], &p, &b->r->targets[i].steps[step]);
        b->r->targets[i].n_steps = step + 1;
    }
    for (unsigned round = 0; round < b->o->rounds && code == 0 && !interrupted(); round++)
        code = measure_all_once(b, step, &p, round);
    return code;
}

/* Where a target fails altogether, what there is is reported without the steps that follow. */
static int measure(struct bench *b)
{
    int code = 0;

    for (size_t step = 0; step < n_steps(b->o) && code == 0 && !interrupted(); step++) {
        code = measure_step(b, step);
        if (code != 0 && any_success(b->r)) {
            b->r->ended_early = true;
            return 0;
        }
        if (code == 0 && b->o->sweep.stop_at_knee) {
            report_finish(b->r);
            if (report_has_every_knee(b->r))
                break;
        }
    }
    return code;
}

/* ---- the end ---- */

static void account(struct report_target *rt, const struct queue_account *a)
{
    struct queue_result *q = &rt->queue;

    q->enqueued = atomic_load(&a->enqueued);
    q->dequeued = atomic_load(&a->dequeued);
    q->empty = atomic_load(&a->empty);
    q->unknown = atomic_load(&a->unknown) + atomic_load(&a->taken_unknown);
    q->left = atomic_load(&a->left);
    q->used = q->enqueued + q->dequeued + q->empty + q->unknown > 0;
    q->conserved =
        q->unknown
            ? q->dequeued <= q->enqueued + q->unknown && q->dequeued + q->unknown >= q->enqueued
            : q->dequeued == q->enqueued && atomic_load(&a->in_sum) == atomic_load(&a->out_sum);
}

static void close_targets(struct bench *b)
{
    struct pfs_error err;

    for (size_t i = 0; i < b->n; i++) {
        progress_say(&b->progress, "%s: cleaning up", b->targets[i]->name);
        if (b->targets[i]->limit == NULL && target_clean(b->targets[i], &err) != PFS_OK) {
            progress_clear(&b->progress);
            complain(EXIT_OTHER, "%s: %s", b->targets[i]->name, err.text);
            b->r->left_behind = true;
        }
        account(&b->r->targets[i], &b->targets[i]->account);
        target_free(b->targets[i]);
    }
    free(b->targets);
    limit_stop(b->limit);
    free(b->content);
    progress_clear(&b->progress);
}

static void describe(struct report *r, const struct options *o)
{
    report_describe_machine(r);
    r->workload = o->workload;
    r->size = o->size;
    r->entries = o->entries;
    r->files = o->files;
    r->rounds = o->rounds;
    r->arrival = o->arrival;
    r->warmup_s = (double)o->warmup_ns / 1e9;
    r->duration_s = (double)o->duration_ns / 1e9;
    r->count = o->count;
    r->sweep = o->sweep.kind;
}

/* Steps that were begun but not measured are no part of the report. */
static bool drop_empty_steps(struct report *r)
{
    bool any = false;

    for (size_t i = 0; i < r->n_targets; i++) {
        struct report_target *t = &r->targets[i];
        while (t->n_steps &&
               t->steps[t->n_steps - 1].calls + t->steps[t->n_steps - 1].n_errors == 0)
            step_fini(&t->steps[--t->n_steps]);
        any |= t->n_steps > 0;
        if (t->path == NULL)
            t->path = xstrdup("");
    }
    return any;
}

int run_all(const struct options *o, struct report *r)
{
    struct bench b = {.o = o, .r = r};
    int code;

    *r = (struct report){.n_targets = 0};
    describe(r, o);
    progress_init(&b.progress, o->quiet);
    make_content(&b);
    code = open_targets(&b);
    if (code == 0) {
        interrupt_gracefully();
        code = measure(&b);
    }
    r->interrupted = interrupted(); /* later ones find everything measured */
    close_targets(&b);
    if (!drop_empty_steps(r) && code == 0 && r->interrupted)
        code = complain(EXIT_INTERRUPTED, "interrupted before anything was measured");
    report_finish(r);
    return code;
}
