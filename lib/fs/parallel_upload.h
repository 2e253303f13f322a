/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_FS_PARALLEL_UPLOAD_H
#define PFS_FS_PARALLEL_UPLOAD_H

/* Shared by parallel_write.c (the stream) and parallel_upload.c (what becomes of its content). */
#include "fs/parallel.h"

struct upload;

enum part_state { PART_FREE, PART_FILLS, PART_READY, PART_SENT };

struct upart {
    struct upload *u;
    enum part_state state;
    char *buf;
    int64_t at; /* in the content */
    size_t len;
};

enum mode {
    MODE_GATHERS, /* nothing is known to the remote yet */
    MODE_OPENS,
    MODE_PARTS, /* `handle` */
    MODE_PLAIN  /* `plain` */
};

struct upload {
    struct pfs_stream base;
    struct pfs_client *client;
    atomic_uint refs; /* the stream's user, requests under way */
    unsigned hops, n_streams;
    size_t part_size;
    uint32_t flags; /* as the user gave them */

    pthread_mutex_t mu;
    enum mode mode;
    uint64_t handle;
    bool has_handle;
    struct pfs_stream *plain; /* its calls are made by one thread at a time: n_sent, ending */
    struct upart parts[PARALLEL_STREAMS_MAX];
    unsigned n_sent;
    int64_t total;      /* gathered so far */
    int64_t sent_ns;    /* when the last part was sent */
    bool ending, ended; /* the commit is under way; was carried out */
    bool closed;
    struct pfs_error err;
    /* the call in flight, done NULL: none */
    const char *data; /* NULL: finish */
    size_t len, left;
    pfs_io_fn *done;
    void *arg;

    char path[];
};

/* Does what can be done now. The caller has a reference. */
void upload_go_on(struct upload *u);
void upload_unref(struct upload *u);

#endif
