/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "wire/route.h"

/* agfs-http-api.md sections 4, 6 and 7; copy, and renew, truncate, replace and commit of
 * handles exist on our servers only. */
static const struct wire_route routes[PFS_N_OPS] = {
    [PFS_OP_CREATE] = {"POST", "/files", QUERY_PATH, BODY_NONE, RESULT_MESSAGE,
                       .may_be_created = true},
    [PFS_OP_MKDIR] = {"POST", "/directories", QUERY_PATH | QUERY_MODE, BODY_NONE, RESULT_MESSAGE,
                      .may_be_created = true},
    [PFS_OP_REMOVE] = {"DELETE", "/files", QUERY_PATH | QUERY_RECURSIVE_NO, BODY_NONE,
                       RESULT_MESSAGE},
    [PFS_OP_REMOVE_ALL] = {"DELETE", "/files", QUERY_PATH | QUERY_RECURSIVE_YES, BODY_NONE,
                           RESULT_MESSAGE},
    [PFS_OP_READ] = {"GET", "/files", QUERY_PATH | QUERY_OFFSET_OVER_0 | QUERY_SIZE_GIVEN,
                     BODY_NONE, RESULT_DATA, .is_read = true},
    [PFS_OP_WRITE] = {"PUT", "/files", QUERY_PATH | QUERY_EXTENDED, BODY_DATA, RESULT_WRITTEN},
    [PFS_OP_READDIR] = {"GET", "/directories", QUERY_PATH, BODY_NONE, RESULT_LIST, .is_read = true},
    [PFS_OP_STAT] = {"GET", "/stat", QUERY_PATH, BODY_NONE, RESULT_STAT, .is_read = true},
    [PFS_OP_RENAME] = {"POST", "/rename", QUERY_PATH, BODY_RENAME, RESULT_MESSAGE},
    [PFS_OP_COPY] = {"POST", "/copy", QUERY_PATH, BODY_RENAME, RESULT_WRITTEN},
    [PFS_OP_CHMOD] = {"POST", "/chmod", QUERY_PATH, BODY_CHMOD, RESULT_MESSAGE},
    [PFS_OP_TRUNCATE] = {"POST", "/truncate", QUERY_PATH | QUERY_SIZE_CHECKED, BODY_NONE,
                         RESULT_MESSAGE},
    [PFS_OP_TOUCH] = {"POST", "/touch", QUERY_PATH, BODY_NONE, RESULT_MESSAGE},
    [PFS_OP_SYMLINK] = {"POST", "/symlink", QUERY_PATH, BODY_SYMLINK, RESULT_MESSAGE,
                        .may_be_created = true},
    [PFS_OP_READLINK] = {"GET", "/readlink", QUERY_PATH, BODY_NONE, RESULT_READLINK,
                         .is_read = true},
    [PFS_OP_DIGEST] = {"POST", "/digest", 0, BODY_DIGEST, RESULT_DIGEST, .is_read = true},
    [PFS_OP_GREP] = {"POST", "/grep", 0, BODY_GREP, RESULT_GREP, .is_read = true},
    [PFS_OP_CAPABILITIES] = {"GET", "/capabilities", 0, BODY_NONE, RESULT_CAPABILITIES,
                             .is_read = true},
    [PFS_OP_HEALTH] = {"GET", "/health", 0, BODY_NONE, RESULT_JSON, .is_read = true},
    [PFS_OP_OPEN_READ] = {"GET", "/files", QUERY_PATH | QUERY_OFFSET_OVER_0 | QUERY_SIZE_GIVEN,
                          BODY_NONE, RESULT_STREAM, .is_read = true},
    [PFS_OP_OPEN_WRITE] = {"PUT", "/files", QUERY_PATH | QUERY_EXTENDED, BODY_STREAM,
                           RESULT_WRITTEN},
    [PFS_OP_HANDLE_OPEN] = {"POST", "/handles/open", QUERY_PATH | QUERY_FLAGS | QUERY_MODE,
                            BODY_NONE, RESULT_HANDLE, .may_be_created = true},
    [PFS_OP_HANDLE_REPLACE] = {"POST", "/handles/replace", QUERY_PATH | QUERY_FLAGS, BODY_NONE,
                               RESULT_HANDLE},
    [PFS_OP_HANDLE_READ] = {"GET", "/handles/#/read", QUERY_OFFSET_GIVEN | QUERY_SIZE, BODY_NONE,
                            RESULT_DATA, .is_read = true},
    [PFS_OP_HANDLE_WRITE] = {"PUT", "/handles/#/write", QUERY_OFFSET_GIVEN, BODY_DATA,
                             RESULT_HANDLE_WRITE},
    [PFS_OP_HANDLE_SEEK] = {"POST", "/handles/#/seek", QUERY_OFFSET | QUERY_WHENCE, BODY_NONE,
                            RESULT_SEEK},
    [PFS_OP_HANDLE_SYNC] = {"POST", "/handles/#/sync", 0, BODY_NONE, RESULT_MESSAGE,
                            .is_read = true},
    [PFS_OP_HANDLE_STAT] = {"GET", "/handles/#/stat", 0, BODY_NONE, RESULT_STAT, .is_read = true},
    [PFS_OP_HANDLE_INFO] = {"GET", "/handles/#", 0, BODY_NONE, RESULT_HANDLE, .is_read = true},
    [PFS_OP_HANDLE_RENEW] = {"POST", "/handles/#/renew", QUERY_LEASE_GIVEN, BODY_NONE,
                             RESULT_HANDLE, .is_read = true},
    [PFS_OP_HANDLE_TRUNCATE] = {"POST", "/handles/#/truncate", QUERY_SIZE_CHECKED, BODY_NONE,
                                RESULT_MESSAGE},
    [PFS_OP_HANDLE_COMMIT] = {"POST", "/handles/#/commit", QUERY_SIZE_CHECKED, BODY_NONE,
                              RESULT_WRITTEN},
    [PFS_OP_HANDLE_STREAM] = {"GET", "/handles/#/stream", 0, BODY_NONE, RESULT_STREAM,
                              .is_read = true},
    [PFS_OP_HANDLE_CLOSE] = {"DELETE", "/handles/#", 0, BODY_NONE, RESULT_MESSAGE},
    [PFS_OP_MOUNTS] = {"GET", "/mounts", 0, BODY_NONE, RESULT_JSON, .is_read = true},
    [PFS_OP_MOUNT] = {"POST", "/mount", 0, BODY_MOUNT, RESULT_MESSAGE},
    [PFS_OP_UNMOUNT] = {"POST", "/unmount", 0, BODY_UNMOUNT, RESULT_MESSAGE},
    [PFS_OP_PLUGINS] = {"GET", "/plugins", 0, BODY_NONE, RESULT_JSON, .is_read = true},
    [PFS_OP_PLUGIN_LOAD] = {"POST", "/plugins/load", 0, BODY_LIBRARY, RESULT_JSON},
    [PFS_OP_PLUGIN_UNLOAD] = {"POST", "/plugins/unload", 0, BODY_LIBRARY, RESULT_MESSAGE},
};

const struct wire_route *wire_route_of(enum pfs_op op)
{
    return (unsigned)op < PFS_N_OPS && routes[op].method ? &routes[op] : NULL;
}

bool wire_result_is_json(enum wire_result result)
{
    return result != RESULT_DATA && result != RESULT_STREAM;
}
