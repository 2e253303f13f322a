/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PLUGIN_OPS_H
#define PLUGIN_OPS_H

/*
 * The host's file system calls as requests to the driver, and its replies as the host's results.
 * `plugin` is what the host says is the instance. Arguments are borrowed during the call and
 * checked: nothing a host passes is trusted. Results stay valid as results.h says; failures are
 * added to the list of the last errors. Any thread, any number at once.
 */
#include <proxyfs/agfs_plugin.h>
#include <proxyfs/driver.h>

/* An operation without a result. NULL: success; otherwise a text as of errors_text. */
const char *ops_change(const void *plugin, enum pfs_op op, const char *path, const char *path2,
                       uint32_t mode);
/* As FSRead, FSWrite, FSReadDir, FSStat of plugin-abi.md section 10. Out-pointers may be NULL. */
const char *ops_read(const void *plugin, const char *path, int64_t offset, int64_t size,
                     int64_t *ret_len);
int64_t ops_write(const void *plugin, const struct pfs_request *write);
FileInfoArray *ops_readdir(const void *plugin, const char *path, int64_t *ret_count);
FileInfoC *ops_stat(const void *plugin, const char *path);

#endif
