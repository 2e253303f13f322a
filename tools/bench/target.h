/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef BENCH_TARGET_H
#define BENCH_TARGET_H

/*
 * What is measured: one AGFS base URL (or several alike, its remotes) with a directory of our own
 * below a path of it, or bare TLS (kind limit).
 */
#include "workload.h"
#include <proxyfs/proxyfs.h>
#include <stdatomic.h>
#include <sys/types.h>

struct limit;

/* As the command line says it; all owned. "%n" in url, path and queue: the remote's number. */
struct target_spec {
    char *name; /* NULL: the URL */
    char *url;
    char *path;                 /* NULL: a place that takes files is looked for */
    char *queue;                /* of a queuefs mount */
    char *file;                 /* all calls go to this one, which is there; NULL: to our own */
    struct pfs_option *options; /* without base_url */
    size_t n_options;
};

/* What must be there before a step. */
struct setup {
    int64_t size;     /* of files and messages */
    unsigned entries; /* of the directory that is listed */
    unsigned files;   /* that are read and looked at */
    unsigned remotes;
    const char *content; /* of the files, at most CONTENT_MAX bytes, then again from its begin */
};
#define CONTENT_MAX (64ll << 20) /* the longest content of one call; longer content is streamed */

/* What went into queues and came out: nothing may get lost. */
struct queue_account {
    atomic_ullong enqueued, unknown, dequeued, empty, taken_unknown;
    atomic_ullong in_sum, out_sum; /* of the messages' hashes */
    atomic_ullong left;            /* found at the end */
};

struct remote {
    struct queue_account *account; /* the target's */
    struct pfs_client *client;     /* the callers' */
    struct pfs_client *control;    /* prepares and cleans, also when the callers' was ended */
    char *base, *queue;            /* directories of ours; NULL: not made */
    unsigned files, entries;       /* that are there now */
    int64_t size;                  /* of the files */
};

struct target {
    char *name, *url, *path; /* for people: no passwords, path with our directory */
    const char *protocol;    /* static */
    const struct target_spec *spec;
    struct remote *remotes;
    unsigned n_remotes;
    char id[16];  /* part of our directories' names */
    pid_t server; /* on this machine, else 0 */
    struct queue_account account;
    struct limit *limit; /* kind limit, borrowed: what follows is unused then */
    enum bench_op limit_op;
};

/*
 * Connects: PFS_OK when every remote is healthy. *ret: target_free. *err says what is wrong and
 * with which URL.
 */
enum pfs_class target_open(const struct target_spec *spec, unsigned n_remotes, struct target **ret,
                           struct pfs_error *err);
struct target *target_of_limit(struct limit *l, enum bench_op op);
void target_free(struct target *t);

/* Makes what the workload needs, as far as it is not there. */
enum pfs_class target_prepare(struct target *t, const struct workload *w, const struct setup *s,
                              struct pfs_error *err);
/* Removes everything that was made; queues are emptied first and what is left in them counted. */
enum pfs_class target_clean(struct target *t, struct pfs_error *err);

#endif
