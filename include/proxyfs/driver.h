/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PROXYFS_DRIVER_H
#define PROXYFS_DRIVER_H

/*
 * The driver interface: every AGFS operation as one request value and one reply value.
 *
 * A driver is a file system behind a mount: memfs, localfs, a loaded plugin, or proxyfs, which
 * forwards to a remote. A host (agfsd, the plugin adapter) sends it requests. The client API
 * (proxyfs.h) uses the same values, so nothing is translated on the way through a proxied mount.
 */
#include <proxyfs/error.h>
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * One row per operation: identifier, name, class of the operation for retries (reliability bar B1:
 * R reads, W absolute writes, M mutations, Q anything that may act when repeated; a row's class is
 * the best it can be, knowledge about the path may only lower it), what it uses and answers.
 */
#define PFS_OP_TABLE(X)                                                                            \
    X(CREATE, "create", M)        /* path, mode */                                                 \
    X(MKDIR, "mkdir", M)          /* path, mode */                                                 \
    X(REMOVE, "remove", M)        /* path */                                                       \
    X(REMOVE_ALL, "removeall", M) /* path */                                                       \
    X(READ, "read", Q)            /* path, offset, size -> data */                                 \
    X(WRITE, "write", Q)          /* path, data, offset, flags (PFS_WRITE_*) -> count, text */     \
    X(READDIR, "readdir", R)      /* path -> list */                                               \
    X(STAT, "stat", R)            /* path -> stat */                                               \
    X(RENAME, "rename", M)        /* path, path2 = new path */                                     \
    X(COPY, "copy", M)            /* path, path2 = the copy -> count */                            \
    X(CHMOD, "chmod", W)          /* path, mode */                                                 \
    X(TRUNCATE, "truncate", W)    /* path, size */                                                 \
    X(TOUCH, "touch", M)          /* path */                                                       \
    X(SYMLINK, "symlink", M)      /* path = the link, path2 = its target */                        \
    X(READLINK, "readlink", R)    /* path -> text */                                               \
    X(DIGEST, "digest", R)        /* path, text = algorithm -> text */                             \
    X(GREP, "grep", R)            /* path, text = pattern, grep flags -> matches */                \
    X(CAPABILITIES, "capabilities", R)  /* -> text = version, list of features in matches */       \
    X(HEALTH, "health", R)              /* -> data = the JSON of /health */                        \
    X(OPEN_READ, "openread", Q)         /* path, offset, size, flags (PFS_READ_*) -> stream */     \
    X(OPEN_WRITE, "openwrite", Q)       /* path, offset, flags, size = length or -1 -> stream */   \
    X(HANDLE_OPEN, "hopen", M)          /* path, flags (PFS_OPEN_*), mode -> handle */             \
    X(HANDLE_REPLACE, "hreplace", M)    /* path, flags (PFS_WRITE_*) -> handle; see below */       \
    X(HANDLE_READ, "hread", Q)          /* handle, offset (-1: at the position), size -> data */   \
    X(HANDLE_WRITE, "hwrite", Q)        /* handle, offset (-1: at the position), data -> count */  \
    X(HANDLE_SEEK, "hseek", Q)          /* handle, offset, whence -> count = position */           \
    X(HANDLE_SYNC, "hsync", R)          /* handle */                                               \
    X(HANDLE_STAT, "hstat", R)          /* handle -> stat */                                       \
    X(HANDLE_INFO, "hinfo", R)          /* handle -> handle_info */                                \
    X(HANDLE_RENEW, "hrenew", R)        /* handle, size = lease in seconds -> handle_info */       \
    X(HANDLE_TRUNCATE, "htruncate", W)  /* handle, size */                                         \
    X(HANDLE_COMMIT, "hcommit", M)      /* handle, path, size -> count; see below */               \
    X(HANDLE_STREAM, "hstream", Q)      /* handle -> stream to read from */                        \
    X(HANDLE_CLOSE, "hclose", M)        /* handle */                                               \
    X(MOUNTS, "mounts", R)              /* -> data = the JSON of /mounts */                        \
    X(MOUNT, "mount", M)                /* path, text = type, data = the config as JSON object */  \
    X(UNMOUNT, "unmount", M)            /* path */                                                 \
    X(PLUGINS, "plugins", R)            /* -> data = the JSON of /plugins */                       \
    X(PLUGIN_LOAD, "pluginload", M)     /* path = library -> data = the JSON reply */              \
    X(PLUGIN_UNLOAD, "pluginunload", M) /* path = library */

enum pfs_op {
#define X(id, name, cls) PFS_OP_##id,
    PFS_OP_TABLE(X)
#undef X
        PFS_N_OPS
};

/* Name of an operation ("stat"). Static string, never NULL. */
PFS_API const char *pfs_op_name(enum pfs_op op);

/* Flags of WRITE and OPEN_WRITE; the values of the stock plugin ABI (plugin-abi.md section 4.3). */
#define PFS_WRITE_APPEND 1u    /* at the end; offset must be -1 */
#define PFS_WRITE_CREATE 2u    /* create when missing */
#define PFS_WRITE_EXCLUSIVE 4u /* fail with EXISTS when it exists; implies CREATE */
#define PFS_WRITE_TRUNCATE 8u  /* empty it first */
#define PFS_WRITE_SYNC 16u     /* on stable storage before success is said */
#define PFS_WRITE_ALL_FLAGS 31u
/* Offset -1 without APPEND replaces the whole content, as the stock drivers do. */

/*
 * Flag of READ and OPEN_READ: follow live data (the wire's stream=true). Offset and size are
 * ignored; the end may never come. Without it a driver of live streams refuses.
 */
#define PFS_READ_STREAM 1u
/*
 * Flag of OPEN_READ: offset and size are a part of content that is read in several parts. The
 * stream then says its version and the total, and fails when the content changes before its end; or
 * it has no version, and is the whole content from its begin, whatever part was asked for.
 */
#define PFS_READ_RANGE 2u
/* Flag of OPEN_READ: who asks takes `data` instead of a stream where all of it is there at once. */
#define PFS_READ_INLINE 4u

/* Flags of HANDLE_OPEN; the values of the stock server (agfs-http-api.md 6.2). */
#define PFS_OPEN_RDONLY 0u
#define PFS_OPEN_WRONLY 1u
#define PFS_OPEN_RDWR 2u
#define PFS_OPEN_APPEND 8u
#define PFS_OPEN_CREATE 16u
#define PFS_OPEN_EXCL 32u
#define PFS_OPEN_TRUNC 64u

/*
 * HANDLE_REPLACE gives a handle for the new content of a whole file: HANDLE_WRITE at offsets, in
 * any order and several at once, until HANDLE_COMMIT, with the path of HANDLE_REPLACE, puts it into
 * place. That is refused unless exactly the first `size` bytes were written. Nobody sees anything
 * of it before; HANDLE_CLOSE instead of it leaves the old content, and so does the end of the
 * lease.
 */

/* Flags of GREP. */
#define PFS_GREP_RECURSIVE 1u
#define PFS_GREP_ICASE 2u

#define PFS_TIME_UNKNOWN INT64_MIN

/* A string owned by a reply; NULL = absent. */
struct pfs_pair {
    char *key, *value;
};

/* What stat says and a listing holds (agfs-http-api.md 2.3). All strings are owned by the value. */
struct pfs_stat {
    char *name; /* base name, "/" for a root; never NULL in a valid value */
    int64_t size;
    uint32_t mode;
    bool is_dir;
    int64_t mtime_ns;            /* since 1970 UTC, PFS_TIME_UNKNOWN when unknown */
    char *meta_name, *meta_type; /* NULL = "" */
    struct pfs_pair *meta;       /* n_meta pairs of meta.Content */
    size_t n_meta;
};

struct pfs_match {
    char *file;
    int64_t line; /* from 1 */
    char *content;
};

struct pfs_handle_info {
    uint64_t id;
    char *path; /* NULL: not said, or it has no name here */
    uint32_t flags;
    int64_t lease_s;
    int64_t expires_ns, created_ns, access_ns; /* since 1970 UTC, PFS_TIME_UNKNOWN when unknown */
};

struct pfs_stream;

/* A request. Everything it points to is borrowed until the reply has been delivered. */
struct pfs_request {
    enum pfs_op op;
    const char *path;  /* begins with '/', relative to the driver; NULL only where unused */
    const char *path2; /* RENAME, COPY: the new path; SYMLINK: the target */
    const char *text;  /* DIGEST: algorithm; GREP: pattern; MOUNT: type */
    const void *data;  /* WRITE, HANDLE_WRITE, MOUNT */
    size_t len;        /* bytes at data */
    int64_t offset;    /* -1: not given */
    int64_t size;      /* -1: not given (READ: to the end) */
    uint32_t mode;
    uint32_t flags;
    int whence; /* HANDLE_SEEK: 0 start, 1 position, 2 end */
    uint64_t handle;
    int64_t deadline_ns; /* CLOCK_MONOTONIC, absolute; 0: the driver's default */
    unsigned hops;       /* servers passed so far, against mounts that form a ring */
    const char *req_id;  /* 32 hex digits naming this operation across retries; NULL: none */
    const char *client;  /* identity of who asks (certificate SAN); NULL: anonymous */
    void *host;          /* the host's own; no driver looks at it */
    const void *ticket; /* names it for `cancel` until `done`, in one driver no other; NULL: none */
};

#define PFS_REQUEST_INIT                                                                           \
    {                                                                                              \
        .offset = -1, .size = -1                                                                   \
    }

/*
 * Of content that is nowhere else any more, such as a message taken out of a queue: whoever has the
 * reply says what became of it, once.
 */
struct pfs_receipt {
    /* Frees it. lost: the content has surely reached nobody, and may be taken back (this may
     * block); else it may have. Any thread. */
    void (*end)(struct pfs_receipt *r, bool lost);
};

/* A reply. err.cls == PFS_OK: the members of the operation's row are set, the others are zero. */
struct pfs_reply {
    struct pfs_error err;
    void *data; /* owned; len bytes; NULL when empty */
    size_t len;
    int64_t count;         /* WRITE, COPY: bytes written; HANDLE_SEEK: position */
    char *text;            /* owned: READLINK target, DIGEST hex, server's message */
    struct pfs_stat stat;  /* STAT, HANDLE_STAT */
    struct pfs_stat *list; /* READDIR: n_list entries */
    size_t n_list;
    struct pfs_match *matches; /* GREP; CAPABILITIES: .file is a feature */
    size_t n_matches;
    struct pfs_handle_info handle;
    struct pfs_stream *stream;   /* owned: OPEN_READ, OPEN_WRITE, HANDLE_STREAM */
    struct pfs_receipt *receipt; /* owned: READ of what is taken out; NULL: none */
    bool plain; /* READ, OPEN_READ: it took nothing away, and may be repeated; false: who knows */
};

/* Frees what a reply owns (a stream is closed, a receipt ended as not lost) and zeroes it. */
PFS_API void pfs_reply_fini(struct pfs_reply *reply);
/* Frees what a stat value owns and zeroes it. */
PFS_API void pfs_stat_fini(struct pfs_stat *st);

/*
 * Called exactly once per submitted request, from any thread, also from inside submit, with no lock
 * held. Takes the reply: the callee owns what it holds and must call pfs_reply_fini in the end;
 * `reply` itself is valid only during the call.
 */
typedef void pfs_done_fn(void *arg, struct pfs_reply *reply);

/* ---- streams ------------------------------------------------------------------------------- */

/*
 * A stream moves one chunk at a time: at most one read, write or finish is in flight, and its
 * callback is called exactly once (perhaps from inside the call). n is the number of bytes moved;
 * a read that ends with n == 0 and class OK is the end of the content. err is valid during the
 * call. A driver whose stream calls may block sets `blocking`; its host then calls from a worker
 * thread.
 */
typedef void pfs_io_fn(void *arg, size_t n, const struct pfs_error *err);

struct pfs_stream_ops {
    bool blocking;
    /* Reads up to cap bytes (cap > 0) into buf, which is borrowed until the callback. */
    void (*read)(struct pfs_stream *s, void *buf, size_t cap, pfs_io_fn *done, void *arg);
    /*
     * Where reads usually need no wait although `blocking` is set: reads as `read` does if that
     * needs none now, and returns true and *ret_n (0: the end); false: call `read`. NULL: never.
     */
    bool (*read_now)(struct pfs_stream *s, void *buf, size_t cap, size_t *ret_n);
    /* Writes all len bytes, borrowed until the callback, which comes when more may be written. */
    void (*write)(struct pfs_stream *s, const void *buf, size_t len, pfs_io_fn *done, void *arg);
    /* Ends a write stream: success means that the content is complete and committed. n = total. */
    void (*finish)(struct pfs_stream *s, pfs_io_fn *done, void *arg);
    /*
     * Frees the stream. A write stream that was not finished leaves the old content. May be called
     * while an operation is in flight: that then completes with CANCELLED before close returns; or
     * it was over already, and its callback is just being called, or about to be, on another
     * thread.
     */
    void (*close)(struct pfs_stream *s);
};

#define PFS_CONTENT_VERSION_MAX 64

struct pfs_stream {
    const struct pfs_stream_ops *ops;
    int64_t size; /* of what is to be read, where known, else -1 */
    /* PFS_READ_RANGE: the same as long as the content is; "": not known, and nor is total */
    char version[PFS_CONTENT_VERSION_MAX];
    int64_t total; /* size of the whole content */
};

/* ---- drivers ------------------------------------------------------------------------------- */

struct pfs_driver;

/* Carries out one request and fills *reply (zeroed by the caller), on the calling thread. */
typedef void pfs_op_fn(struct pfs_driver *d, const struct pfs_request *req,
                       struct pfs_reply *reply);

struct pfs_driver_ops {
    const char *name; /* type name: "memfs" */
    /* True: `op` functions never wait for disk, network or a lock held across such a wait, so a
     * host may call them on its event loop. */
    bool nonblocking;
    /* True: reading changes nothing, so that a read may be repeated when its reply was lost. False:
     * a read may take a message out of a queue, or it is not known. */
    bool plain_reads;
    bool ranges; /* OPEN_READ knows PFS_READ_RANGE */
    /* The table of operations; NULL = not supported (class UNSUPPORTED, outcome NA). */
    pfs_op_fn *op[PFS_N_OPS];
    /*
     * Where a driver answers later without holding a thread: NULL otherwise. Returns false when it
     * does not take this request this way (the host then calls op[] from a worker); once true,
     * `done` is called exactly once.
     */
    bool (*submit)(struct pfs_driver *d, const struct pfs_request *req, pfs_done_fn *done,
                   void *arg);
    /*
     * Gives up the submitted request of that ticket, if it is still in flight: `done` comes soon
     * (perhaps from inside), with CANCELLED unless the answer was quicker; a stream that was just
     * given may end with CANCELLED. What of it has begun elsewhere may go on there. NULL: not
     * supported. Any thread, no lock held; the driver stays until this returns.
     */
    void (*cancel)(struct pfs_driver *d, const void *ticket);
    /*
     * True: the driver is about to be closed, and the host waits for requests and streams to end;
     * what follows live data, without an end of its own, is to end now as at its end. False: it
     * stays after all. NULL: nothing waits there. Any thread.
     */
    void (*unmounting)(struct pfs_driver *d, bool unmounting);
    /*
     * Of a driver that is nonblocking: true for a request that takes long all the same (much memory
     * is to be moved, or somebody else has the lock for that), and is better done by a worker.
     * NULL: none does. Any thread.
     */
    bool (*is_long)(struct pfs_driver *d, const struct pfs_request *req);
    /* Frees the driver. No request is in flight, none follows; streams are closed before. */
    void (*close)(struct pfs_driver *d);
};

struct pfs_driver {
    const struct pfs_driver_ops *ops;
};

/* An option of a mount: name and value as text. */
struct pfs_option {
    const char *key, *value;
};

/*
 * Makes a proxyfs driver: a remote AGFS server as a file system, with the control file /reload in
 * its root. Options: README.md, "Options of a mount". Unless the option lazy is set, the remote's
 * health is checked first, for at most connect_timeout + timeout; so this call may block. Returns
 * PFS_OK and *ret, which belongs to the caller (ops->close frees it), or the error's class. Errors:
 * CONFIG; and any class a call to the remote can have. Any thread.
 */
PFS_API PFS_MUST_CHECK enum pfs_class pfs_proxyfs_open(const struct pfs_option *options, size_t n,
                                                       struct pfs_driver **ret,
                                                       struct pfs_error *err);

#ifdef __cplusplus
}
#endif
#endif
