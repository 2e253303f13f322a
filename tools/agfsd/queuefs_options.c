/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/alloc.h"
#include "base/err.h"
#include "driver_options.h"
#include "drivers.h"
#include "queuefs.h"
#include <errno.h>
#include <libgen.h>
#include <string.h>
#include <unistd.h>

enum pfs_class queuefs_options(const struct pfs_option *options, size_t n,
                               struct queue_limits *limits, const char **ret_db,
                               struct pfs_error *err)
{
    static const char *const allowed[] = {"backend",   "db_path",    "max_message_bytes",
                                          "max_bytes", "max_queues", NULL};
    const char *backend = option_value(options, n, "backend");
    const char *db_path = option_value(options, n, "db_path");

    *limits = (struct queue_limits)QUEUE_LIMITS_INIT;
    *ret_db = NULL;
    if (options_check(options, n, allowed, err) != PFS_OK ||
        option_size(options, n, "max_message_bytes", 1, &limits->max_message_bytes, err) !=
            PFS_OK ||
        option_size(options, n, "max_bytes", 1, &limits->max_bytes, err) != PFS_OK ||
        option_size(options, n, "max_queues", 1, &limits->max_queues, err) != PFS_OK) {
        return PFS_CONFIG;
    }
    if (!backend || strcmp(backend, "memory") == 0) {
        return PFS_OK;
    }
    if (strcmp(backend, "sqlite") != 0 && strcmp(backend, "sqlite3") != 0) {
        return pfs_refuse(err, PFS_CONFIG,
                          "unsupported backend: %s (valid options: memory, sqlite)", backend);
    }
    *ret_db = db_path ? db_path : "queue.db";
    return PFS_OK;
}

enum pfs_class queuefs_check(const struct pfs_option *options, size_t n, struct pfs_error *err)
{
    struct queue_limits limits;
    const char *db;
    enum pfs_class cls = queuefs_options(options, n, &limits, &db, err);
    char *dir = cls == PFS_OK && db ? pfs_strdup(db) : NULL;

    if (cls == PFS_OK && db && !dir) {
        return pfs_nomem(err, "queuefs");
    }
    if (dir && access(dirname(dir), W_OK | X_OK) != 0) {
        cls = pfs_refuse(err, PFS_CONFIG, "db_path: %s: %s", db, strerrordesc_np(errno));
    }
    pfs_free(dir);
    return cls;
}
