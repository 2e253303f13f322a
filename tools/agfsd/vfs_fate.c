/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Changes whose client has gone (reliability bar B4): one that has not begun never will; one that
 * has is fenced: until it is over, others of the same paths wait. So whoever gives a change up and
 * makes another one never sees the first overtake the second. One whose client may have gone is
 * fenced too, begun or not. Who waits is fenced perhaps itself, so nobody waits for a later one.
 *
 * The fence goes up on the loop and comes down on the thread that ends the change: the one sets
 * `fenced` before it looks at the state, the other the other way round, so one of them sees both.
 *
 * Who waits is in the list of one orphan, has an alarm for its deadline, and is known to its own
 * fate; all of that begins and ends together under vfs.orphan_mu. Whoever ends it, the end of the
 * orphan, the alarm or the client that goes, posts the call to its loop.
 *
 * Reads whose client has gone: one that has not begun never will either, and one that its driver
 * has is given up there, so that nobody works for nobody. Driver and call stay while the driver is
 * being told: if it is done meanwhile, perhaps from inside, vfs_finish leaves the call to
 * vfs_give_up.
 *
 * The states (vfs.h), and who may be at both ends of an arrow at once: "loop" is the one that
 * submitted, "worker" any thread that carries out or ends the operation, the driver's included.
 *
 *   OPEN      -> BEGUN      worker  vfs_fate_begin: it is carried out now
 *             -> BEGUN      loop    vfs_fate_submit: the driver has a change, or a read that it
 *                                   cannot give up
 *             -> PENDING    loop    vfs_fate_submit: the driver has a read that it can give up
 *             -> GIVEN_UP   loop    vfs_give_up: vfs_fate_begin will refuse it
 *   BEGUN     -> OPEN       loop    vfs_fate_refused: the driver does not want it, a worker will
 *             -> ORPHANED   loop    vfs_give_up of a change, which is fenced
 *             -> LEFT       loop    vfs_give_up of a read: vfs_is_over tells its worker
 *   PENDING   -> OPEN       loop    vfs_fate_refused
 *             -> GIVING_UP  loop    vfs_give_up begins to tell the driver
 *             -> OVER       worker  vfs_fate_end
 *   GIVING_UP -> ANSWERED   worker  vfs_fate_end: the driver was faster than the telling ended
 *             -> OVER       loop    vfs_give_up has told it; the driver's end will find OVER
 *   any       -> OVER       worker  vfs_fate_end of a change
 *
 * Reads that the driver cannot give up stay where they are at their end: nobody asks again.
 */
#include "base/clock.h"
#include "base/err.h"
#include "base/op.h"
#include "vfs_internal.h"
#include <string.h>

/* Takes an arrow; false: it is in another state, perhaps since a moment. */
static bool go(struct vfs_fate *f, enum vfs_fate_state from, enum vfs_fate_state to)
{
    int expected = from;

    return atomic_compare_exchange_strong(&f->state, &expected, to);
}

bool vfs_fate_begin(struct vfs_fate *f, struct pfs_error *err)
{
    if (!f || go(f, FATE_OPEN, FATE_BEGUN)) {
        return true;
    }
    pfs_fail(err, PFS_CANCELLED, PFS_OUTCOME_NA, PFS_PHASE_QUEUE,
             "given up by the client before it was carried out");
    return false;
}

static void restart(struct post *p)
{
    vfs_restart(container_of(p, struct vcall, post));
}

/* ---- the fence ---- */

/* c no longer waits. */
static void release_locked(struct vcall *c)
{
    struct vfs_fate *own = c->req.host;

    list_remove(&c->link);
    if (own) {
        own->held = NULL;
    }
}

static void go_on(struct vcall *c, void (*fn)(struct post *p))
{
    c->post.fn = fn;
    http_post(c->loop, &c->post);
}

static void unfence(struct vfs *v, struct vfs_fate *f)
{
    struct list waiting;
    struct list *node;

    if (!atomic_load(&f->fenced)) {
        return;
    }
    list_init(&waiting);
    pthread_mutex_lock(&v->orphan_mu);
    if (atomic_exchange(&f->fenced, false)) {
        list_remove(&f->node);
        atomic_fetch_sub(&v->n_orphans, 1);
        list_for_each (it, &f->waiting) {
            struct vcall *c = list_entry(it, struct vcall, link);

            release_locked(c);
            alarm_stop_locked(&c->deadline);
            list_append(&waiting, &c->link);
        }
    }
    pthread_mutex_unlock(&v->orphan_mu);
    while ((node = list_take_first(&waiting))) {
        go_on(list_entry(node, struct vcall, link), restart);
    }
}

static void order_locked(struct vfs *v, struct vfs_fate *f)
{
    if (f->order == 0) {
        f->order = ++v->last_order;
    }
}

/* On the loop. */
static void fence(struct vfs *v, struct vfs_fate *f)
{
    if (!f->path || atomic_load(&f->fenced)) {
        return;
    }
    pthread_mutex_lock(&v->orphan_mu);
    atomic_store(&f->fenced, true);
    if (atomic_load(&f->state) == FATE_OVER) { /* its paths may be gone */
        atomic_store(&f->fenced, false);
    } else {
        order_locked(v, f);
        list_init(&f->waiting);
        list_append(&v->orphans, &f->node);
        atomic_fetch_add(&v->n_orphans, 1);
    }
    pthread_mutex_unlock(&v->orphan_mu);
}

static bool is_below(const char *path, const char *dir)
{
    const char *rest;

    return pfs_path_below(path, dir, &rest);
}

/* Can a change of path a (and, if a_deep, of what is below it) meet one of b? */
static bool meets(const char *a, bool a_deep, const char *b, bool b_deep)
{
    return a && b &&
           (strcmp(a, b) == 0 || (a_deep && is_below(b, a)) || (b_deep && is_below(a, b)));
}

static bool is_deep(enum pfs_op op)
{
    return op == PFS_OP_REMOVE_ALL || op == PFS_OP_RENAME;
}

static bool must_wait(const struct vcall *c, const struct vfs_fate *f)
{
    const struct vfs_fate *own = c->req.host;
    bool deep = is_deep(c->req.op);

    return (!own || f->order < own->order) &&
           (meets(f->path, f->deep, c->full, deep) || meets(f->path, f->deep, c->full2, deep) ||
            meets(f->path2, f->deep, c->full, deep) || meets(f->path2, f->deep, c->full2, deep));
}

/* What time is left afterwards is all that the driver gets. */
static void wait_locked(struct vcall *c, struct vfs_fate *f)
{
    struct vfs_fate *own = c->req.host;

    c->own_deadline = false;
    list_append(&f->waiting, &c->link);
    alarm_set_locked(&c->vfs->deadlines, &c->deadline, c->req.deadline_ns);
    if (own) {
        own->held = c;
    }
}

static void timed_out(struct post *p)
{
    struct vcall *c = container_of(p, struct vcall, post);

    pfs_fail(&c->reply.err, PFS_TIMEOUT, PFS_OUTCOME_NA, PFS_PHASE_QUEUE,
             "%s: %s: waited too long for an earlier change of the same path",
             pfs_op_name(c->req.op), c->full);
    vfs_finish_here(c);
}

bool vfs_fate_take_locked(void *vfs, struct alarm *a)
{
    release_locked(list_entry(a, struct vcall, deadline));
    return true;
}

void vfs_fate_ring(void *vfs, struct alarm *a)
{
    go_on(list_entry(a, struct vcall, deadline), timed_out);
}

/* The call that waits was given up. */
static void end_wait(struct vfs *v, struct vfs_fate *own)
{
    pthread_mutex_lock(&v->orphan_mu);
    struct vcall *c = own->held;

    if (c) {
        release_locked(c);
        alarm_stop_locked(&c->deadline);
    }
    pthread_mutex_unlock(&v->orphan_mu);
    if (c) {
        go_on(c, restart);
    }
}

bool vfs_fate_wait(struct vcall *c)
{
    struct vfs *v = c->vfs;
    struct vfs_fate *own = c->req.host;
    bool waits = false;

    if (!c->loop || !vfs_changes(c->req.op)) {
        return false;
    }
    if (own) {
        vfs_fate_name(v, own, c->full, c->full2, is_deep(c->req.op));
    }
    if (atomic_load_explicit(&v->n_orphans, memory_order_acquire) == 0) {
        return false;
    }
    if (alarms_start(&v->deadlines, &c->reply.err) != PFS_OK) {
        vfs_finish_here(c);
        return true;
    }
    pthread_mutex_lock(&v->orphan_mu);
    if (own) {
        order_locked(v, own);
    }
    list_for_each (node, &v->orphans) {
        struct vfs_fate *f = list_entry(node, struct vfs_fate, node);

        if (must_wait(c, f)) {
            wait_locked(c, f);
            waits = true;
            break;
        }
    }
    pthread_mutex_unlock(&v->orphan_mu);
    return waits;
}

void vfs_fate_name(struct vfs *v, struct vfs_fate *f, const char *path, const char *path2,
                   bool deep)
{
    if (atomic_load(&f->fenced)) { /* started again: these are the same */
        return;
    }
    f->path = path;
    f->path2 = path2;
    f->deep = deep;
    if (f->doubted) {
        fence(v, f);
    }
}

void vfs_doubt(struct vfs *v, struct vfs_fate *f)
{
    int state = atomic_load(&f->state);

    if (!f->reads && (state == FATE_OPEN || state == FATE_BEGUN)) {
        f->doubted = true;
        fence(v, f);
    }
}

/* ---- begin and end ---- */

void vfs_fate_submit(struct vcall *c, struct pfs_request *req)
{
    struct vfs_fate *f = c->req.host;

    if (!f) {
        return;
    }
    f->call = c;
    if (f->reads && c->mount->driver->ops->cancel) {
        req->ticket = c;
        atomic_store(&f->state, FATE_PENDING);
    } else {
        atomic_store(&f->state, FATE_BEGUN); /* on the loop: nobody has given it up */
    }
}

void vfs_fate_refused(struct vcall *c)
{
    struct vfs_fate *f = c->req.host;

    if (f) {
        atomic_store(&f->state, FATE_OPEN);
    }
}

static bool end_read(struct vfs_fate *f)
{
    return go(f, FATE_PENDING, FATE_OVER) || !go(f, FATE_GIVING_UP, FATE_ANSWERED);
}

bool vfs_fate_end(struct vfs *v, struct vfs_fate *f)
{
    if (!f) {
        return true;
    }
    if (f->reads) {
        return end_read(f);
    }
    atomic_store(&f->state, FATE_OVER);
    unfence(v, f);
    return true;
}

/* ---- giving up ---- */

static void give_up_read(struct vfs_fate *f)
{
    if (go(f, FATE_BEGUN, FATE_LEFT) || !go(f, FATE_PENDING, FATE_GIVING_UP)) {
        return;
    }
    struct vcall *c = f->call;

    c->mount->driver->ops->cancel(c->mount->driver, c);
    if (!go(f, FATE_GIVING_UP, FATE_OVER)) {
        vfs_finish(c);
    }
}

void vfs_give_up(struct vfs *v, struct vfs_fate *f)
{
    if (go(f, FATE_OPEN, FATE_GIVEN_UP)) {
        unfence(v, f);
        end_wait(v, f);
    } else if (f->reads) {
        give_up_read(f);
    } else if (go(f, FATE_BEGUN, FATE_ORPHANED)) {
        fence(v, f);
    }
}

static bool is_given_up(const struct vfs_fate *f)
{
    int state = f ? atomic_load(&f->state) : FATE_OPEN;

    return state == FATE_GIVEN_UP || state == FATE_LEFT || (state == FATE_ORPHANED && !f->kept);
}

bool vfs_is_over(struct vfs *v, const struct pfs_request *req, struct pfs_error *err)
{
    enum pfs_class cls = PFS_OK;
    const char *why = NULL;

    if (is_given_up(req->host)) {
        cls = PFS_CANCELLED;
        why = "given up by the client";
    } else if (atomic_load_explicit(&v->stopping, memory_order_relaxed)) {
        cls = PFS_SHUTDOWN;
        why = "the server ends";
    } else if (req->deadline_ns && pfs_now() >= req->deadline_ns) {
        cls = PFS_TIMEOUT;
        why = "the deadline passed";
    }
    if (cls != PFS_OK && err) {
        pfs_fail(err, cls, PFS_OUTCOME_NA, PFS_PHASE_LOCAL, "%s", why);
    }
    return cls != PFS_OK;
}

void vfs_stop(struct vfs *v)
{
    atomic_store(&v->stopping, true);
}

bool vfs_changes(enum pfs_op op)
{
    return op_safety(op) != SAFETY_R && op != PFS_OP_OPEN_READ && op != PFS_OP_HANDLE_STREAM;
}
