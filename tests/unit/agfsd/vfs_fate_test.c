/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Operations whose client goes away. */
#include "base/clock.h"
#include "vfs_rig.h"
#include <criterion/criterion.h>

TestSuite(vfs_fate, .init = vfs_rig_init, .fini = vfs_rig_fini);

Test(vfs_fate, B4_what_a_client_gave_up_never_overtakes)
{
    static struct rig_call running[MOUNT_WORKERS], queued, again, elsewhere;
    struct vfs_fate fates[MOUNT_WORKERS + 2] = {0};
    struct pfs_request req = PFS_REQUEST_INIT;

    vfs_rig_gate("/slow", false);
    req.op = PFS_OP_WRITE;
    req.path = "/slow/f";
    for (size_t i = 0; i < MOUNT_WORKERS; i++) {
        req.host = &fates[i];
        vfs_rig_submit(&running[i], &req);
    }
    gate_await(MOUNT_WORKERS);
    req.host = &fates[MOUNT_WORKERS];
    vfs_rig_submit(&queued, &req);
    vfs_give_up(vfs_rig, &fates[0]);             /* it has begun */
    vfs_give_up(vfs_rig, &fates[MOUNT_WORKERS]); /* it has not */
    req.host = &fates[MOUNT_WORKERS + 1];
    req.path = "/slow/./f";
    vfs_rig_submit(&again, &req);
    req.host = NULL;
    req.path = "/slow/g";
    vfs_rig_submit(&elsewhere, &req);
    cr_assert_eq(atomic_load(&fates[0].state), FATE_ORPHANED);
    cr_assert_eq(atomic_load(&fates[MOUNT_WORKERS + 1].state), FATE_OPEN, "it waits");
    gate_open();
    vfs_rig_wait(&queued);
    cr_assert_eq(queued.reply.err.cls, PFS_CANCELLED);
    cr_assert_eq(queued.reply.err.outcome, PFS_OUTCOME_NA);
    vfs_rig_wait(&elsewhere);
    for (size_t i = 0; i < MOUNT_WORKERS; i++) {
        vfs_rig_wait(&running[i]);
        cr_assert_eq(running[i].reply.err.cls, PFS_OK);
    }
    vfs_rig_wait(&again);
    cr_assert_eq(again.reply.err.cls, PFS_OK);
    cr_assert_eq(atomic_load(&fates[1].state), FATE_OVER);
}

/* A write of /slow/f that has begun when its client goes; *req stays for others of the path. */
static void submit_orphan(struct rig_call *call, struct pfs_request *req, struct vfs_fate *fate)
{
    vfs_rig_gate("/slow", false);
    req->op = PFS_OP_WRITE;
    req->path = "/slow/f";
    req->host = fate;
    vfs_rig_submit(call, req);
    gate_await(1);
    vfs_give_up(vfs_rig, fate);
}

Test(vfs_fate, B4_who_waits_may_give_up_too)
{
    static struct rig_call first, second;
    struct vfs_fate fates[2] = {0};
    struct pfs_request req = PFS_REQUEST_INIT;

    submit_orphan(&first, &req, &fates[0]);
    req.host = &fates[1];
    vfs_rig_submit(&second, &req);
    vfs_give_up(vfs_rig, &fates[1]);
    gate_open();
    vfs_rig_wait(&first);
    vfs_rig_wait(&second);
    cr_assert_eq(second.reply.err.cls, PFS_CANCELLED);
}

Test(vfs_fate, B4_who_waits_ends_at_its_deadline_and_when_it_is_given_up)
{
    static struct rig_call first, late, given_up, anonymous, patient;
    struct vfs_fate fates[4] = {0};
    struct pfs_request req = PFS_REQUEST_INIT;

    submit_orphan(&first, &req, &fates[0]);
    req.host = &fates[1];
    vfs_rig_submit(&patient, &req);
    req.host = &fates[2];
    vfs_rig_submit(&given_up, &req);
    req.deadline_ns = pfs_now() + PFS_MS;
    req.host = NULL;
    vfs_rig_submit(&anonymous, &req);
    req.host = &fates[3];
    vfs_rig_submit(&late, &req);
    vfs_give_up(vfs_rig, &fates[2]);
    vfs_rig_wait(&given_up);
    cr_assert_eq(given_up.reply.err.cls, PFS_CANCELLED);
    vfs_rig_wait(&late);
    cr_assert_eq(late.reply.err.cls, PFS_TIMEOUT);
    cr_assert_eq(late.reply.err.outcome, PFS_OUTCOME_NA);
    vfs_rig_wait(&anonymous);
    cr_assert_eq(anonymous.reply.err.cls, PFS_TIMEOUT);
    cr_assert_not(first.done || patient.done);
    cr_assert_not(list_is_empty(&fates[0].waiting), "one still waits");
    gate_open();
    vfs_rig_wait(&first);
    vfs_rig_wait(&patient);
    cr_assert_eq(patient.reply.err.cls, PFS_OK);
}

Test(vfs_fate, B4_who_waited_has_only_what_is_left_of_its_time)
{
    static struct rig_call first, second;
    struct vfs_fate fates[2] = {0};
    struct pfs_request req = PFS_REQUEST_INIT;

    vfs_rig_later("/later");
    req.op = PFS_OP_MKDIR;
    req.path = "/later/d";
    req.host = &fates[0];
    vfs_rig_submit(&first, &req);
    cr_assert_eq(later_deadline_ns, 0, "the driver's own");
    vfs_give_up(vfs_rig, &fates[0]);
    int64_t until = pfs_now() + OP_DEADLINE_MS * PFS_MS;

    req.host = &fates[1];
    vfs_rig_submit(&second, &req);
    int64_t until_at_most = pfs_now() + OP_DEADLINE_MS * PFS_MS;

    later_answer(PFS_OK);
    vfs_rig_wait(&first);
    while (later_pending == 0) {
        vfs_rig_step();
    }
    cr_assert(later_deadline_ns >= until && later_deadline_ns <= until_at_most);
    later_answer(PFS_OK);
    vfs_rig_wait(&second);
    cr_assert_eq(second.reply.err.cls, PFS_OK);
}

/* ---- what meets what ---- */

struct change {
    enum pfs_op op;
    const char *path, *path2; /* by handle: that of the handle */
};

static const struct {
    struct change first, second;
    bool waits;
} meetings[] = {
    {{PFS_OP_COPY, "/g/a", "/g/b"}, {PFS_OP_WRITE, "/g/b", NULL}, true},
    {{PFS_OP_COPY, "/g/a", "/g/b"}, {PFS_OP_WRITE, "/g/b/c", NULL}, false},
    {{PFS_OP_WRITE, "/g/b", NULL}, {PFS_OP_COPY, "/g/a", "/g/b"}, true},
    {{PFS_OP_RENAME, "/g/a", "/g/b"}, {PFS_OP_WRITE, "/g/b", NULL}, true},
    {{PFS_OP_RENAME, "/g/a", "/g/b"}, {PFS_OP_WRITE, "/g/a/c", NULL}, true},
    {{PFS_OP_RENAME, "/g/a", "/g/b"}, {PFS_OP_RENAME, "/g/b", "/g/c"}, true},
    {{PFS_OP_RENAME, "/g/a", "/g/b"}, {PFS_OP_WRITE, "/g/bc", NULL}, false},
    {{PFS_OP_WRITE, "/g/a/c", NULL}, {PFS_OP_RENAME, "/g/x", "/g/a"}, true},
    {{PFS_OP_REMOVE_ALL, "/g/a", NULL}, {PFS_OP_WRITE, "/g/a/b/c", NULL}, true},
    {{PFS_OP_REMOVE_ALL, "/g/a", NULL}, {PFS_OP_WRITE, "/g/b", NULL}, false},
    {{PFS_OP_WRITE, "/g/a/b", NULL}, {PFS_OP_REMOVE_ALL, "/g/a", NULL}, true},
    {{PFS_OP_HANDLE_WRITE, "/g/a", NULL}, {PFS_OP_WRITE, "/g/a", NULL}, true},
    {{PFS_OP_HANDLE_WRITE, "/g/a", NULL}, {PFS_OP_HANDLE_TRUNCATE, "/g/a", NULL}, true},
    {{PFS_OP_HANDLE_TRUNCATE, "/g/a", NULL}, {PFS_OP_HANDLE_WRITE, "/g/a", NULL}, true},
    {{PFS_OP_WRITE, "/g/a", NULL}, {PFS_OP_HANDLE_WRITE, "/g/a", NULL}, true},
    {{PFS_OP_HANDLE_WRITE, "/g/a", NULL}, {PFS_OP_HANDLE_WRITE, "/g/b", NULL}, false},
};

#define N_MEETINGS (sizeof meetings / sizeof *meetings)

/* 0: the change needs none. */
static uint64_t handle_for(const struct change *c)
{
    struct pfs_request req = PFS_REQUEST_INIT;

    if (c->op != PFS_OP_HANDLE_WRITE && c->op != PFS_OP_HANDLE_TRUNCATE) {
        return 0;
    }
    req.op = PFS_OP_HANDLE_OPEN;
    req.path = c->path;
    req.flags = PFS_OPEN_RDWR;
    struct pfs_reply r = vfs_rig_do(&req);
    uint64_t id = r.handle.id;

    cr_assert_eq(r.err.cls, PFS_OK, "%s", r.err.text);
    pfs_reply_fini(&r);
    return id;
}

static void submit(struct rig_call *call, const struct change *c, uint64_t handle,
                   struct vfs_fate *f)
{
    struct pfs_request req = PFS_REQUEST_INIT;

    req.op = c->op;
    req.host = f;
    req.path = handle ? NULL : c->path;
    req.path2 = c->path2;
    req.size = 0;
    req.handle = handle;
    vfs_rig_submit(call, &req);
}

static void finish(struct rig_call *call, enum pfs_class cls)
{
    vfs_rig_wait(call);
    cr_assert_eq(call->reply.err.cls, cls, "%s", call->reply.err.text);
    pfs_reply_fini(&call->reply);
}

Test(vfs_fate, B4_what_meets_a_change_that_was_given_up_waits_for_it)
{
    static struct rig_call first[N_MEETINGS], second[N_MEETINGS];
    static struct vfs_fate fates[N_MEETINGS][2];

    for (size_t i = 0; i < N_MEETINGS; i++) { /* one after the other: each has the gate alone */
        vfs_rig_gate("/g", true);
        uint64_t handles[] = {handle_for(&meetings[i].first), handle_for(&meetings[i].second)};

        gate_shut();
        submit(&first[i], &meetings[i].first, handles[0], &fates[i][0]);
        gate_await(1);
        vfs_give_up(vfs_rig, &fates[i][0]);
        submit(&second[i], &meetings[i].second, handles[1], &fates[i][1]);
        cr_assert_neq(list_is_empty(&fates[i][0].waiting), meetings[i].waits, "row %zu", i);
        gate_open();
        finish(&first[i], PFS_OK);
        finish(&second[i], PFS_OK);
        cr_assert_eq(vfs_unmount(vfs_rig, "/g", NULL), PFS_OK);
    }
}

Test(vfs_fate, B4_who_may_have_gone_is_waited_for_as_well)
{
    static struct rig_call calls[4];
    struct vfs_fate fates[4] = {0};
    const struct change write = {PFS_OP_WRITE, "/g/f", NULL};

    vfs_rig_gate("/g", false);
    submit(&calls[0], &write, 0, &fates[0]);
    gate_await(1);
    for (size_t i = 1; i < 4; i++) {
        vfs_doubt(vfs_rig, &fates[i - 1]);
        vfs_doubt(vfs_rig, &fates[i - 1]);
        submit(&calls[i], &write, 0, &fates[i]);
        cr_assert_not(list_is_empty(&fates[0].waiting), "each waits for the first");
    }
    vfs_give_up(vfs_rig, &fates[1]);
    vfs_doubt(vfs_rig, &fates[3]);
    gate_open();
    finish(&calls[0], PFS_OK); /* it only seemed so */
    finish(&calls[1], PFS_CANCELLED);
    finish(&calls[2], PFS_OK); /* though all are fenced, none waits for a later one */
    finish(&calls[3], PFS_OK);
    vfs_doubt(vfs_rig, &fates[3]);
    cr_assert_not(atomic_load(&fates[3].fenced), "it is over");
}

Test(vfs_fate, B4_a_doubt_about_a_change_that_is_not_known_yet_counts_later)
{
    static struct rig_call first, second;
    struct vfs_fate fates[2] = {0};
    const struct change write = {PFS_OP_WRITE, "/g/f", NULL};

    vfs_rig_gate("/g", false);
    vfs_doubt(vfs_rig, &fates[0]);
    submit(&first, &write, 0, &fates[0]);
    gate_await(1);
    submit(&second, &write, 0, &fates[1]);
    cr_assert_not(list_is_empty(&fates[0].waiting));
    gate_open();
    finish(&first, PFS_OK);
    finish(&second, PFS_OK);
}

/* Submits op on /later/f; then its client goes. */
static void begin_and_leave(struct rig_call *call, struct vfs_fate *f, enum pfs_op op)
{
    struct pfs_request req = PFS_REQUEST_INIT;

    *f = (struct vfs_fate){.reads = !vfs_changes(op)};
    req.op = op;
    req.path = "/later/f";
    req.host = f;
    vfs_rig_submit(call, &req);
    vfs_give_up(vfs_rig, f);
}

Test(vfs_fate, a_read_whose_client_left_is_given_up_by_its_driver)
{
    static const enum pfs_op reads[] = {PFS_OP_READDIR, PFS_OP_OPEN_READ};
    static struct rig_call call;
    struct vfs_fate f;

    vfs_rig_later("/later");
    for (unsigned i = 0; i < 2; i++) {
        later_obeys = true; /* from inside: the call is finished once, by vfs_give_up */
        later_cancelled = 0;
        begin_and_leave(&call, &f, reads[i]);
        cr_assert_eq(later_cancelled, 1);
        vfs_rig_wait(&call);
        cr_assert_eq(call.reply.err.cls, PFS_CANCELLED);
        later_obeys = false; /* the answer was quicker, or comes when it likes */
        begin_and_leave(&call, &f, reads[i]);
        cr_assert_eq(later_cancelled, 2);
        cr_assert_not(call.done);
        later_answer(PFS_NOTFOUND);
        vfs_rig_wait(&call);
        cr_assert_eq(call.reply.err.cls, PFS_NOTFOUND);
        vfs_give_up(vfs_rig, &f); /* it is over */
        cr_assert_eq(later_cancelled, 2);
        pfs_reply_fini(&call.reply);
    }
    cr_assert_eq(vfs_unmount(vfs_rig, "/later", NULL), PFS_OK, "each gave the mount back");
}

Test(vfs_fate, B4_a_change_is_never_given_up_by_its_driver)
{
    static struct rig_call call;
    struct vfs_fate f;

    vfs_rig_later("/later");
    later_obeys = true;
    begin_and_leave(&call, &f, PFS_OP_MKDIR);
    cr_assert_eq(later_cancelled, 0);
    cr_assert_eq(atomic_load(&f.state), FATE_ORPHANED);
    later_answer(PFS_OK);
    vfs_rig_wait(&call);
    cr_assert_eq(call.reply.err.cls, PFS_OK);
}

Test(vfs_fate, a_read_that_waits_for_a_worker_is_not_begun_for_nobody)
{
    static struct rig_call running[MOUNT_WORKERS], queued;
    struct vfs_fate fates[2] = {{.reads = true}, {.reads = true}};
    struct pfs_request req = PFS_REQUEST_INIT;

    vfs_rig_gate("/slow", false);
    req.op = PFS_OP_READ;
    req.path = "/slow/f";
    req.host = &fates[0];
    vfs_rig_submit(&running[0], &req);
    req.host = NULL;
    for (size_t i = 1; i < MOUNT_WORKERS; i++) {
        vfs_rig_submit(&running[i], &req);
    }
    gate_await(MOUNT_WORKERS);
    req.host = &fates[1];
    vfs_rig_submit(&queued, &req);
    vfs_give_up(vfs_rig, &fates[0]); /* a worker has it: it ends as it ends */
    vfs_give_up(vfs_rig, &fates[1]);
    gate_open();
    for (size_t i = 0; i < MOUNT_WORKERS; i++) {
        vfs_rig_wait(&running[i]);
        cr_assert_eq(running[i].reply.err.cls, PFS_OK);
        pfs_reply_fini(&running[i].reply);
    }
    vfs_rig_wait(&queued);
    cr_assert_eq(queued.reply.err.cls, PFS_CANCELLED);
    cr_assert_eq(queued.reply.err.outcome, PFS_OUTCOME_NA);
}
