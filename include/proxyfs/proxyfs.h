/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PROXYFS_PROXYFS_H
#define PROXYFS_PROXYFS_H

/*
 * libproxyfs: a client of AGFS servers. All calls to one remote share a few persistent HTTP/2 (or,
 * where the remote has nothing else, HTTP/1.1) connections; any number of threads may call.
 *
 *     struct pfs_option o[] = {{"base_url", "https://dc1.example.com:8443/api/v1"}};
 *     struct pfs_client *c;
 *     struct pfs_error e;
 *     if (pfs_client_new(o, 1, &c, &e) != PFS_OK) { fprintf(stderr, "%s\n", e.text); return 1; }
 *     struct pfs_data d;
 *     if (pfs_read(c, "/memfs/config.json", 0, -1, &d, &e) == PFS_OK) { ...; pfs_data_fini(&d); }
 *     pfs_client_free(c);
 *
 * Rules for all functions unless a comment says otherwise:
 * - Any thread may call. Strings are UTF-8 and NUL-terminated; they are borrowed during the call.
 * - The result is PFS_OK or the class of the error; *err (may be NULL) is then filled, and no
 *   out-parameter is touched. On PFS_OK *err is left alone.
 * - A path begins with '/', has no NUL, is valid UTF-8, at most 4096 bytes, each component at most
 *   255; it is normalised lexically. Anything else: INVALID, outcome NA, nothing is sent.
 * - Each call has one absolute deadline over everything it does (option timeout); it returns no
 *   later, with TIMEOUT. Every class of error.h that is not CONFIG is possible.
 * - Nothing that may wait for a remote is a cancellation point: a thread that pthread_cancel names
 *   meanwhile comes back first, for it may be working for others, too.
 * - After fork() the child must not use clients and streams of its parent: each call says SHUTDOWN,
 *   not applied, counters are zero, and to free or close one does nothing. It may make clients of
 *   its own. The parent goes on undisturbed.
 */
#include <proxyfs/driver.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PFS_VERSION "0.1.0"

struct pfs_client;

/* Version of the library and of the libraries below it, one line. Static string. */
PFS_API const char *pfs_version(void);

/* ---- life ---------------------------------------------------------------------------------- */

/*
 * Makes a client from n options (README.md, "Options of a mount"; base_url is required). Reads
 * certificate and key files, contacts nobody: use pfs_health for that. Clients with the same remote
 * and the same connection options share connections.
 * *ret belongs to the caller: pfs_client_free. Errors: CONFIG (names the option), NOMEM, NOFILE.
 */
PFS_API PFS_MUST_CHECK enum pfs_class pfs_client_new(const struct pfs_option *options, size_t n,
                                                     struct pfs_client **ret,
                                                     struct pfs_error *err);

/*
 * Ends a client: calls in flight complete with SHUTDOWN (at once, outcome as far as known), then
 * everything is given back. No other thread may call with this client any more, except that calls
 * already inside may finish. NULL is allowed.
 */
PFS_API void pfs_client_free(struct pfs_client *c);

/*
 * Builds new connections from scratch (names, certificate, key and token files are read again),
 * proves them with GET /health, then swaps them in; the old ones finish their calls and close. On
 * error the old ones go on serving. Text of the error: "reload failed: failed to connect after
 * reload: ...". OVERLOAD, with nothing done, while calls begun before each of 32 reloads are still
 * in flight. Blocks for at most connect_timeout + timeout.
 */
PFS_API PFS_MUST_CHECK enum pfs_class pfs_reload(struct pfs_client *c, struct pfs_error *err);

/* ---- any operation ------------------------------------------------------------------------- */

/*
 * Carries out one request and waits. *reply needs no initialisation; it is always filled
 * (reply->err holds the error) and must be given to pfs_reply_fini. Returns reply->err.cls.
 */
PFS_API enum pfs_class pfs_call(struct pfs_client *c, const struct pfs_request *req,
                                struct pfs_reply *reply);

/*
 * Starts one request. `done` is called exactly once, from an internal thread or from inside this
 * call, a pfs_cancel or the end of the client, and never inside a blocking call of somebody else.
 * It must not block and must not call blocking functions of this library; nor may a lock that it
 * takes be held during one: the internal thread would wait for that call, and the call perhaps for
 * that thread, until its deadline. What req points to must stay valid until then; *req itself only
 * during this call.
 */
PFS_API void pfs_submit(struct pfs_client *c, const struct pfs_request *req, pfs_done_fn *done,
                        void *arg);
/*
 * Gives up the request of pfs_submit with that ticket (pfs_request.ticket): it ends soon, perhaps
 * inside this call, and over HTTP/2 the remote is told with RST_STREAM. `done` still comes exactly
 * once: CANCELLED, with the outcome that is known, or the answer if that was quicker. Nothing
 * happens when no such request is in flight; whoever uses a ticket again must have seen `done`, and
 * no pfs_cancel for it may still be running. Any thread; not while the client is being freed.
 */
PFS_API void pfs_cancel(struct pfs_client *c, const void *ticket);
/*
 * The same for all that is in flight now: requests, blocking calls of other threads, open streams.
 * What begins later is not touched, the next parts of a stream that goes in parts included: one
 * that has none under way goes on. c stays as it is. For a user who does not want to wait any
 * longer. Any thread, but not a signal handler; not while the client is being freed.
 */
PFS_API void pfs_cancel_all(struct pfs_client *c);

/* ---- files --------------------------------------------------------------------------------- */

/*
 * pfs_data_fini, pfs_list_fini and pfs_matches_fini free what the value owns and zero it; a zeroed
 * value is fine, NULL is not. A value is one thread's at a time; it outlives its client.
 */

/* Bytes owned by the caller: pfs_data_fini. `bytes` is NULL when len is 0. */
struct pfs_data {
    char *bytes;
    size_t len;
};
PFS_API void pfs_data_fini(struct pfs_data *d);

/* Creates an empty file. EXISTS when there is one. */
PFS_API PFS_MUST_CHECK enum pfs_class pfs_create(struct pfs_client *c, const char *path,
                                                 struct pfs_error *err);
/*
 * Reads `size` bytes (-1: to the end) from `offset` (>= 0) on; fewer at the end of the file. At
 * most 64 MiB: LIMIT beyond, use pfs_open_read.
 */
PFS_API PFS_MUST_CHECK enum pfs_class pfs_read(struct pfs_client *c, const char *path,
                                               int64_t offset, int64_t size, struct pfs_data *ret,
                                               struct pfs_error *err);
/*
 * Writes len bytes. offset -1 and flags without APPEND replace the whole content (creating the
 * file); otherwise exactly what offset and PFS_WRITE_* flags say happens, or UNSUPPORTED with
 * outcome NA where the remote cannot; with AP, all is written, and only its SYNC is not known
 * there. *ret_written: bytes written as the remote counts them; NULL: fewer than len are TRUNCATED.
 */
PFS_API PFS_MUST_CHECK enum pfs_class pfs_write(struct pfs_client *c, const char *path,
                                                const void *data, size_t len, int64_t offset,
                                                uint32_t flags, int64_t *ret_written,
                                                struct pfs_error *err);
/*
 * Cuts a file to `size` bytes (>= 0), or lets it grow with zeros. NOTFOUND when there is none;
 * BADARG for a directory; NOSPC or TOOBIG; UNSUPPORTED where the remote cannot.
 */
PFS_API PFS_MUST_CHECK enum pfs_class pfs_truncate(struct pfs_client *c, const char *path,
                                                   int64_t size, struct pfs_error *err);
/*
 * Sets a file's time to now, and creates an empty one when there is none. As a rule BADARG for a
 * directory, NOTFOUND without a parent.
 */
PFS_API PFS_MUST_CHECK enum pfs_class pfs_touch(struct pfs_client *c, const char *path,
                                                struct pfs_error *err);
/* Removes a file or an empty directory; pfs_remove_all: a directory with everything below. */
PFS_API PFS_MUST_CHECK enum pfs_class pfs_remove(struct pfs_client *c, const char *path,
                                                 struct pfs_error *err);
PFS_API PFS_MUST_CHECK enum pfs_class pfs_remove_all(struct pfs_client *c, const char *path,
                                                     struct pfs_error *err);
/*
 * Gives a file or directory the path `to`, whose parent must exist. Whether it replaces what stands
 * there is up to the file system at the remote: localfs does as rename(2), memfs and kvfs never and
 * say EXISTS. BADARG between two mounts: pfs_copy and pfs_remove then.
 */
PFS_API PFS_MUST_CHECK enum pfs_class pfs_rename(struct pfs_client *c, const char *from,
                                                 const char *to, struct pfs_error *err);
/*
 * Copies a file; its content does not leave the remote. `to` is replaced as by pfs_write, only once
 * the copy is complete, and keeps its mode; a new file has that of the source where the remote has
 * modes, and nobody else may read it before. May take up to an hour. *ret_written (may be NULL):
 * bytes. UNSUPPORTED, outcome NA, where the remote cannot: read and write then.
 */
PFS_API PFS_MUST_CHECK enum pfs_class pfs_copy(struct pfs_client *c, const char *from,
                                               const char *to, int64_t *ret_written,
                                               struct pfs_error *err);
/* mode: permission bits, 0 to 07777. */
PFS_API PFS_MUST_CHECK enum pfs_class pfs_chmod(struct pfs_client *c, const char *path,
                                                uint32_t mode, struct pfs_error *err);
/* *ret must be given to pfs_stat_fini. */
PFS_API PFS_MUST_CHECK enum pfs_class pfs_stat(struct pfs_client *c, const char *path,
                                               struct pfs_stat *ret, struct pfs_error *err);
/*
 * Makes `link`, which points to `target`: any text but "", kept as it is and not checked; option
 * remote_path is not put before it. EXISTS when anything is at `link`; NOTFOUND without a parent
 * directory.
 */
PFS_API PFS_MUST_CHECK enum pfs_class pfs_symlink(struct pfs_client *c, const char *target,
                                                  const char *link, struct pfs_error *err);
/*
 * *ret is malloc'ed text: free(). An absolute target is a path as all others are: below the option
 * remote_path, for pfs_symlink too; of a link that leads out of that: DENIED.
 */
PFS_API PFS_MUST_CHECK enum pfs_class pfs_readlink(struct pfs_client *c, const char *path,
                                                   char **ret, struct pfs_error *err);
/* algorithm: "xxh3" or "md5". *ret is malloc'ed hexadecimal text: free(). */
PFS_API PFS_MUST_CHECK enum pfs_class pfs_digest(struct pfs_client *c, const char *path,
                                                 const char *algorithm, char **ret,
                                                 struct pfs_error *err);

/* ---- directories --------------------------------------------------------------------------- */

/*
 * Makes one directory. mode: permission bits, 0 to 07777, of which the remote may drop some. EXISTS
 * when there is a file or directory; NOTFOUND without a parent: none is made on the way.
 */
PFS_API PFS_MUST_CHECK enum pfs_class pfs_mkdir(struct pfs_client *c, const char *path,
                                                uint32_t mode, struct pfs_error *err);

/* n entries, owned by the caller: pfs_list_fini. */
struct pfs_list {
    struct pfs_stat *entries;
    size_t n;
};
PFS_API void pfs_list_fini(struct pfs_list *l);
/*
 * Lists a directory, without "." and "..", in the remote's order: by name as a rule, but sort where
 * it matters. BADARG for what is no directory; LIMIT beyond 100,000 entries or 32 MiB.
 */
PFS_API PFS_MUST_CHECK enum pfs_class pfs_readdir(struct pfs_client *c, const char *path,
                                                  struct pfs_list *ret, struct pfs_error *err);

/* n matches, owned by the caller: pfs_matches_fini. */
struct pfs_matches {
    struct pfs_match *matches;
    size_t n;
};
PFS_API void pfs_matches_fini(struct pfs_matches *m);
/* flags: PFS_GREP_*. The pattern's syntax is the remote's (RE2-like). */
PFS_API PFS_MUST_CHECK enum pfs_class pfs_grep(struct pfs_client *c, const char *path,
                                               const char *pattern, uint32_t flags,
                                               struct pfs_matches *ret, struct pfs_error *err);

/* ---- streams: content of any length in constant memory -------------------------------------- */

/*
 * Opens `path` for reading from offset on, size bytes or -1. *ret: pfs_stream_close. A whole file
 * may come in parts over several connections (option transfer_streams); one that changes meanwhile
 * is then TRUNCATED.
 */
PFS_API PFS_MUST_CHECK enum pfs_class pfs_open_read(struct pfs_client *c, const char *path,
                                                    int64_t offset, int64_t size,
                                                    struct pfs_stream **ret, struct pfs_error *err);
/*
 * Opens `path` for replacing its content (flags as pfs_write). length: of the content, -1 unknown.
 * A large one may go in parts over several connections (option transfer_streams); the old content
 * stays until pfs_stream_finish either way. What is wrong with the path may be said by a later
 * call. UNSUPPORTED, outcome NA, where the remote knows no flags: without APPEND, EXCLUSIVE and
 * SYNC then, or by one pfs_write.
 */
PFS_API PFS_MUST_CHECK enum pfs_class pfs_open_write(struct pfs_client *c, const char *path,
                                                     int64_t length, uint32_t flags,
                                                     struct pfs_stream **ret,
                                                     struct pfs_error *err);
/*
 * One stream serves one thread at a time. read: *ret_n == 0 is the end of the content, which is
 * then proven complete (a cut transfer is TRUNCATED); cap 0 is INVALID. write: all of buf. finish:
 * commits what was written; close without finish leaves the old content. Each call waits at most
 * the client's timeout; where a write goes in parts, so much longer as they take at 64 KiB/s: four
 * minutes. A stream for writing refuses to be read, and one for reading to be written or finished:
 * DENIED.
 */
PFS_API PFS_MUST_CHECK enum pfs_class pfs_stream_read(struct pfs_stream *s, void *buf, size_t cap,
                                                      size_t *ret_n, struct pfs_error *err);
PFS_API PFS_MUST_CHECK enum pfs_class pfs_stream_write(struct pfs_stream *s, const void *buf,
                                                       size_t len, struct pfs_error *err);
PFS_API PFS_MUST_CHECK enum pfs_class pfs_stream_finish(struct pfs_stream *s,
                                                        struct pfs_error *err);
/*
 * Ends the stream and frees it, whatever became of it, also after pfs_client_free. Waits for no
 * answer. NULL is allowed. No call of another thread may be inside this stream: pfs_cancel_all gets
 * it out.
 */
PFS_API void pfs_stream_close(struct pfs_stream *s);

/* ---- the remote ---------------------------------------------------------------------------- */

/* GET /health: PFS_OK when the remote answers 200. */
PFS_API PFS_MUST_CHECK enum pfs_class pfs_health(struct pfs_client *c, struct pfs_error *err);
/*
 * The remote's version (malloc'ed: free(); "" where it says none). ret_features may be NULL; its
 * .file are features.
 */
PFS_API PFS_MUST_CHECK enum pfs_class pfs_capabilities(struct pfs_client *c, char **ret_version,
                                                       struct pfs_matches *ret_features,
                                                       struct pfs_error *err);

/*
 * Counters of a remote, over all clients that share its connections and since the first of them.
 * All but connections and streams only grow.
 */
struct pfs_stats {
    /* Operations begun; not those refused before, as a wrong path is. A file in parts: one each. */
    uint64_t calls;
    /* Requests made for them: more than calls by retries, and where a write takes several. */
    uint64_t attempts;
    /* Calls that ended in an error, be it only a "no such file"; not what an open stream meets. */
    uint64_t errors;
    uint64_t bytes_in, bytes_out; /* on the wire: TLS included, TCP/IP not */
    uint64_t connects;            /* connections begun, whether they succeeded or not */
    uint64_t reloads;             /* that succeeded */
    unsigned connections;         /* now, those being made or closed too */
    unsigned streams;             /* requests in flight now on those of the present generation */
    unsigned generation;          /* its number; each reload makes a higher one */
};
/* Fills *ret: each counter is exact, but they may be of slightly different moments. Never fails. */
PFS_API void pfs_client_stats(struct pfs_client *c, struct pfs_stats *ret);

/* ---- log ----------------------------------------------------------------------------------- */

enum pfs_log_level { PFS_LOG_ERROR, PFS_LOG_WARN, PFS_LOG_INFO, PFS_LOG_DEBUG };
/* Gets one line without newline, from any thread, one at a time; must not call the library. */
typedef void pfs_log_fn(void *arg, enum pfs_log_level level, const char *line);
/* Sets where log lines go (process-wide; at first nowhere) and the most detailed level of them. */
PFS_API void pfs_log_to(pfs_log_fn *fn, void *arg, enum pfs_log_level level);

#ifdef __cplusplus
}
#endif
#endif
