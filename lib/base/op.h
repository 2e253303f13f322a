/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_BASE_OP_H
#define PFS_BASE_OP_H

/*
 * What the rows of PFS_OP_TABLE say about an operation. Who must know asks here, not for the order
 * of the rows; -Wswitch finds in op.c a row that is new.
 */
#include <proxyfs/driver.h>
#include <stdbool.h>

/*
 * How safe it is to repeat, the class of its row (reliability bar B1); a later value is never safer
 * than an earlier one.
 */
enum op_safety {
    SAFETY_R, /* reads */
    SAFETY_W, /* writes something absolute */
    SAFETY_M, /* changes something that a repetition would find changed */
    SAFETY_Q  /* may act each time; also everything that is not known better */
};
enum op_safety op_safety(enum pfs_op op);

/* What it is done to. */
enum op_subject {
    SUBJECT_PATH,      /* path */
    SUBJECT_TWO_PATHS, /* path and path2, both of files */
    SUBJECT_HANDLE,    /* handle; HANDLE_COMMIT names the path as well */
    SUBJECT_WHOLE,     /* the file system as such */
    SUBJECT_SERVER     /* the server: its mounts and plugins */
};
enum op_subject op_subject(enum pfs_op op);

static inline bool op_has_two_paths(enum pfs_op op)
{
    return op_subject(op) == SUBJECT_TWO_PATHS;
}

static inline bool op_is_by_handle(enum pfs_op op)
{
    return op_subject(op) == SUBJECT_HANDLE;
}

static inline bool op_is_of_server(enum pfs_op op)
{
    return op_subject(op) == SUBJECT_SERVER;
}

/* True for operations on the path of a file. */
static inline bool op_needs_path(enum pfs_op op)
{
    enum op_subject s = op_subject(op);

    return s == SUBJECT_PATH || s == SUBJECT_TWO_PATHS || op == PFS_OP_HANDLE_COMMIT;
}

#endif
