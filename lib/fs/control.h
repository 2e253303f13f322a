/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_FS_CONTROL_H
#define PFS_FS_CONTROL_H

/*
 * The control files of a proxyfs mount:
 *
 *   /reload             write-only: any write renews the connections
 *   /.proxyfs/status    read-only JSON: remote, generation, connections, counters; not listed in
 * the root
 *   /.proxyfs/remote/P  the remote's own P, for names that the control files hide
 */
#include <proxyfs/proxyfs.h>

#define CONTROL_RELOAD "/reload"
#define CONTROL_DIR "/.proxyfs"
#define CONTROL_STATUS "/.proxyfs/status"
#define CONTROL_REMOTE "/.proxyfs/remote"

/* True when `path` is a control file or directory of the mount, not one of the remote. */
bool control_is(const char *path);
/* The path to ask the remote for: what stands below CONTROL_REMOTE, or path itself. */
const char *control_strip(const char *path);
/* True when the operation may take as long as a connection attempt. */
bool control_blocks(const struct pfs_request *req);
/* Carries out an operation on a control path. `url`: the remote's, masked. */
void control_call(struct pfs_client *c, const char *url, const struct pfs_request *req,
                  struct pfs_reply *reply);
/*
 * Puts /reload into the listing of the mount's root, in place of a remote entry of that name (then
 * *ret_hid is true). False: out of memory.
 */
bool control_add_to_root(struct pfs_reply *reply, bool *ret_hid);

#endif
