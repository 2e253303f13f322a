/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "registry.h"
#include "base/alloc.h"
#include "base/err.h"
#include "drivers.h"
#include "jsonout.h"
#include "native.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIBRARIES_MAX 256 /* loading maps code for ever */
#define OPTIONS_MAX 64    /* of one mount */

static enum pfs_class check_proxyfs(const struct pfs_option *options, size_t n,
                                    struct pfs_error *err);

static const struct builtin {
    const char *name;
    driver_open_fn *open;
    driver_check_fn *check; /* NULL: opening and closing one makes nothing */
} builtins[] = {
    {"devfs", devfs_open, NULL},
    {"hellofs", hellofs_open, NULL},
    {"kvfs", kvfs_open, NULL},
    {"localfs", localfs_open, NULL},
    {"memfs", memfs_open, NULL},
    {"proxyfs", pfs_proxyfs_open, check_proxyfs},
    {"queuefs", queuefs_open, queuefs_check},
    {"serverinfofs", serverinfofs_open, NULL},
    {"streamfs", streamfs_open, NULL},
};

struct registry {
    pthread_mutex_t mu; /* of everything below; held while a library is loaded or unloaded */
    struct native *libraries[LIBRARIES_MAX];
    size_t n_libraries;
};

struct registry *registry_new(void)
{
    struct registry *r = pfs_calloc(1, sizeof *r);

    if (r) {
        pthread_mutex_init(&r->mu, NULL);
    }
    return r;
}

void registry_free(struct registry *r)
{
    if (!r) {
        return;
    }
    for (size_t i = 0; i < r->n_libraries; i++) {
        (void)!native_unload(r->libraries[i], NULL);
    }
    pthread_mutex_destroy(&r->mu);
    pfs_free(r);
}

static const struct builtin *find_builtin(const char *type)
{
    for (size_t i = 0; i < sizeof builtins / sizeof *builtins; i++) {
        if (strcmp(builtins[i].name, type) == 0) {
            return &builtins[i];
        }
    }
    return NULL;
}

static struct native *find_native_locked(struct registry *r, const char *type)
{
    for (size_t i = 0; i < r->n_libraries; i++) {
        if (strcmp(native_name(r->libraries[i]), type) == 0) {
            return r->libraries[i];
        }
    }
    return NULL;
}

static bool has_type(struct registry *r, const char *type)
{
    pthread_mutex_lock(&r->mu);
    bool native = find_native_locked(r, type);

    pthread_mutex_unlock(&r->mu);
    return native || find_builtin(type);
}

bool registry_is_own(const char *type)
{
    return find_builtin(type) && strcmp(type, "proxyfs") != 0;
}

/* ---- options of built-in drivers ---- */

/* Options as text, their strings in one buffer. */
struct options {
    struct pfs_option rows[OPTIONS_MAX];
    size_t n;
};

static void options_free(struct options *o)
{
    for (size_t i = 0; i < o->n; i++) {
        pfs_free((char *)(uintptr_t)o->rows[i].key);
        pfs_free((char *)(uintptr_t)o->rows[i].value);
    }
}

static enum pfs_class options_read(struct json_value config, struct options *o,
                                   struct pfs_error *err)
{
    struct json_member m = {0};

    while (json_next(config, &m)) {
        struct pfs_buf text = {0};
        size_t len;

        if (strcmp(m.key, "mount_path") == 0) {
            continue; /* the mount's path is not the configuration's to say */
        }
        if (o->n == OPTIONS_MAX) {
            return pfs_refuse(err, PFS_CONFIG, "more than %d configuration parameters",
                              OPTIONS_MAX);
        }
        if (json_kind(m.value) == JSON_STRING && !json_str(m.value)) {
            return pfs_refuse(err, PFS_CONFIG, "invalid value of %s: it has a NUL byte", m.key);
        }
        char *key = pfs_strdup(m.key);
        char *value = json_option_text(m.value, &text) ? pfs_buf_take(&text, &len) : NULL;

        pfs_buf_fini(&text);
        if (!key || !value) {
            pfs_free(key);
            pfs_free(value);
            return pfs_nomem(err, "options");
        }
        o->rows[o->n++] = (struct pfs_option){key, value};
    }
    return PFS_OK;
}

/* As a lazy mount, which connects to nothing: options and files. */
static enum pfs_class check_proxyfs(const struct pfs_option *options, size_t n,
                                    struct pfs_error *err)
{
    struct pfs_option rows[OPTIONS_MAX + 1];
    struct pfs_driver *d = NULL;
    bool lazy = false;

    memcpy(rows, options, n * sizeof *rows);
    for (size_t i = 0; i < n && !lazy; i++) {
        lazy = strcmp(rows[i].key, "lazy") == 0;
        if (lazy && strcasecmp(rows[i].value, "false") == 0) {
            rows[i].value = "true";
        }
    }
    if (!lazy) {
        rows[n++] = (struct pfs_option){"lazy", "true"};
    }
    enum pfs_class cls = pfs_proxyfs_open(rows, n, &d, err);

    if (cls == PFS_OK) {
        d->ops->close(d);
    }
    return cls;
}

static enum pfs_class check_builtin(const struct builtin *b, const struct options *o,
                                    struct pfs_error *err)
{
    struct pfs_driver *d = NULL;

    if (b->check) {
        return b->check(o->rows, o->n, err);
    }
    enum pfs_class cls = b->open(o->rows, o->n, &d, err);

    if (cls == PFS_OK) {
        d->ops->close(d);
    }
    return cls;
}

/* ret NULL: only to see whether it can be. */
static enum pfs_class open_builtin(const struct builtin *b, struct json_value config,
                                   struct pfs_driver **ret, struct pfs_error *err)
{
    struct options *o = pfs_calloc(1, sizeof *o);
    enum pfs_class cls = o ? options_read(config, o, err) : pfs_nomem(err, "options");

    if (cls == PFS_OK) {
        cls = ret ? b->open(o->rows, o->n, ret, err) : check_builtin(b, o, err);
    }
    if (cls != PFS_OK) {
        pfs_err_prefix(err, cls == PFS_CONFIG ? "failed to validate plugin"
                                              : "failed to initialize plugin");
    }
    if (o) {
        options_free(o);
    }
    pfs_free(o);
    return cls;
}

/* ---- libraries ---- */

static enum pfs_class open_native(struct registry *r, const char *type, const char *config,
                                  struct pfs_driver **ret, struct pfs_error *err)
{
    enum pfs_class cls;

    pthread_mutex_lock(&r->mu);
    struct native *n = find_native_locked(r, type);

    cls = n ? ret ? native_driver_open(n, config, ret, err) : native_validate(n, config, err)
            : pfs_refuse(err, PFS_CONFIG, "unknown filesystem type: %s", type);
    pthread_mutex_unlock(&r->mu);
    return cls;
}

static bool is_builtin(void *arg, const char *name)
{
    return find_builtin(name) != NULL;
}

enum pfs_class registry_load(struct registry *r, const char *path,
                             void (*fn)(void *arg, const struct registry_type *t), void *arg,
                             struct pfs_error *err)
{
    enum pfs_class cls;
    struct native *n = NULL;

    pthread_mutex_lock(&r->mu);
    if (r->n_libraries == LIBRARIES_MAX) {
        cls = pfs_refuse(err, PFS_TOOBIG, "too many plugins: %d are allowed", LIBRARIES_MAX);
    } else {
        cls = native_load(path, is_builtin, NULL, &n, err);
    }
    if (cls == PFS_OK) {
        bool renamed = strcmp(native_name(n), native_original_name(n)) != 0;

        r->libraries[r->n_libraries++] = n;
        fn(arg, &(struct registry_type){native_name(n), native_path(n),
                                        renamed ? native_original_name(n) : NULL});
    }
    pthread_mutex_unlock(&r->mu);
    return cls;
}

enum pfs_class registry_unload(struct registry *r, const char *path, struct pfs_error *err)
{
    enum pfs_class cls = PFS_NOTFOUND;
    size_t i = 0;

    pthread_mutex_lock(&r->mu);
    while (i < r->n_libraries && strcmp(native_path(r->libraries[i]), path) != 0) {
        i++;
    }
    if (i == r->n_libraries) {
        pfs_refuse(err, PFS_NOTFOUND, "plugin not loaded: %s (not found)", path);
    } else {
        cls = native_unload(r->libraries[i], err);
    }
    if (cls == PFS_OK) {
        r->libraries[i] = r->libraries[--r->n_libraries];
    }
    pthread_mutex_unlock(&r->mu);
    return cls;
}

void registry_each(struct registry *r, void (*fn)(void *arg, const struct registry_type *t),
                   void *arg)
{
    for (size_t i = 0; i < sizeof builtins / sizeof *builtins; i++) {
        fn(arg, &(struct registry_type){.name = builtins[i].name});
    }
    pthread_mutex_lock(&r->mu);
    for (size_t i = 0; i < r->n_libraries; i++) {
        struct native *n = r->libraries[i];

        fn(arg, &(struct registry_type){.name = native_name(n), .library_path = native_path(n)});
    }
    pthread_mutex_unlock(&r->mu);
}

/* ---- making a driver ---- */

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct json_member *)a)->key, ((const struct json_member *)b)->key);
}

char *registry_config_text(struct json_value config, const char *mount_path)
{
    struct json_member rows[OPTIONS_MAX + 1], m = {0};
    struct jout j = {0};
    size_t n = 0;

    if (mount_path) {
        rows[n++] = (struct json_member){.key = "mount_path"};
    }
    while (n <= OPTIONS_MAX && json_next(config, &m)) {
        if (strcmp(m.key, "mount_path") != 0) {
            rows[n++] = m;
        }
    }
    qsort(rows, n, sizeof *rows, by_key);
    jo_begin(&j, '{');
    for (size_t i = 0; i < n; i++) {
        jo_name(&j, rows[i].key);
        if (strcmp(rows[i].key, "mount_path") == 0) {
            jo_str(&j, mount_path);
        } else {
            j.failed |= !json_to_text(rows[i].value, &j.buf);
            j.comma = true;
        }
    }
    jo_end(&j, '}');
    return jo_take_bare(&j, NULL);
}

struct names {
    char text[PFS_ERROR_TEXT_MAX];
    size_t n;
};

static void add_name(void *arg, const struct registry_type *t)
{
    struct names *l = arg;

    if (l->n < sizeof l->text) {
        l->n += (size_t)snprintf(l->text + l->n, sizeof l->text - l->n, "%s%s", l->n ? ", " : "",
                                 t->name);
    }
}

static enum pfs_class refuse_type(struct registry *r, const char *type, struct pfs_error *err)
{
    struct names known = {.n = 0};

    registry_each(r, add_name, &known);
    return pfs_refuse(err, PFS_CONFIG, "unknown filesystem type: %s; there are %s", type,
                      known.text);
}

/* ret NULL: only to see whether it can be. */
static enum pfs_class open_any(struct registry *r, const char *type, const char *config,
                               const char *mount_path, struct pfs_driver **ret,
                               struct pfs_error *err)
{
    const struct builtin *b = find_builtin(type);
    struct json_value tree = {0};
    enum pfs_class cls = PFS_OK;

    if (!has_type(r, type)) {
        return refuse_type(r, type, err);
    }
    if (config) {
        cls = json_parse(config, strlen(config), JSON_REQUEST, &tree, err);
    }
    if (cls == PFS_OK && b) {
        cls = open_builtin(b, tree, ret, err);
    } else if (cls == PFS_OK) {
        char *text = registry_config_text(tree, mount_path);

        cls = text ? open_native(r, type, text, ret, err) : pfs_nomem(err, "a configuration");
        pfs_free(text);
    }
    json_fini(&tree);
    return cls;
}

enum pfs_class registry_open(struct registry *r, const char *type, const char *config,
                             const char *mount_path, struct pfs_driver **ret, struct pfs_error *err)
{
    return open_any(r, type, config, mount_path, ret, err);
}

enum pfs_class registry_check(struct registry *r, const char *type, const char *config,
                              const char *mount_path, struct pfs_error *err)
{
    return open_any(r, type, config, mount_path, NULL, err);
}
