/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Operations whose client goes away. */
#include "vfs_rig.h"
#include <criterion/criterion.h>

TestSuite(vfs_fate, .init = vfs_rig_init, .fini = vfs_rig_fini);

Test(vfs_fate, B4_what_a_client_gave_up_never_overtakes)
{
    static struct rig_call running[MOUNT_WORKERS], queued, again, elsewhere;
    struct vfs_fate fates[MOUNT_WORKERS + 2] = {0};
    struct pfs_request req = PFS_REQUEST_INIT;

    vfs_rig_gate("/slow");
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

Test(vfs_fate, B4_who_waits_may_give_up_too)
{
    static struct rig_call first, second;
    struct vfs_fate fates[2] = {0};
    struct pfs_request req = PFS_REQUEST_INIT;

    vfs_rig_gate("/slow");
    req.op = PFS_OP_WRITE;
    req.path = "/slow/f";
    req.host = &fates[0];
    vfs_rig_submit(&first, &req);
    gate_await(1);
    vfs_give_up(vfs_rig, &fates[0]);
    req.host = &fates[1];
    vfs_rig_submit(&second, &req);
    vfs_give_up(vfs_rig, &fates[1]);
    gate_open();
    vfs_rig_wait(&first);
    vfs_rig_wait(&second);
    cr_assert_eq(second.reply.err.cls, PFS_CANCELLED);
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

    vfs_rig_gate("/slow");
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
