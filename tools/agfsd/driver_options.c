/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "driver_options.h"
#include "base/alloc.h"
#include "base/err.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const char *option_value(const struct pfs_option *options, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(options[i].key, key) == 0) {
            return options[i].value;
        }
    }
    return NULL;
}

/* The factor that a unit stands for, 0: no such unit. */
static uint64_t unit_factor(const char *unit)
{
    static const struct {
        const char *name;
        unsigned shift;
    } rows[] = {{"", 0},    {"B", 0},    {"K", 10}, {"KB", 10}, {"KiB", 10}, {"M", 20},
                {"MB", 20}, {"MiB", 20}, {"G", 30}, {"GB", 30}, {"GiB", 30}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcasecmp(unit, rows[i].name) == 0) {
            return 1ull << rows[i].shift;
        }
    }
    return 0;
}

enum pfs_class option_size(const struct pfs_option *options, size_t n, const char *key,
                           uint64_t least, uint64_t *io_value, struct pfs_error *err)
{
    const char *s = option_value(options, n, key);
    char *unit = NULL;
    uint64_t value = 0, factor = 0;

    if (!s) {
        return PFS_OK;
    }
    errno = 0;
    if (*s >= '0' && *s <= '9') {
        value = strtoull(s, &unit, 10);
        factor = unit_factor(unit + strspn(unit, " "));
    }
    if (errno || factor == 0 || __builtin_mul_overflow(value, factor, &value) || value < least) {
        return pfs_refuse(err, PFS_CONFIG, "invalid value of %s: '%s' (a number of at least %llu)",
                          key, s, (unsigned long long)least);
    }
    *io_value = value;
    return PFS_OK;
}

enum pfs_class options_check(const struct pfs_option *options, size_t n, const char *const *allowed,
                             struct pfs_error *err)
{
    char list[256] = "";

    for (size_t i = 0; allowed[i]; i++) {
        size_t have = strlen(list);

        snprintf(list + have, sizeof list - have, "'%s', ", allowed[i]);
    }
    for (size_t i = 0; i < n; i++) {
        bool known = strcmp(options[i].key, "mount_path") == 0;

        for (size_t k = 0; allowed[k] && !known; k++) {
            known = strcmp(options[i].key, allowed[k]) == 0;
        }
        if (!known) {
            return pfs_refuse(err, PFS_CONFIG,
                              "unknown configuration parameter(s) '%s' - allowed parameters are: "
                              "%s'mount_path'",
                              options[i].key, list);
        }
    }
    return PFS_OK;
}

enum pfs_class driver_open_plain(const struct pfs_driver_ops *ops, const struct pfs_option *options,
                                 size_t n, struct pfs_driver **ret, struct pfs_error *err)
{
    static const char *const allowed[] = {NULL};
    enum pfs_class cls = options_check(options, n, allowed, err);
    struct pfs_driver *d = cls == PFS_OK ? pfs_calloc(1, sizeof *d) : NULL;

    if (d) {
        d->ops = ops;
        *ret = d;
    }
    return cls != PFS_OK || d ? cls : pfs_nomem(err, ops->name);
}

void driver_free(struct pfs_driver *d)
{
    pfs_free(d);
}
