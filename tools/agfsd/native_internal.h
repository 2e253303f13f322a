/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_NATIVE_INTERNAL_H
#define AGFSD_NATIVE_INTERNAL_H

/* What native.c and native_ops.c share: a loaded library. */
#include "base/list.h"
#include "native.h"
#include <proxyfs/agfs_plugin.h>
#include <pthread.h>

#define NATIVE_SYMBOLS(X)                                                                          \
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

/* The plugin's functions, NULL where it has none. */
struct native_abi {
#define X(name) __typeof__(name) *name;
    NATIVE_SYMBOLS(X)
#undef X
};

/* Fixed after load but for n_mounts, which is under `life`. */
struct native {
    struct list link; /* of all loaded libraries */
    struct native_abi abi;
    void *instance;
    char *name, *original_name;
    char *key;  /* absolute path by which it was asked for */
    char *path; /* of the file opened: key, or the copy, which is ours to remove */
    struct pfs_driver_ops ops;
    pthread_mutex_t life; /* serialises Validate, Initialize, Shutdown */
    unsigned n_mounts;
};

/* Fills n->ops with what the plugin can do. */
void native_ops_init(struct native *n);
/* A driver on n for one mount; close: the unmount. NULL: out of memory. */
struct pfs_driver *native_ops_driver(struct native *n, void (*unmount)(struct native *n));

#endif
