/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_QUEUEFS_H
#define AGFSD_QUEUEFS_H

/* Inside of queuefs: what its files and its handles (queuefs_handles.c) share. */
#include "base/list.h"
#include "base/path.h"
#include "queue.h"
#include <proxyfs/driver.h>
#include <pthread.h>

enum queue_file {
    QUEUE_DIR, /* the root, a queue, or a directory above queues */
    QUEUE_README,
    QUEUE_ENQUEUE,
    QUEUE_DEQUEUE,
    QUEUE_PEEK,
    QUEUE_SIZE,
    QUEUE_CLEAR
};

#define QUEUEFS_BUCKETS 64

struct queuefs {
    struct pfs_driver base;    /* fixed after open, as is: */
    struct pfs_driver_ops ops; /* whether they wait depends on the backend */
    struct queue_backend *backend;
    uint64_t max_held; /* of `held`, unless it is one text alone */

    pthread_mutex_t mu; /* of everything below; never held while the backend works */
    struct list handles[QUEUEFS_BUCKETS];
    uint64_t last_handle;
    uint64_t held; /* bytes of text that handles have */
};

static inline struct queuefs *queuefs_of(struct pfs_driver *d)
{
    return container_of(d, struct queuefs, base);
}

/* A path taken apart. */
struct queue_path {
    enum queue_file file;
    const char *file_name;       /* "dequeue" */
    char name[PFS_PATH_MAX + 1]; /* of the queue */
};

/* What the options say; *ret_db: the file of the durable backend, borrowed, NULL: in memory.
 * Errors: CONFIG. */
enum pfs_class queuefs_options(const struct pfs_option *options, size_t n,
                               struct queue_limits *limits, const char **ret_db,
                               struct pfs_error *err);

/* Errors: BADARG (a control file without a queue). */
enum pfs_class queuefs_parse(const char *path, struct queue_path *ret, struct pfs_error *err);

/*
 * What reading a control file gives, malloc'ed: the text of dequeue, peek or size. *ret_receipt:
 * of a message that was taken; NULL where nobody can take it back.
 */
enum pfs_class queuefs_fetch(struct queuefs *q, const struct queue_path *p, char **ret,
                             size_t *ret_len, struct pfs_receipt **ret_receipt,
                             struct pfs_error *err);
/* Of a message taken out of that queue; takes m->data. NULL: no memory (it is freed). */
struct pfs_receipt *queuefs_receipt(struct queuefs *q, const char *name,
                                    const struct queue_message *m);
/* STAT of any path. */
pfs_op_fn queuefs_stat;

pfs_op_fn queuefs_hopen, queuefs_hread, queuefs_hwrite, queuefs_hseek, queuefs_hsync, queuefs_hstat,
    queuefs_hclose;
/* Bytes that a call on a handle has to move, without waiting; SIZE_MAX: it would wait. */
size_t queuefs_handle_effort(struct queuefs *q, const struct pfs_request *req);
/* The same for a file of a queue; len: what is written to it. */
size_t queuefs_effort(struct queuefs *q, const struct queue_path *p, bool write, size_t len);
/* pfs_driver_ops.is_long, where the backend does not block. */
bool queuefs_is_long(struct pfs_driver *d, const struct pfs_request *req);
/* Frees the handles that are left. */
void queuefs_handles_fini(struct queuefs *q);

#endif
