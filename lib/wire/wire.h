/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_WIRE_WIRE_H
#define PFS_WIRE_WIRE_H

/*
 * An operation as an AGFS HTTP request, and an HTTP reply as the operation's result
 * (agfs-http-api.md sections 2 to 7 and 9; reliability bar A4, A5). Pure functions: no I/O, no
 * threads. Nothing that a peer sends is trusted.
 */
#include <proxyfs/driver.h>

/* Limits on replies, reliability bar C. */
#define WIRE_REPLY_MAX (64u << 20) /* file data in memory */
#define WIRE_JSON_MAX (32u << 20)
#define WIRE_ENTRIES_MAX 100000
#define WIRE_META_MAX 400000 /* pairs of meta.Content in one listing: four an entry */
#define WIRE_ERROR_BODY_MAX (64u << 10)
#define WIRE_SMALL_MAX (1u << 20) /* replies that are one object */
#define WIRE_TARGET_MAX (12u << 10)
#define WIRE_RETRY_AFTER_MAX_MS 60000 /* a peer's longer wish is not obeyed */

/* Most targets fit in it. */
#define WIRE_TARGET_ROOM 256

/* A request ready for a session, not to be copied. Strings are static, borrowed from the
 * pfs_request, or owned. */
struct wire_message {
    const char *method;       /* static */
    char *target;             /* "/api/v1/stat?path=%2Fa", percent-encoded; target_room, or owned */
    const char *content_type; /* static, NULL: no body type */
    const void *body;         /* borrowed from the request, or owned_body */
    size_t body_len;
    char *owned_body;
    size_t reply_max; /* a reply body longer than this is LIMIT */
    char target_room[WIRE_TARGET_ROOM];
};

/*
 * Encodes `req` below base_path ("/api/v1" or "/prefix/api/v1"). req->path must be normalised.
 * READ and OPEN_READ: GET /files with offset (when > 0) and size (when >= 0). WRITE and OPEN_WRITE:
 * PUT /files; offset and flags are put into the query only when `extended` (the remote is known to
 * honour them). DIGEST, GREP and so on as their sections say. HANDLE_* on /handles. Errors: INVALID
 * (target over 12 KiB), NOMEM, UNSUPPORTED (op has no wire form, or WRITE asks for more than
 * replace-the-whole-file without `extended`).
 */
PFS_MUST_CHECK enum pfs_class wire_encode(const struct pfs_request *req, const char *base_path,
                                          bool extended, struct wire_message *ret,
                                          struct pfs_error *err);
void wire_message_fini(struct wire_message *m);

/* What a reply's header says; strings are borrowed, NULL when absent. */
struct wire_head {
    int status;
    const char *content_type;
    const char *content_encoding;
    const char *retry_after;
    bool is_part; /* of a 206: the part of the content that was asked for */
};

/*
 * Decodes a complete reply to `req` into *reply (zeroed by the caller). On success the members of
 * the operation are set; otherwise reply->err is filled: class from status and body, outcome, phase
 * reply, text "HTTP 404: <remote text>" (not prefixed again when the text begins with "HTTP nnn: "
 * already), and from the further members of our own servers' error bodies (wire_error_json) class,
 * outcome, origin and hop + 1. `body` is taken for READ and HANDLE_READ: a malloc'ed block that
 * becomes reply->data or is freed; for other operations it is freed too. Returns reply->err.cls.
 * `origin`: host:port of the server that answered, for errors that do not name one.
 * Status to class: A4 67-73; 2xx other than the operation's own (200, 201; 204 for none): PROTOCOL.
 * A mutation answered 2xx with an unreadable body is PAYLOAD with outcome AP.
 */
enum pfs_class wire_decode(const struct pfs_request *req, const struct wire_head *head, char *body,
                           size_t len, const char *origin, struct pfs_reply *reply);

/*
 * Only the header of a 2xx reply, before its body: for streams. PFS_OK, PROTOCOL (status not the
 * operation's own) or PAYLOAD (content type or encoding), outcome UN. wire_decode does this itself.
 */
enum pfs_class wire_check_head(const struct pfs_request *req, const struct wire_head *head,
                               struct pfs_error *err);

/*
 * Decodes the body of a listing: {"files":[...]}; null, missing and [] are an empty one. *ret is
 * malloc'ed (NULL when empty), each entry to be freed with pfs_stat_fini. Errors: PAYLOAD, LIMIT,
 * NOMEM (outcome UN, *ret untouched).
 */
PFS_MUST_CHECK enum pfs_class wire_list_decode(const char *body, size_t len, struct pfs_stat **ret,
                                               size_t *ret_n, struct pfs_error *err);
/* The same for one file info (stat), whose name may also be "/" or "". */
PFS_MUST_CHECK enum pfs_class wire_stat_decode(const char *body, size_t len, struct pfs_stat *ret,
                                               struct pfs_error *err);

/*
 * Only the error part: for replies whose body is not collected (streams) and for tests. status must
 * not be 2xx.
 */
enum pfs_class wire_decode_error(const struct wire_head *head, const char *body, size_t len,
                                 const char *origin, struct pfs_error *err);

/*
 * The JSON body with which our servers report *err, newline at the end (malloc'ed; NULL: no
 * memory):
 * {"error":TEXT,"class":"notfound","outcome":"NA","phase":"reply","status":404,"origin":"h:p","hop":0}.
 * status = the HTTP status that the origin gave (err->http_status, else that of the class).
 */
char *wire_error_json(const struct pfs_error *err, size_t *ret_len);

/*
 * The class a text of a stock server names (it answers 500 for nearly everything: ecosystem N6):
 * "no such file", "not found" -> NOTFOUND; "already exists", "not empty" -> EXISTS; "permission
 * denied", "not permitted", "read-only" -> DENIED; "is a directory", "not a directory" -> BADARG;
 * "not supported", "does not support" -> UNSUPPORTED; anything else IO.
 */
enum pfs_class wire_class_of_text(const char *text);

#endif
