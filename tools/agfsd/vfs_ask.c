/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Questions about the driver that serves a path. */
#include "vfs_internal.h"
#include <string.h>

/* The driver that serves path, held by *ret_mount; NULL: none. */
static const struct pfs_driver_ops *take_ops(struct vfs *v, const char *path,
                                             struct mount **ret_mount)
{
    char full[PFS_PATH_MAX + 1];
    const char *rest;

    if (pfs_path_normalize(path, strlen(path), full, NULL) != PFS_OK ||
        links_resolve(v->links, full, true, full, NULL) != PFS_OK) {
        return NULL;
    }
    *ret_mount = vfs_take(v, full, &rest, NULL);
    return *ret_mount ? (*ret_mount)->driver->ops : NULL;
}

bool vfs_has_op(struct vfs *v, const char *path, enum pfs_op op)
{
    struct mount *m;
    const struct pfs_driver_ops *ops = take_ops(v, path, &m);
    bool has = ops && ops->op[op];

    if (ops) {
        vfs_release(m);
    }
    return has;
}

bool vfs_has_plain_reads(struct vfs *v, const char *path)
{
    struct mount *m;
    const struct pfs_driver_ops *ops = take_ops(v, path, &m);
    bool plain = !ops || ops->plain_reads;

    if (ops) {
        vfs_release(m);
    }
    return plain;
}
