/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * The 17 functions that the host resolves, and nothing else is exported. They adapt types; what
 * they promise is in plugin-abi.md section 10 and in the headers of what they call.
 */
/* Before anything else declares the functions: the first declaration decides. */
#pragma GCC visibility push(default)
#include <proxyfs/agfs_plugin.h>
#pragma GCC visibility pop

#include "backend.h"
#include "base/err.h"
#include "errors.h"
#include "instance.h"
#include "ops.h"
#include "results.h"
#include <stdlib.h>

static const char readme[] =
    "ProxyFS: mounts another AGFS server in this tree, over HTTP/2 and TLS.\n"
    "\n"
    "  agfs mount proxyfs-h2 /remote base_url=https://host:8443/api/v1 ca_file=ca.pem\n"
    "\n"
    "Files of its own in the mount:\n"
    "  /reload            write anything: connect anew, with certificates read again\n"
    "  /.proxyfs/status   connections and counters\n"
    "  /.proxyfs/errors   the last errors, for calls that can carry no text\n";

/* The text for the host after a failed call of the mount itself. */
static const char *mount_result(const char *what, enum pfs_class cls, const struct pfs_error *err)
{
    if (cls == PFS_OK) {
        return NULL;
    }
    errors_note(what, NULL, err);
    return errors_text(err);
}

static bool is_instance(const void *plugin, struct pfs_error *err)
{
    if (plugin != instance_area()) {
        pfs_refuse(err, PFS_INVALID, "invalid plugin instance");
        return false;
    }
    return true;
}

void *PluginNew(void)
{
    /* Tests cannot wait for a minute. */
    const char *grace = getenv("PROXYFS_RESULT_GRACE_MS");

    if (grace && grace[0] >= '0' && grace[0] <= '9') {
        results_limit(strtol(grace, NULL, 10) % (3600 * 1000), RESULTS_MAX_BYTES);
    }
    return instance_area();
}

void PluginFree(void *plugin)
{
    /* Shutdown came before; the instance itself is never freed. */
    results_reap();
}

const char *PluginName(void *plugin)
{
    return BACKEND_NAME;
}

const char *PluginValidate(void *plugin, const char *config_json)
{
    struct pfs_error err;
    enum pfs_class cls =
        is_instance(plugin, &err) ? instance_check(config_json, &err) : PFS_INVALID;

    return mount_result("validate", cls, &err);
}

const char *PluginInitialize(void *plugin, const char *config_json)
{
    struct pfs_error err;
    enum pfs_class cls = is_instance(plugin, &err) ? instance_open(config_json, &err) : PFS_INVALID;

    return mount_result("mount", cls, &err);
}

const char *PluginShutdown(void *plugin)
{
    struct pfs_error err;

    /* An error would strand the mount in the host, so the only one is a pointer not ours. */
    if (!is_instance(plugin, &err)) {
        return mount_result("shutdown", PFS_INVALID, &err);
    }
    instance_close();
    return NULL;
}

const char *PluginGetReadme(void *plugin)
{
    return readme;
}

const char *FSCreate(void *plugin, const char *path)
{
    return ops_change(plugin, PFS_OP_CREATE, path, NULL, 0644);
}

const char *FSMkdir(void *plugin, const char *path, uint32_t perm)
{
    return ops_change(plugin, PFS_OP_MKDIR, path, NULL, perm);
}

const char *FSRemove(void *plugin, const char *path)
{
    return ops_change(plugin, PFS_OP_REMOVE, path, NULL, 0);
}

const char *FSRemoveAll(void *plugin, const char *path)
{
    return ops_change(plugin, PFS_OP_REMOVE_ALL, path, NULL, 0);
}

const char *FSRead(void *plugin, const char *path, int64_t offset, int64_t size, int64_t *out_len)
{
    return ops_read(plugin, path, offset, size, out_len);
}

int64_t FSWrite(void *plugin, const char *path, const char *data, int64_t data_len, int64_t offset,
                uint32_t flags)
{
    struct pfs_request write = PFS_REQUEST_INIT;

    write.path = path;
    write.data = data;
    write.len = (size_t)data_len; /* a negative one is refused as too large */
    write.offset = offset;
    write.flags = flags;
    return ops_write(plugin, &write);
}

FileInfoArray *FSReadDir(void *plugin, const char *path, int64_t *out_count)
{
    return ops_readdir(plugin, path, out_count);
}

FileInfoC *FSStat(void *plugin, const char *path)
{
    return ops_stat(plugin, path);
}

const char *FSRename(void *plugin, const char *old_path, const char *new_path)
{
    return ops_change(plugin, PFS_OP_RENAME, old_path, new_path, 0);
}

const char *FSChmod(void *plugin, const char *path, uint32_t mode)
{
    return ops_change(plugin, PFS_OP_CHMOD, path, NULL, mode);
}
