/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * A plugin as the ABI wants it, whose file /calls counts what the host did; a read of /never does
 * not end. For tests of hosts.
 */
#pragma GCC visibility push(default)
#include <proxyfs/agfs_plugin.h>
#pragma GCC visibility pop
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int instance;
static unsigned n_new, n_initialize, n_shutdown, n_free; /* tests call from one thread at a time */
static char calls[64], written[64];

void *PluginNew(void)
{
    n_new++;
    return &instance;
}

void PluginFree(void *plugin)
{
    n_free++;
}

const char *PluginName(void *plugin)
{
    return "good";
}

const char *PluginValidate(void *plugin, const char *config_json)
{
    return NULL;
}

const char *PluginInitialize(void *plugin, const char *config_json)
{
    n_initialize++;
    return NULL;
}

const char *PluginShutdown(void *plugin)
{
    n_shutdown++;
    return "an error that changes nothing";
}

const char *PluginGetReadme(void *plugin)
{
    return "";
}

const char *FSCreate(void *plugin, const char *path)
{
    return strcmp(path, "/calls") == 0 ? "already exists" : NULL;
}

const char *FSMkdir(void *plugin, const char *path, uint32_t perm)
{
    return perm == 0750 ? NULL : "wrong mode";
}

const char *FSRemove(void *plugin, const char *path)
{
    return "no such file or directory";
}

const char *FSRemoveAll(void *plugin, const char *path)
{
    return "";
}

const char *FSRead(void *plugin, const char *path, int64_t offset, int64_t size, int64_t *out_len)
{
    if (strcmp(path, "/written") == 0) {
        *out_len = (int64_t)strlen(written);
        return written;
    }
    while (strcmp(path, "/never") == 0) {
        pause();
    }
    if (strcmp(path, "/calls") != 0) {
        *out_len = -1;
        return NULL;
    }
    snprintf(calls, sizeof calls, "new %u init %u shutdown %u free %u", n_new, n_initialize,
             n_shutdown, n_free);
    *out_len = (int64_t)strlen(calls);
    return calls;
}

int64_t FSWrite(void *plugin, const char *path, const char *data, int64_t data_len, int64_t offset,
                uint32_t flags)
{
    snprintf(written, sizeof written, "%lld of %s at %lld with %u", (long long)data_len,
             data ? "data" : "NULL", (long long)offset, flags);
    return data_len;
}

FileInfoArray *FSReadDir(void *plugin, const char *path, int64_t *out_count)
{
    static FileInfoArray none;

    *out_count = 0;
    return &none;
}

FileInfoC *FSStat(void *plugin, const char *path)
{
    static FileInfoC file = {.Name = "calls",
                             .Size = 3,
                             .Mode = 0644,
                             .ModTime = 1700000000,
                             .MetaName = "good",
                             .MetaType = "file",
                             .MetaContent = "{\"k\":\"v\"}"};

    return &file;
}

const char *FSRename(void *plugin, const char *old_path, const char *new_path)
{
    return strcmp(new_path, "/to") == 0 ? NULL : "is a directory";
}

const char *FSChmod(void *plugin, const char *path, uint32_t mode)
{
    return NULL;
}
