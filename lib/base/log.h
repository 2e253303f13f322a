/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_BASE_LOG_H
#define PFS_BASE_LOG_H

/* Log lines to the sink set with pfs_log_to. A line carries ids ("c3 s17"), never secrets. */
#include "base/cold.h"
#include <proxyfs/proxyfs.h>

/* True when lines of this level go anywhere: guard for lines that cost something to make. */
bool pfs_log_wants(enum pfs_log_level level);
/* Formats one line (cut at 1 KiB, control characters escaped). Any thread, no lock needed. */
PFS_COLD void pfs_log(enum pfs_log_level level, const char *format, ...) PFS_PRINTF(2, 3);

#define log_error(...) pfs_log(PFS_LOG_ERROR, __VA_ARGS__)
#define log_warn(...) pfs_log(PFS_LOG_WARN, __VA_ARGS__)
#define log_info(...) pfs_log(PFS_LOG_INFO, __VA_ARGS__)
#define log_debug(...)                                                                             \
    do {                                                                                           \
        if (pfs_log_wants(PFS_LOG_DEBUG)) {                                                        \
            pfs_log(PFS_LOG_DEBUG, __VA_ARGS__);                                                   \
        }                                                                                          \
    } while (0)

#endif
