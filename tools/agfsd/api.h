/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_API_H
#define AGFSD_API_H

/*
 * The HTTP API (agfs-http-api.md): from a request of http.h to an operation of vfs.h and back. All
 * of it runs on the loop threads; what may block runs on workers.
 */
#include "base/cold.h"
#include "base/pool.h"
#include "dedupe.h"
#include "http.h"
#include "limits.h"
#include "registry.h"
#include "vfs.h"

#define BODY_MAX_DEFAULT (64u << 20) /* the stock server's */
#define BODY_COLLECT_MAX (1u << 20)  /* up to this a body is collected, beyond it is streamed */
#define JSON_BODY_MAX (1u << 20)     /* arguments: paths, patterns, options of a mount */
#define HOPS_MAX 8                   /* servers behind each other: more is a ring of mounts */
#define HANDLE_READ_MAX (16 << 20)   /* one read of a handle is in memory */

struct api {
    struct vfs *vfs;
    struct registry *registry;
    struct pfs_pool *workers; /* mounting, loading: may take seconds */
    struct pfs_pool *writers; /* of long answers, while the loop serves others */
    size_t max_body;          /* of a request's body in memory */
    size_t max_upload;        /* of one that is passed on piece by piece; 0: as much as there is */
    const struct server_limits *limits; /* as configured */
    bool admin;                         /* mount, unmount and plugins may be used */
    const char *const *admins;          /* identities that may, up to a NULL; NULL: everybody */
    struct dedupe *dedupe; /* results of requests that carry an id; NULL: none are kept */
    char boot[96];         /* value of the header agfs-boot, made by api_start */
    char boot_plain[104];  /* the same, saying that repeating the request harms nobody */
};

/* Makes the boot id and has api_on_request serve with *a, which must outlive all requests. */
void api_start(struct api *a);

/* ---- inside the API ---- */

struct api_call;
typedef void api_handler_fn(struct api_call *c);
typedef void api_answer_fn(struct api_call *c, struct pfs_reply *reply);
typedef void api_write_fn(struct api_call *c, const struct pfs_reply *reply);

/* One request being served. Ends in exactly one of the api_respond_* functions. */
struct api_call {
    struct http_req *http;
    struct api *api;
    int64_t since_ns;
    int status;       /* of a success without content */
    bool has_op;      /* req.op is set */
    bool not_applied; /* the response says so: then it need not be remembered */
    bool plain;       /* nor need this: repeating it harms nobody */
    struct pfs_request req;
    char *path, *path2, *text; /* owned: what req points to */
    char *clean;               /* owned: the request's own path, where it was spelled oddly */
    char *body;                /* collected */
    size_t body_max;
    size_t body_len;           /* counts as memory of bodies until the call ends */
    struct json_value json;    /* the body, once read */
    api_handler_fn *next;      /* after the body, or on a worker */
    api_handler_fn *with_json; /* after the body was parsed */
    api_answer_fn *answer;     /* after the operation */
    const char *rest;          /* handles: what follows the id */
    const char *message;       /* of a success without content */
    struct pfs_stream *stream; /* of an upload */
    struct pfs_error err;      /* of work on a worker */
    char *out;                 /* its result */
    size_t out_len;
    const char *out_type; /* NULL: JSON */
    struct post post;
    api_write_fn *write;         /* a writer's work, */
    struct pfs_reply *kept;      /* on this reply */
    struct dedupe_entry *once;   /* that this call will end; NULL: it is not remembered */
    struct dedupe_wait wait;     /* for another call's `once` */
    struct vfs_fate fate;        /* of the operation, while the client may give it up */
    struct pfs_receipt *receipt; /* of the reply; the response has it */
};

/* Handlers by endpoint. */
api_handler_fn api_files_get, api_files_put, api_files_post, api_files_delete, api_write;
api_handler_fn api_dirs_get, api_dirs_post;
api_handler_fn api_stat, api_rename, api_copy, api_chmod, api_truncate, api_touch, api_symlink,
    api_readlink;
api_handler_fn api_digest, api_grep;
api_handler_fn api_capabilities, api_health, api_ready, api_version, api_banner, api_limits,
    api_metrics;
api_handler_fn api_mounts, api_mount, api_unmount, api_plugins, api_plugin_load, api_plugin_unload;
api_handler_fn api_handles; /* routes below /handles itself; c->rest is what follows */

/* ---- api_answer.c: each ends the call ---- */

PFS_COLD void api_respond_error(struct api_call *c, const struct pfs_error *err);
PFS_COLD void api_refuse(struct api_call *c, enum pfs_class cls, const char *format, ...)
    PFS_PRINTF(3, 4);
/* As api_refuse with a status of its own. */
PFS_COLD void api_refuse_status(struct api_call *c, int status, enum pfs_class cls,
                                const char *text);
void api_respond_message(struct api_call *c, int status, const char *text);
struct jout;
void api_respond_json(struct api_call *c, int status, struct jout *j);
/* Body (malloc'ed) is taken. */
void api_respond_bytes(struct api_call *c, const char *type, char *body, size_t len);
/* File data of a handle, with x-bytes-read. */
void api_respond_data(struct api_call *c, char *body, size_t len);
/* A response given before; its body is taken. */
void api_respond_again(struct api_call *c, const struct dedupe_response *r);
void api_respond_stream(struct api_call *c, const char *type, struct pfs_stream *s);
/* The same for the part that was asked for (PFS_READ_RANGE); s has a version. */
void api_respond_range(struct api_call *c, const char *type, struct pfs_stream *s);

/* ---- api_call.c: what else handlers use ---- */

/* Reads newPath of the body as the request's second path. False: call ended. */
bool api_take_new_path(struct api_call *c);
/* Puts the query's path into the request; `fallback` NULL: it is required. False: call ended. */
bool api_need_path(struct api_call *c, const char *fallback);
/* Offset and flags of a write from the query. False: the call has ended. */
bool api_take_write(struct api_call *c);
/* Answers with "Written N bytes", or the driver's words. */
api_answer_fn api_answer_written;
/* Answers with one FileInfo. */
api_answer_fn api_answer_stat;
/* A number from the query. False: it is wrong, the call has ended with `wrong`. */
bool api_query_int(struct api_call *c, const char *key, int base, int64_t *io_value,
                   const char *wrong);
/* Collects the body, then calls next. */
void api_with_body(struct api_call *c, api_handler_fn *next);
/* The same for a body of JSON, of at most JSON_BODY_MAX bytes. */
void api_with_arguments(struct api_call *c, api_handler_fn *next);
/* The same and parses it first. */
void api_with_json(struct api_call *c, api_handler_fn *next);
/* Parses the collected body; `detail`: the parser's words are part of the error. False: ended. */
bool api_parse_json(struct api_call *c, bool detail);
/* A string member of the JSON, copied to *ret ("" or missing: NULL); false: wrong, call ended. */
bool api_json_str(struct api_call *c, const char *key, char **ret);
/* Submits c->req; then `answer` has the reply of a success (and must not free it). */
void api_submit(struct api_call *c, enum pfs_op op, api_answer_fn *answer);
/* The same, answered with a status and a message. */
void api_submit_message(struct api_call *c, enum pfs_op op, int status, const char *message);
/*
 * Runs fn on a worker; it leaves c->out (JSON) or c->err, and the call ends with that. False in
 * c->api->admin ends the call with 403 when `admin`.
 */
void api_work(struct api_call *c, bool admin, api_handler_fn *fn);
/* For fn of api_work, and a writer: takes what was written. */
void api_work_result(struct api_call *c, struct jout *j);
/*
 * For an answer with entries or matches: `write` leaves c->out, c->out_type or c->err, and the call
 * ends with that. What is long is written by another thread, which takes what *reply holds.
 */
void api_write_answer(struct api_call *c, struct pfs_reply *reply, api_write_fn *write);

/* api_metrics.c: the call has been answered with that status. */
void api_count(const struct api_call *c, int status);

/* ---- api_once.c: requests that carry an id run once ---- */

/*
 * To be called before an operation that may change something. True: go on. False: the call has
 * ended or will, with the response of an earlier request of the same id, or a refusal.
 */
bool api_once(struct api_call *c);
/* For http_on_gone, with the call: gives up what nobody will ask for any more. */
void api_on_gone(void *arg);
/* For http_on_doubt, likewise: it may be given up by now. */
void api_on_doubt(void *arg);
/* Puts the response on record; false: the client must be told that it is not kept. */
bool api_once_settle(struct api_call *c, const struct dedupe_response *r);
/* True when a stream of that size will be remembered, so it must be read before the response is
 * given; then that is done (s is taken) and the call ends. */
bool api_once_collect(struct api_call *c, const char *type, struct pfs_stream *s);

#endif
