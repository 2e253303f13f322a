/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Loading of plugin libraries, their names, mounts and unloading. The calls are in native_ops.c. */
#include "base/alloc.h"
#include "base/err.h"
#include "native_file.h"
#include "native_internal.h"
#include "wire/wire.h"
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAME_MAX_BYTES 200 /* of a type name: it becomes part of paths and messages */

/* Serialises loading and unloading; all loaded libraries. */
static pthread_mutex_t loader = PTHREAD_MUTEX_INITIALIZER;
static struct list loaded = {&loaded, &loaded};

static void native_free(struct native *n)
{
    if (!n) {
        return;
    }
    if (n->path && n->key && strcmp(n->path, n->key) != 0) {
        unlink(n->path);
    }
    pthread_mutex_destroy(&n->life);
    pfs_free(n->name);
    pfs_free(n->original_name);
    pfs_free(n->key);
    pfs_free(n->path);
    pfs_free(n);
}

static struct native *find_key_locked(const char *key)
{
    list_for_each (it, &loaded) {
        struct native *n = list_entry(it, struct native, link);

        if (strcmp(n->key, key) == 0 || strcmp(n->path, key) == 0) {
            return n;
        }
    }
    return NULL;
}

static bool is_name_taken_locked(const char *name, native_taken_fn *taken, void *arg)
{
    list_for_each (it, &loaded) {
        if (strcmp(list_entry(it, struct native, link)->name, name) == 0) {
            return true;
        }
    }
    return taken && taken(arg, name);
}

/* Finds the name for mounting: the original, or with the first free number. */
static enum pfs_class choose_name_locked(struct native *n, native_taken_fn *taken, void *arg,
                                         struct pfs_error *err)
{
    char name[NAME_MAX_BYTES + 16];

    snprintf(name, sizeof name, "%s", n->original_name);
    for (unsigned i = 1; is_name_taken_locked(name, taken, arg); i++) {
        snprintf(name, sizeof name, "%s-%u", n->original_name, i);
    }
    n->name = pfs_strdup(name);
    return n->name ? PFS_OK : pfs_nomem(err, "a plugin");
}

static enum pfs_class open_library(struct native *n, struct pfs_error *err)
{
    dlerror();
    void *handle = dlopen(n->path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        const char *why = dlerror();

        return pfs_refuse(err, PFS_CONFIG, "failed to open library %s: %s", n->path,
                          why ? why : "unknown reason");
    }
    void *symbol;
#define X(name)                                                                                    \
    symbol = dlsym(handle, #name);                                                                 \
    memcpy(&n->abi.name, &symbol, sizeof symbol);
    NATIVE_SYMBOLS(X)
#undef X
    if (!n->abi.PluginNew) {
        return pfs_refuse(
            err, PFS_CONFIG,
            "failed to create plugin wrapper: plugin missing required PluginNew function");
    }
    n->instance = n->abi.PluginNew();
    if (!n->instance) {
        return pfs_refuse(err, PFS_CONFIG,
                          "failed to create plugin wrapper: PluginNew returned null pointer");
    }
    return PFS_OK;
}

static enum pfs_class ask_name(struct native *n, struct pfs_error *err)
{
    const char *name = n->abi.PluginName ? n->abi.PluginName(n->instance) : NULL;
    size_t len = name ? strnlen(name, NAME_MAX_BYTES + 1) : 0;
    char safe[NAME_MAX_BYTES + 1];

    if (len == 0 || len > NAME_MAX_BYTES) {
        return pfs_refuse(err, PFS_CONFIG, "the plugin at %s gives itself no usable name", n->path);
    }
    if (pfs_escape_line(safe, sizeof safe, name, len) != len || strchr(safe, '/')) {
        return pfs_refuse(err, PFS_CONFIG, "the plugin at %s has an invalid name: %s", n->path,
                          safe);
    }
    n->original_name = pfs_strdup(safe);
    return n->original_name ? PFS_OK : pfs_nomem(err, "a plugin");
}

static enum pfs_class load_locked(struct native *n, native_taken_fn *taken, void *arg,
                                  struct pfs_error *err)
{
    enum pfs_class cls = native_file_check(n->key, err);

    if (cls == PFS_OK && find_key_locked(n->key)) {
        cls = native_file_copy(n->key, &n->path, err);
    } else if (cls == PFS_OK) {
        n->path = pfs_strdup(n->key);
        cls = n->path ? PFS_OK : pfs_nomem(err, "a plugin");
    }
    if (cls == PFS_OK) {
        cls = open_library(n, err);
    }
    if (cls == PFS_OK) {
        cls = ask_name(n, err);
    }
    if (cls == PFS_OK) {
        cls = choose_name_locked(n, taken, arg, err);
    }
    if (cls == PFS_OK) {
        native_ops_init(n);
        list_append(&loaded, &n->link);
    }
    return cls;
}

enum pfs_class native_load(const char *path, native_taken_fn *taken, void *arg, struct native **ret,
                           struct pfs_error *err)
{
    struct native *n = pfs_calloc(1, sizeof *n);

    if (!n) {
        return pfs_nomem(err, "a plugin");
    }
    list_init(&n->link);
    pthread_mutex_init(&n->life, NULL);
    enum pfs_class cls = native_file_key(path, &n->key, err);
    if (cls == PFS_OK) {
        pthread_mutex_lock(&loader);
        cls = load_locked(n, taken, arg, err);
        pthread_mutex_unlock(&loader);
    }
    if (cls == PFS_OK) {
        *ret = n;
    } else {
        native_free(n);
    }
    return cls;
}

const char *native_name(const struct native *n)
{
    return n->name;
}

const char *native_original_name(const struct native *n)
{
    return n->original_name;
}

const char *native_path(const struct native *n)
{
    return n->path;
}

/* A plugin's complaint about a mount; NULL and "" are success. */
static enum pfs_class check_text(const char *text, const char *what, struct pfs_error *err)
{
    if (!text || !text[0]) {
        return PFS_OK;
    }
    enum pfs_class cls = wire_class_of_text(text);
    return pfs_refuse(err, cls, "failed to %s plugin: %.*s", what, PFS_ERROR_TEXT_MAX, text);
}

static void shutdown_locked(struct native *n)
{
    /* Its error changes nothing for us: the mount goes in any case. */
    if (n->abi.PluginShutdown) {
        (void)n->abi.PluginShutdown(n->instance);
    }
}

static void unmount(struct native *n)
{
    pthread_mutex_lock(&n->life);
    n->n_mounts--;
    shutdown_locked(n);
    pthread_mutex_unlock(&n->life);
}

static enum pfs_class validate_locked(struct native *n, const char *config_json,
                                      struct pfs_error *err)
{
    enum pfs_class cls = PFS_OK;

    if (n->abi.PluginValidate) {
        cls = check_text(n->abi.PluginValidate(n->instance, config_json), "validate", err);
        if (cls != PFS_OK) {
            cls = PFS_CONFIG; /* whatever words it uses: the configuration is what is wrong */
            if (err) {
                err->cls = cls;
            }
        }
    }
    return cls;
}

enum pfs_class native_validate(struct native *n, const char *config_json, struct pfs_error *err)
{
    pthread_mutex_lock(&n->life);
    enum pfs_class cls = validate_locked(n, config_json, err);

    pthread_mutex_unlock(&n->life);
    return cls;
}

static enum pfs_class mount_locked(struct native *n, const char *config_json, struct pfs_error *err)
{
    enum pfs_class cls = validate_locked(n, config_json, err);

    if (cls == PFS_OK && n->abi.PluginInitialize) {
        cls = check_text(n->abi.PluginInitialize(n->instance, config_json), "initialize", err);
    }
    n->n_mounts += cls == PFS_OK;
    return cls;
}

enum pfs_class native_driver_open(struct native *n, const char *config_json,
                                  struct pfs_driver **ret, struct pfs_error *err)
{
    struct pfs_driver *d = native_ops_driver(n, unmount);

    if (!d) {
        return pfs_nomem(err, "a mount");
    }
    pthread_mutex_lock(&n->life);
    enum pfs_class cls = mount_locked(n, config_json, err);
    pthread_mutex_unlock(&n->life);
    if (cls == PFS_OK) {
        *ret = d;
    } else {
        pfs_free(d);
    }
    return cls;
}

enum pfs_class native_unload(struct native *n, struct pfs_error *err)
{
    enum pfs_class cls = PFS_OK;

    pthread_mutex_lock(&loader);
    pthread_mutex_lock(&n->life);
    if (n->n_mounts > 0) {
        cls = pfs_refuse(err, PFS_EXISTS, "plugin %s is mounted (%u): unmount it first", n->name,
                         n->n_mounts);
    } else {
        shutdown_locked(n);
        list_remove(&n->link);
    }
    pthread_mutex_unlock(&n->life);
    pthread_mutex_unlock(&loader);
    if (cls == PFS_OK) {
        native_free(n);
    }
    return cls;
}
