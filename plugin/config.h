/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PLUGIN_CONFIG_H
#define PLUGIN_CONFIG_H

/* The configuration of a mount: the host's JSON object as options of the proxyfs driver. */
#include <proxyfs/driver.h>
#include <stdbool.h>
#include <stdint.h>

#define CONFIG_TEXT_MAX (1u << 20) /* a file that got here by mistake is not read for ever */
#define CONFIG_OPTIONS_MAX 64      /* twice what the driver knows */

struct config {
    struct pfs_option *options; /* n, in the order of the text; owned like their strings */
    size_t n;
    /* Of these options the plugin itself uses: */
    unsigned workers, queue_depth;
    int64_t timeout_ns;
};

/*
 * Reads the host's JSON (NULL and "" are an empty object). Strings, numbers and booleans are
 * accepted and become text; mount_path is the host's own member and left out. Which keys exist and
 * which values they may have is the driver's to say. *ret: config_fini. Errors: CONFIG, NOMEM.
 */
PFS_MUST_CHECK enum pfs_class config_parse(const char *json, struct config *ret,
                                           struct pfs_error *err);
/* Frees what c owns and zeroes it. */
void config_fini(struct config *c);
/* Value of an option, NULL when not given. Borrowed. */
const char *config_get(const struct config *c, const char *key);
/* True when both have the same options with the same values. */
bool config_is_same(const struct config *a, const struct config *b);

#endif
