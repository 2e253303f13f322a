/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_VFS_H
#define AGFSD_VFS_H

/*
 * The tree: mounts, the virtual directories above them, symbolic links and file handles, as one
 * asynchronous operation (agfs-http-api.md sections 5 and 6). Drivers that never wait run on the
 * caller's thread, those that answer later do so, the rest run on workers of their mount: each
 * mount has its own, so that a slow one holds up nobody else. Any thread may call.
 */
#include "base/cold.h"
#include "base/list.h"
#include "http.h"
#include <proxyfs/driver.h>
#include <stdatomic.h>

#define MOUNTS_MAX 10000         /* administrators make them; a listing shows them all */
#define MOUNT_WORKERS 16         /* of one mount: requests that block at once */
#define MOUNT_QUEUE 1024         /* behind them; further ones are OVERLOAD */
#define OP_DEADLINE_MS 30000     /* of an operation whose request names none */
#define COPY_DEADLINE_MS 3600000 /* a file of any size; clients that went are noticed otherwise */
#define UNMOUNT_WAIT_MS 30000    /* for calls in flight */
#define INLINE_READ_MAX 262144   /* a file up to this size is read on the way of its opening */

struct client_key;
struct vfs;
struct mount;
struct vcall;

struct vfs *vfs_new(void); /* NULL: out of memory */
/* Unmounts everything. No call may be in flight or follow. NULL allowed. */
void vfs_free(struct vfs *v);

/*
 * What becomes of an operation whose client may go away meanwhile. Belongs to who submits it, with
 * pfs_request.host pointing to it, until `done`. vfs_fate.c lists the ways between the states.
 */
enum vfs_fate_state {
    FATE_OPEN,
    FATE_BEGUN,
    FATE_OVER,
    FATE_GIVEN_UP,
    FATE_ORPHANED,  /* changes: begun, and the client has gone */
    FATE_PENDING,   /* reads: begun, and the driver can give it up: */
    FATE_GIVING_UP, /* vfs_give_up is telling the driver; `call` and its mount stay meanwhile, */
    FATE_ANSWERED,  /* also when the driver is done with it: vfs_give_up finishes it */
    FATE_LEFT       /* reads: a worker has it, and the client has gone */
};
struct vfs_fate {
    atomic_int state; /* enum vfs_fate_state; zeroed: open */
    bool reads;       /* set before it begins: it changes nothing, and nobody asks again */
    bool kept;        /* set by who submits: somebody may ask again for the result */
    const struct client_key *from; /* likewise: the client's address; NULL: not known */
    struct vcall *call;            /* while PENDING or GIVING_UP */
    struct vcall *held;            /* while it waits for other changes; under vfs.orphan_mu */
    bool doubted;                  /* vfs_doubt was called; the loop's */
    bool deep; /* what is below its paths is meant too, as is: fixed when it is fenced */
    const char *path, *path2; /* in the tree; NULL: not known yet, none */
    /* Changes of its paths wait until it is over. Under vfs.orphan_mu, as is what follows. */
    atomic_bool fenced;
    struct list node, waiting;
    uint64_t order; /* who waits does so for earlier ones only; 0: none yet */
};
/*
 * The client may have gone, or wait for the answer: further changes of the same paths wait until
 * this one is over. On the loop that submitted, perhaps more than once.
 */
void vfs_doubt(struct vfs *v, struct vfs_fate *f);
/*
 * The client has gone: what has not begun will never be carried out (CANCELLED, NA), and ends soon
 * where it waits for another change. A change that has begun will be, and further changes of the
 * same paths wait for it; a read that its driver answers later is given up there. On the loop that
 * submitted.
 */
void vfs_give_up(struct vfs *v, struct vfs_fate *f);
/*
 * Does nobody wait for what req has begun any more? Its deadline passed, its client has gone (and
 * nobody will ask for the result), or the server ends; *err (NULL allowed) says so. For what takes
 * long, and has changed nothing yet. Any thread.
 */
bool vfs_is_over(struct vfs *v, const struct pfs_request *req, struct pfs_error *err);
/* From now on vfs_is_over. Any thread, any number of times. */
void vfs_stop(struct vfs *v);
/* The server ends: what follows live data is to end now, as at its end. Any thread. */
void vfs_end_live(struct vfs *v);
/* May the operation change anything, or take anything out? */
bool vfs_changes(enum pfs_op op);

/*
 * Carries out one operation; what req points to is borrowed until `done`, *req itself only during
 * the call. Paths need not be normalised. done is called exactly once on the loop's thread, perhaps
 * from inside; with loop NULL on any thread. Beyond what driver.h says:
 * - OPEN_READ answers with data instead of a stream when the content is small, or the driver has no
 *   streams.
 * - HANDLE_*: handles are the server's; HANDLE_OPEN takes a lease in seconds in `size`.
 * - DIGEST, GREP, TOUCH and COPY work with drivers that have no such operation.
 */
void vfs_submit(struct vfs *v, struct loop *loop, const struct pfs_request *req, pfs_done_fn *done,
                void *arg);
/* The same on the calling thread, which may block; reply zeroed by the caller. */
void vfs_run(struct vfs *v, const struct pfs_request *req, struct pfs_reply *reply);

/*
 * Runs fn(arg), which looks at vfs_is_over now and then, on a worker that belongs to no mount.
 * Errors, fn not called: OVERLOAD, NOMEM, SHUTDOWN. Any thread.
 */
enum pfs_class vfs_work(struct vfs *v, void (*fn)(void *arg), void *arg, struct pfs_error *err);

/* True when the driver that serves path has the operation itself. */
bool vfs_has_op(struct vfs *v, const char *path, enum pfs_op op);
/* True when reading path changes nothing, as far as its driver knows. */
bool vfs_has_plain_reads(struct vfs *v, const char *path);

/*
 * Ends a stream that vfs_submit gave, where it may block: finishes it when `fate` is given (and not
 * given up), closes it, then calls done on the loop's thread with the result.
 */
void vfs_stream_end(struct pfs_stream *s, struct loop *loop, struct vfs_fate *fate, pfs_io_fn *done,
                    void *arg);

/* ---- mounts ---- */

enum mount_state { MOUNT_PENDING, MOUNT_MOUNTED, MOUNT_FAILED, MOUNT_UNMOUNTING };
const char *mount_state_name(enum mount_state s); /* "pending", "mounted", "failed" */

struct mount_spec {
    const char *path;     /* normalised */
    const char *type;     /* "memfs" */
    const char *instance; /* name in the configuration file, NULL: mounted by a request */
    const char *config;   /* JSON object as given, NULL: none */
    bool builtin;         /* not counted among the configured ones */
};

/*
 * Takes the path for a mount, which is pending until vfs_publish or vfs_fail; strings are copied.
 * A mount from the configuration that failed gives way. Errors: EXISTS, OVERLOAD, NOMEM.
 */
enum pfs_class vfs_reserve(struct vfs *v, const struct mount_spec *spec, struct mount **ret,
                           struct pfs_error *err);
/*
 * The mount is up; the driver is taken. Errors (the mount is then given up as by vfs_fail, the
 * driver closed): NOMEM.
 */
enum pfs_class vfs_publish(struct vfs *v, struct mount *m, struct pfs_driver *d,
                           struct pfs_error *err);
/* It is not: one from the configuration stays, shown as failed; another goes. */
PFS_COLD void vfs_fail(struct vfs *v, struct mount *m, const struct pfs_error *why);
/* A failed mount of the configuration is tried again: false when it is gone meanwhile. */
bool vfs_retry(struct vfs *v, const char *path, struct mount **ret);
/*
 * Ends a mount once its calls in flight are done (new ones are refused meanwhile) and closes its
 * driver. Blocks. Errors: NOTFOUND, BUSY (calls did not end in time; the mount stays).
 */
enum pfs_class vfs_unmount(struct vfs *v, const char *path, struct pfs_error *err);

/* What GET /mounts shows. Strings are borrowed during the call. */
struct mount_info {
    const char *path, *type, *instance, *config, *error;
    enum mount_state state;
    bool builtin;
};
/* Calls fn for each mount, sorted by path, under the table's lock. */
void vfs_each_mount(struct vfs *v, void (*fn)(void *arg, const struct mount_info *info), void *arg);

/* ---- handles ---- */

#define HANDLES_MAX 10000 /* as the stock server says */
/*
 * Half, so that one that leaves them open leaves some for others. Of clients without a name those
 * that come from one address are one.
 */
#define HANDLES_PER_CLIENT (HANDLES_MAX / 2)
#define LEASE_DEFAULT_S 3600 /* stock clients that know no lease may be idle for long */
#define LEASE_MAX_S 86400
/* Of HANDLE_REPLACE: each has a file that takes room and is seen by nobody. */
#define UPLOADS_MAX 1000
#define UPLOADS_PER_CLIENT (UPLOADS_MAX / 2)
/*
 * A part may take so long on a line of 64 KiB/s that 16 MiB of them share, and must not find its
 * handle gone then.
 */
#define UPLOAD_LEASE_S 300

/* How many handles of HANDLE_REPLACE are open. */
unsigned vfs_n_uploads(struct vfs *v);

/* Closes handles whose lease has ended: called about once a second. */
void vfs_sweep_handles(struct vfs *v);
void vfs_each_handle(struct vfs *v, void (*fn)(void *arg, const struct pfs_handle_info *h),
                     void *arg);

#endif
