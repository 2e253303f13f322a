/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_QUEUE_H
#define AGFSD_QUEUE_H

/*
 * Where queuefs keeps its messages: a small face with one implementation in memory and one in
 * SQLite. A queue is named by its path without the leading '/'; any number of components. All
 * functions may be called from any thread; those of a backend that says `blocking` may wait for
 * the disk.
 */
#include <proxyfs/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queue_limits {
    uint64_t max_message_bytes; /* of one message */
    uint64_t max_bytes;         /* of all messages of the mount, each with what it costs besides */
    uint64_t max_queues;
};

#define QUEUE_MESSAGE_COST 96 /* of a message besides its content: an empty one is not free */

/* A reply spells a byte in up to six, and clients take 64 MiB: so 8 MiB always get through. */
#define QUEUE_LIMITS_INIT                                                                          \
    {                                                                                              \
        .max_message_bytes = 8u << 20, .max_bytes = 1u << 30, .max_queues = 10000                  \
    }

/* A message taken out. data is malloc'ed, never NULL for a message; NULL: the queue was empty. */
struct queue_message {
    char id[37]; /* UUIDv7 */
    int64_t time_ns;
    int64_t place; /* the backend's: where to put it back */
    char *data;
    size_t len;
};

/* What an operation will touch of a queue, for those that look whether it takes long. */
enum queue_effort {
    QUEUE_EFFORT_NONE,    /* a little */
    QUEUE_EFFORT_MESSAGE, /* the first message */
    QUEUE_EFFORT_ALL,     /* all of them */
    QUEUE_EFFORT_NAMES    /* the names of queues */
};

struct queue_state {
    bool exists;
    bool has_below;  /* queues whose names go on after a '/' */
    uint64_t size;   /* messages */
    int64_t last_ns; /* of the last enqueue, 0: none since the start or the last clear */
};

struct queue_backend;

/* Errors besides those named: NOMEM, and IO, NOSPC, BUSY of a disk. */
struct queue_backend_ops {
    const char *type; /* "memory" */
    bool blocking;
    /* Makes a queue; one that exists is fine. Errors: NOSPC (max_queues). */
    enum pfs_class (*make)(struct queue_backend *b, const char *name, struct pfs_error *err);
    /* Removes a queue and all below it, "" all there are. Nothing there is fine. */
    enum pfs_class (*remove)(struct queue_backend *b, const char *name, struct pfs_error *err);
    /* Appends a message; when it returns OK the message is as safe as the backend can make it.
     * Errors: TOOBIG, NOSPC, NOTFOUND where queues are not made on the way. */
    enum pfs_class (*push)(struct queue_backend *b, const char *name, const void *data, size_t len,
                           struct pfs_error *err);
    /* Takes the first message (`keep`: a copy, it stays). A message goes to exactly one taker. */
    enum pfs_class (*take)(struct queue_backend *b, const char *name, bool keep,
                           struct queue_message *ret, struct pfs_error *err);
    /* Puts a message that was taken back where it was; its queue may be gone, then it is too. */
    enum pfs_class (*put_back)(struct queue_backend *b, const char *name,
                               const struct queue_message *m, struct pfs_error *err);
    enum pfs_class (*clear)(struct queue_backend *b, const char *name, struct pfs_error *err);
    enum pfs_class (*look)(struct queue_backend *b, const char *name, struct queue_state *ret,
                           struct pfs_error *err);
    /* Calls fn for each next component below name ("" all), sorted, each once, until it is false;
     * fn must not call the backend. */
    enum pfs_class (*children)(struct queue_backend *b, const char *name,
                               bool (*fn)(void *arg, const char *child), void *arg,
                               struct pfs_error *err);
    /* Bytes that something of that kind has to move, without waiting; SIZE_MAX: it would wait for
     * another one. NULL where `blocking`. */
    size_t (*effort)(struct queue_backend *b, const char *name, enum queue_effort what);
    void (*close)(struct queue_backend *b);
};

struct queue_backend {
    const struct queue_backend_ops *ops;
};

/* Lost when it is closed. NULL: out of memory. */
struct queue_backend *queue_mem_open(const struct queue_limits *limits);
/* A database file, made when missing. Blocks. Errors: IO, DENIED and the like, NOMEM. */
enum pfs_class queue_sqlite_open(const char *db_path, const struct queue_limits *limits,
                                 struct queue_backend **ret, struct pfs_error *err);

/* ---- what both need ---- */

/* A UUIDv7 for that time: ids sort as their times do. */
void queue_make_id(char id[37], int64_t time_ns);
/*
 * Is a message of len bytes, which costs so much, allowed besides the total that is there? Errors:
 * TOOBIG, NOSPC.
 */
enum pfs_class queue_check_room(const struct queue_limits *limits, uint64_t total, size_t len,
                                uint64_t cost, struct pfs_error *err);
/* As strcmp, with '/' before all other bytes: what is below a queue follows it. */
int queue_compare(const char *a, const char *b);
/*
 * True when `name` is below `dir` ("" is above all). Then the first component after it is copied to
 * child.
 */
bool queue_child_of(const char *name, const char *dir, char *child, size_t cap);

#endif
