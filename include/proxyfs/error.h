/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PROXYFS_ERROR_H
#define PROXYFS_ERROR_H

/*
 * What a failed call says: its class (what kind of failure), its outcome (what the failure means
 * for the remote), its phase (how far the call had come) and one line of text. An error is a value:
 * it travels with the operation, never in thread-local state, and needs no freeing.
 */
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define PFS_API __attribute__((visibility("default")))
#define PFS_MUST_CHECK __attribute__((warn_unused_result))
#define PFS_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define PFS_API
#define PFS_MUST_CHECK
#define PFS_PRINTF(fmt, args)
#endif

/*
 * One row per class: identifier, name on the wire and in messages, HTTP status that carries it,
 * exit code of the command line tools, errno nearest to it, meaning.
 */
#define PFS_CLASS_TABLE(X)                                                                         \
    X(OK, "ok", 200, 0, 0, "success")                                                              \
    X(CONFIG, "config", 400, 2, EINVAL, "an option or file of the configuration is wrong")         \
    X(INVALID, "invalid", 400, 2, EINVAL, "the call's arguments are wrong; nothing was sent")      \
    X(DNS, "dns", 502, 8, EHOSTUNREACH, "the host name does not resolve")                          \
    X(CONN, "conn", 502, 8, ECONNREFUSED, "no connection could be made")                           \
    X(TLS_VERIFY, "tls_verify", 502, 9, EACCES, "we refuse the peer's certificate")                \
    X(TLS_AUTH, "tls_auth", 502, 9, EACCES, "the peer refuses our certificate")                    \
    X(TLS, "tls", 502, 9, EPROTO, "the TLS handshake failed")                                      \
    X(ALPN, "alpn", 502, 9, EPROTO, "the peer does not speak the protocol asked for")              \
    X(TIMEOUT, "timeout", 504, 10, ETIMEDOUT, "the deadline passed")                               \
    X(CONN_LOST, "conn_lost", 502, 8, ECONNRESET, "the connection broke during the call")          \
    X(REFUSED, "refused", 503, 8, EAGAIN, "the peer refused the request unprocessed")              \
    X(RESET, "reset", 502, 8, ECONNRESET, "the peer reset the request")                            \
    X(PROTOCOL, "protocol", 502, 8, EPROTO, "the peer broke the protocol")                         \
    X(TRUNCATED, "truncated", 502, 11, EPIPE, "the reply ended early")                             \
    X(PAYLOAD, "payload", 502, 8, EBADMSG, "the reply's content cannot be understood")             \
    X(LIMIT, "limit", 502, 8, EMSGSIZE, "a limit of ours was exceeded by the peer")                \
    X(OVERLOAD, "overload", 503, 12, EAGAIN, "too much work is waiting here already")              \
    X(NOMEM, "nomem", 503, 12, ENOMEM, "out of memory")                                            \
    X(NOFILE, "nofile", 503, 12, EMFILE, "out of file descriptors")                                \
    X(SHUTDOWN, "shutdown", 503, 12, ESHUTDOWN, "this side is shutting down")                      \
    X(CANCELLED, "cancelled", 503, 130, ECANCELED, "the caller gave up")                           \
    X(REDIRECT, "redirect", 502, 8, EREMCHG, "the peer points elsewhere; we do not follow")        \
    X(UNSUPPORTED, "unsupported", 501, 6, EOPNOTSUPP, "the operation is not supported there")      \
    X(NOTFOUND, "notfound", 404, 3, ENOENT, "no such file or directory")                           \
    X(DENIED, "denied", 403, 5, EACCES, "permission denied")                                       \
    X(EXISTS, "exists", 409, 4, EEXIST, "it exists already, or the directory is not empty")        \
    X(BADARG, "badarg", 400, 7, EINVAL, "the remote refuses the arguments")                        \
    X(TOOBIG, "toobig", 413, 7, EFBIG, "the content is larger than allowed")                       \
    X(NOSPC, "nospc", 507, 1, ENOSPC, "no space left there")                                       \
    X(BUSY, "busy", 503, 12, EBUSY, "the remote is busy; try again later")                         \
    X(IO, "io", 500, 1, EIO, "the remote failed")

enum pfs_class {
#define X(id, name, http, exit_code, eno, text) PFS_##id,
    PFS_CLASS_TABLE(X)
#undef X
        PFS_N_CLASSES
};

/* What is known of the remote after a failure. The zero value is the safe claim. */
enum pfs_outcome {
    PFS_OUTCOME_UN = 0, /* unknown: it may or may not have been applied */
    PFS_OUTCOME_NA,     /* not applied: proven */
    PFS_OUTCOME_AP      /* applied: proven */
};

/* How far the call had come. */
enum pfs_phase {
    PFS_PHASE_LOCAL = 0, /* arguments, configuration, memory */
    PFS_PHASE_QUEUE,     /* waiting for a connection or a stream */
    PFS_PHASE_DNS,
    PFS_PHASE_CONNECT,
    PFS_PHASE_TLS,
    PFS_PHASE_SETTINGS, /* TLS is up; the peer's SETTINGS have not come */
    PFS_PHASE_SEND,     /* the request is on its way */
    PFS_PHASE_WAIT,     /* the request is complete; no reply header yet */
    PFS_PHASE_BODY,     /* reply header seen; body incomplete */
    PFS_PHASE_REPLY,    /* reply complete; it says no, or its content is wrong */
    PFS_N_PHASES
};

#define PFS_ERROR_TEXT_MAX 512 /* bytes with the terminating NUL */
#define PFS_ORIGIN_MAX 64

struct pfs_error {
    enum pfs_class cls;
    enum pfs_outcome outcome;
    enum pfs_phase phase;
    int http_status;         /* status of the reply that said so; 0: none */
    uint32_t h2_code;        /* RFC 9113 section 7 error code of RST_STREAM or GOAWAY; 0: none */
    int sys_errno;           /* errno of the system call that failed; 0: none */
    unsigned hop;            /* 0: made here; n: made n servers away */
    unsigned retry_after_ms; /* the peer's wish, 0: none */
    char origin[PFS_ORIGIN_MAX];   /* host:port of the server that made it; "": here */
    char text[PFS_ERROR_TEXT_MAX]; /* one line, control characters escaped, no secrets */
};

/* Name of a class ("notfound"), outcome ("NA"), phase ("connect"). Static strings, never NULL. */
PFS_API const char *pfs_class_name(enum pfs_class cls);
PFS_API const char *pfs_outcome_name(enum pfs_outcome outcome);
PFS_API const char *pfs_phase_name(enum pfs_phase phase);
/* One sentence that explains a class. Static string. */
PFS_API const char *pfs_class_text(enum pfs_class cls);
/* HTTP status that a server answers, exit code of a tool, errno: for an error of this class. */
PFS_API int pfs_class_http(enum pfs_class cls);
PFS_API int pfs_class_exit(enum pfs_class cls);
PFS_API int pfs_class_errno(enum pfs_class cls);
/* The class of that name; PFS_IO for an unknown one. `name` may be NULL. */
PFS_API enum pfs_class pfs_class_by_name(const char *name);

#ifdef __cplusplus
}
#endif
#endif
