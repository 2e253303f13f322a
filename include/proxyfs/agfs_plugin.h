/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PROXYFS_AGFS_PLUGIN_H
#define PROXYFS_AGFS_PLUGIN_H

/*
 * The native plugin ABI of the stock AGFS server, as its host really reads it (plugin-abi.md
 * sections 3 and 4): 64-bit lengths, results that the host copies after the call and never frees.
 */
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    const char *Name; /* NUL-terminated */
    int64_t Size;
    uint32_t Mode;
    int64_t ModTime; /* seconds since 1970 UTC */
    int32_t IsDir;
    const char *MetaName;
    const char *MetaType;
    const char *MetaContent; /* a JSON object of strings, NULL or "" = {} */
} FileInfoC;

typedef struct {
    FileInfoC *Items; /* contiguous */
    int64_t Count;    /* never read by the stock host: out_count counts */
} FileInfoArray;

#ifndef __cplusplus
_Static_assert(sizeof(void *) == 8, "the ABI is for 64-bit platforms");
_Static_assert(offsetof(FileInfoC, Size) == 8, "FileInfoC.Size");
_Static_assert(offsetof(FileInfoC, Mode) == 16, "FileInfoC.Mode");
_Static_assert(offsetof(FileInfoC, ModTime) == 24, "FileInfoC.ModTime");
_Static_assert(offsetof(FileInfoC, IsDir) == 32, "FileInfoC.IsDir");
_Static_assert(offsetof(FileInfoC, MetaName) == 40, "FileInfoC.MetaName");
_Static_assert(offsetof(FileInfoC, MetaType) == 48, "FileInfoC.MetaType");
_Static_assert(offsetof(FileInfoC, MetaContent) == 56, "FileInfoC.MetaContent");
_Static_assert(sizeof(FileInfoC) == 64, "FileInfoC");
_Static_assert(sizeof(FileInfoArray) == 16, "FileInfoArray");
#endif

/* The 17 symbols; only PluginNew is required of a plugin. */
void *PluginNew(void);
void PluginFree(void *plugin);
const char *PluginName(void *plugin);
const char *PluginValidate(void *plugin, const char *config_json);
const char *PluginInitialize(void *plugin, const char *config_json);
const char *PluginShutdown(void *plugin);
const char *PluginGetReadme(void *plugin);
const char *FSCreate(void *plugin, const char *path);
const char *FSMkdir(void *plugin, const char *path, uint32_t perm);
const char *FSRemove(void *plugin, const char *path);
const char *FSRemoveAll(void *plugin, const char *path);
const char *FSRead(void *plugin, const char *path, int64_t offset, int64_t size, int64_t *out_len);
int64_t FSWrite(void *plugin, const char *path, const char *data, int64_t data_len, int64_t offset,
                uint32_t flags);
FileInfoArray *FSReadDir(void *plugin, const char *path, int64_t *out_count);
FileInfoC *FSStat(void *plugin, const char *path);
const char *FSRename(void *plugin, const char *old_path, const char *new_path);
const char *FSChmod(void *plugin, const char *path, uint32_t mode);

#ifdef __cplusplus
}
#endif
#endif
