/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * A plugin with every habit of the C example that comes with the stock server, and worse: 32-bit
 * out parameters, -1 together with a text, results that make no sense. For tests of hosts.
 */
#include <stdint.h>
#include <string.h>

typedef struct {
    const char *Name;
    int64_t Size;
    uint32_t Mode;
    int64_t ModTime;
    int32_t IsDir;
    const char *MetaName, *MetaType, *MetaContent;
} FileInfoC;

typedef struct {
    FileInfoC *Items;
    int Count;
} FileInfoArray;

#define EXPORT __attribute__((visibility("default")))

EXPORT void *PluginNew(void);
EXPORT const char *PluginName(void *p);
EXPORT const char *PluginValidate(void *p, const char *config);
EXPORT const char *PluginInitialize(void *p, const char *config);
EXPORT const char *FSRead(void *p, const char *path, int64_t offset, int64_t size, int *out_len);
EXPORT int FSWrite(void *p, const char *path, const char *data, int len, int64_t offset,
                   uint32_t flags);
EXPORT FileInfoArray *FSReadDir(void *p, const char *path, int *out_count);
EXPORT FileInfoC *FSStat(void *p, const char *path);
EXPORT const char *FSRemove(void *p, const char *path);

static int instance;

void *PluginNew(void)
{
    return &instance;
}

const char *PluginName(void *p)
{
    return "habits32";
}

const char *PluginValidate(void *p, const char *config)
{
    return strstr(config, "bad") ? "bad is not found here" : NULL;
}

const char *PluginInitialize(void *p, const char *config)
{
    return strstr(config, "denied") ? "permission denied" : "";
}

const char *FSRead(void *p, const char *path, int64_t offset, int64_t size, int *out_len)
{
    if (strcmp(path, "/hello") == 0) {
        *out_len = 5;
        return "hello";
    }
    if (strcmp(path, "/unset") == 0) {
        return "hello"; /* without a length */
    }
    if (strcmp(path, "/null") == 0) {
        *out_len = 7;
        return NULL;
    }
    if (strcmp(path, "/huge") == 0) {
        *out_len = INT32_MAX;
        return "hello";
    }
    if (strcmp(path, "/minus2") == 0) {
        *out_len = -2;
        return NULL;
    }
    *out_len = -1;
    if (strcmp(path, "/wild") == 0) {
        return (const char *)16; /* no text is there */
    }
    return strcmp(path, "/denied") == 0 ? "permission denied" : "file not found";
}

int FSWrite(void *p, const char *path, const char *data, int len, int64_t offset, uint32_t flags)
{
    if (strcmp(path, "/much") == 0) {
        return 999;
    }
    return strcmp(path, "/hello") == 0 ? len : -1;
}

FileInfoArray *FSReadDir(void *p, const char *path, int *out_count)
{
    static FileInfoC items[] = {{.Name = "a", .Size = -5, .MetaContent = "{\"k\":\"v\",\"n\":1}"},
                                {.Name = "", .IsDir = 1},
                                {.Name = ".."},
                                {.Name = NULL},
                                {.Name = "x/y"},
                                {.Name = "\xff"},
                                {.Name = "d", .IsDir = 7, .MetaContent = "[not json"}};
    static FileInfoArray all = {items, 77}, none = {NULL, 0};

    if (strcmp(path, "/") == 0) {
        *out_count = 7;
        return &all;
    }
    if (strcmp(path, "/empty") == 0) {
        return &all;
    }
    if (strcmp(path, "/noitems") == 0) {
        *out_count = 3;
        return &none;
    }
    if (strcmp(path, "/huge") == 0) {
        *out_count = INT32_MAX;
        return &all;
    }
    *out_count = -1;
    return strcmp(path, "/wild") == 0 ? &all : NULL;
}

FileInfoC *FSStat(void *p, const char *path)
{
    static FileInfoC root = {.Name = "", .IsDir = 1, .Mode = 0755, .ModTime = INT64_MAX};

    return strcmp(path, "/") == 0 ? &root : NULL;
}

const char *FSRemove(void *p, const char *path)
{
    return strcmp(path, "/hello") == 0 ? "directory not empty" : "no such file or directory";
}
