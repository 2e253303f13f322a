/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef TESTS_PLUGIN_HOST_H
#define TESTS_PLUGIN_HOST_H

/*
 * A plugin host that does what the stock Go host does (plugin-abi.md sections 2 to 6): 64-bit out
 * parameters preset to 0, results copied later and on another thread, nothing ever freed.
 */
#include <proxyfs/agfs_plugin.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define HOST_SYMBOLS(X)                                                                            \
    X(PluginNew)                                                                                   \
    X(PluginFree)                                                                                  \
    X(PluginName)                                                                                  \
    X(PluginValidate)                                                                              \
    X(PluginInitialize)                                                                            \
    X(PluginShutdown)                                                                              \
    X(PluginGetReadme)                                                                             \
    X(FSCreate)                                                                                    \
    X(FSMkdir)                                                                                     \
    X(FSRemove)                                                                                    \
    X(FSRemoveAll)                                                                                 \
    X(FSRead)                                                                                      \
    X(FSWrite)                                                                                     \
    X(FSReadDir)                                                                                   \
    X(FSStat)                                                                                      \
    X(FSRename)                                                                                    \
    X(FSChmod)

struct host {
    void *handle, *plugin;
#define X(name) __typeof__(name) *name;
    HOST_SYMBOLS(X)
#undef X
};

/* Opens the library and calls PluginNew; ends the program when it cannot. */
void host_load(struct host *h, const char *path);

/* The stock host's mount (Validate, Initialize) and unmount (Shutdown, Free). Error text or NULL.
 */
const char *host_mount(struct host *h, const char *config);
const char *host_unmount(struct host *h);

/*
 * A result as the host's Go code sees it: copied by another thread after the call has returned.
 * text: an error's, or the data's; malloc'ed. ok: what the host takes for success.
 */
struct host_result {
    bool ok;
    char *text;
    int64_t n;      /* bytes, entries */
    FileInfoC stat; /* strings: in `text`, joined by '|' */
};
struct host_result host_change(struct host *h, __typeof__(FSCreate) *fn, const char *path);
struct host_result host_error_text(const char *text);
struct host_result host_read(struct host *h, const char *path, int64_t offset, int64_t size);
struct host_result host_write(struct host *h, const char *path, const char *data, int64_t n,
                              uint32_t flags);
/* text: names joined by '|'. */
struct host_result host_readdir(struct host *h, const char *path);
/* text: name|meta name|meta type|meta content. */
struct host_result host_stat(struct host *h, const char *path);

/* Ends the program with a message unless `cond` holds. */
#define CHECK(cond, ...)                                                                           \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #cond);                             \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fputc('\n', stderr);                                                                   \
            _Exit(1);                                                                              \
        }                                                                                          \
    } while (0)

#endif
