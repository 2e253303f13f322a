/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/op.h"

enum op_safety op_safety(enum pfs_op op)
{
    static const enum op_safety table[PFS_N_OPS] = {
#define X(id, name, safety) [PFS_OP_##id] = SAFETY_##safety,
        PFS_OP_TABLE(X)
#undef X
    };

    return (unsigned)op < PFS_N_OPS ? table[op] : SAFETY_Q;
}

enum op_subject op_subject(enum pfs_op op)
{
    switch (op) {
    case PFS_OP_CREATE:
    case PFS_OP_MKDIR:
    case PFS_OP_REMOVE:
    case PFS_OP_REMOVE_ALL:
    case PFS_OP_READ:
    case PFS_OP_WRITE:
    case PFS_OP_READDIR:
    case PFS_OP_STAT:
    case PFS_OP_CHMOD:
    case PFS_OP_TRUNCATE:
    case PFS_OP_TOUCH:
    case PFS_OP_SYMLINK:
    case PFS_OP_READLINK:
    case PFS_OP_DIGEST:
    case PFS_OP_GREP:
    case PFS_OP_OPEN_READ:
    case PFS_OP_OPEN_WRITE:
    case PFS_OP_HANDLE_OPEN:
    case PFS_OP_HANDLE_REPLACE:
        return SUBJECT_PATH;
    case PFS_OP_RENAME:
    case PFS_OP_COPY:
        return SUBJECT_TWO_PATHS;
    case PFS_OP_HANDLE_READ:
    case PFS_OP_HANDLE_WRITE:
    case PFS_OP_HANDLE_SEEK:
    case PFS_OP_HANDLE_SYNC:
    case PFS_OP_HANDLE_STAT:
    case PFS_OP_HANDLE_INFO:
    case PFS_OP_HANDLE_RENEW:
    case PFS_OP_HANDLE_TRUNCATE:
    case PFS_OP_HANDLE_COMMIT:
    case PFS_OP_HANDLE_STREAM:
    case PFS_OP_HANDLE_CLOSE:
        return SUBJECT_HANDLE;
    case PFS_OP_MOUNTS:
    case PFS_OP_MOUNT:
    case PFS_OP_UNMOUNT:
    case PFS_OP_PLUGINS:
    case PFS_OP_PLUGIN_LOAD:
    case PFS_OP_PLUGIN_UNLOAD:
        return SUBJECT_SERVER;
    case PFS_OP_CAPABILITIES:
    case PFS_OP_HEALTH:
    case PFS_N_OPS:
        break;
    }
    return SUBJECT_WHOLE;
}
