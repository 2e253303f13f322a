/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_WIRE_ROUTE_H
#define PFS_WIRE_ROUTE_H

/* The table that says how each operation looks on the wire. Private to this room. */
#include "wire/wire.h"

/* Members of the query, in the order in which they are written. */
enum wire_query {
    QUERY_PATH = 1 << 0,
    QUERY_RECURSIVE_NO = 1 << 1,
    QUERY_RECURSIVE_YES = 1 << 2,
    QUERY_OFFSET_OVER_0 = 1 << 3, /* the default of a read */
    QUERY_OFFSET_GIVEN = 1 << 4,  /* >= 0: positioned; absent: at the handle's position */
    QUERY_OFFSET = 1 << 5,        /* always, may be negative */
    QUERY_SIZE_GIVEN = 1 << 6,    /* >= 0 */
    QUERY_SIZE = 1 << 7,          /* always, may be negative */
    QUERY_SIZE_CHECKED = 1 << 8,  /* always, refused when negative */
    QUERY_LEASE_GIVEN = 1 << 9,
    QUERY_WHENCE = 1 << 10,
    QUERY_FLAGS = 1 << 11,
    QUERY_MODE = 1 << 12,    /* octal, as the stock server reads it */
    QUERY_EXTENDED = 1 << 13 /* offset and flags of a write */
};

/* No operation has more of them; QUERY_EXTENDED stands for two. */
#define QUERY_MEMBERS_MAX 3

enum wire_body {
    BODY_NONE,
    BODY_DATA, /* the request's bytes */
    BODY_STREAM,
    BODY_RENAME,
    BODY_CHMOD,
    BODY_SYMLINK,
    BODY_DIGEST,
    BODY_GREP,
    BODY_MOUNT,
    BODY_UNMOUNT,
    BODY_LIBRARY
};

/* What a successful reply holds. */
enum wire_result {
    RESULT_DATA,    /* bytes of a file */
    RESULT_STREAM,  /* the same, not collected */
    RESULT_MESSAGE, /* {"message":...} */
    RESULT_WRITTEN, /* {"message":"Written N bytes"} */
    RESULT_JSON,    /* an object, handed on as it is */
    RESULT_LIST,
    RESULT_STAT,
    RESULT_READLINK,
    RESULT_DIGEST,
    RESULT_GREP,
    RESULT_CAPABILITIES,
    RESULT_HANDLE,
    RESULT_HANDLE_WRITE,
    RESULT_SEEK
};

struct wire_route {
    const char *method;
    const char *path; /* below the base path; '#' stands for the handle's number */
    unsigned query;   /* of enum wire_query */
    enum wire_body body;
    enum wire_result result;
    bool is_read; /* repeating or losing the reply changes nothing there, or nothing provable */
    bool may_be_created; /* success may also be status 201 */
};

/* NULL for what is no operation. */
const struct wire_route *wire_route_of(enum pfs_op op);
/* True when the reply's content is a JSON text. */
bool wire_result_is_json(enum wire_result result);

/* Fills *err for an undecodable 2xx reply: AP for a mutation, else UN; text "reply to OP: ...". */
enum pfs_class wire_unreadable(const struct pfs_request *req, int status, struct pfs_error *err);

#endif
