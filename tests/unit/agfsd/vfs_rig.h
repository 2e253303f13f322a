/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef VFS_RIG_H
#define VFS_RIG_H

/*
 * A tree for tests, without a server: a loop that is a queue of posts run by the test's thread, a
 * driver whose operations wait at a gate, and one that answers when it is told to.
 */
#include "vfs.h"
#include <stdatomic.h>

extern struct vfs *vfs_rig;

void vfs_rig_init(void);
void vfs_rig_fini(void);

/* Mounts d, which is taken. */
void vfs_rig_publish(const char *path, const char *type, struct pfs_driver *d);
/* Mounts a memfs, the gate driver, or the one that answers later, at path. */
void vfs_rig_memfs(const char *path);
void vfs_rig_gate(const char *path, bool handles);
/* A queuefs in memory. */
void vfs_rig_queuefs(const char *path);
/* A localfs of directory dir. */
void vfs_rig_localfs(const char *path, const char *dir);
void vfs_rig_later(const char *path);

/* Later drivers: requests not answered, requests given up so far. */
extern unsigned later_pending, later_cancelled;
/* Of the last request; 0: the driver has a time of its own. */
extern int64_t later_deadline_ns;
/* Answers the last request; cls != PFS_OK: with an error. */
void later_answer(enum pfs_class cls);
/* Whether giving up brings the answer at once, from inside. */
extern bool later_obeys;

/* Gate drivers: calls waiting at the gate now, drivers closed so far. */
extern atomic_int gate_waiting, gate_closed;
/* Lets all calls through from now on. */
void gate_open(void);
/* No longer. */
void gate_shut(void);
/* Waits until so many calls wait at the gate. */
void gate_await(int n);

/* A call under way. */
struct rig_call {
    struct pfs_reply reply;
    bool done;
};
/* Starts req with the rig's loop. */
void vfs_rig_submit(struct rig_call *c, const struct pfs_request *req);
/* Runs what is posted to the loop next. */
void vfs_rig_step(void);
/* Runs the loop until the call is done. */
void vfs_rig_wait(struct rig_call *c);
/* Waits until so many calls are done, and does not run the loop. */
void vfs_rig_await_posts(int n);
/* Both; the reply is the caller's. */
struct pfs_reply vfs_rig_do(const struct pfs_request *req);
struct pfs_reply vfs_rig_path(enum pfs_op op, const char *path);
void vfs_rig_put(const char *path, const char *text);
/* The content of a file, the names in a directory (with '@': a link), or the class of the error;
 * valid until the next call. */
const char *vfs_rig_cat(const char *path);
const char *vfs_rig_ls(const char *path);
/* Class of an operation, its reply thrown away. */
enum pfs_class vfs_rig_try(enum pfs_op op, const char *path, const char *path2);

#endif
