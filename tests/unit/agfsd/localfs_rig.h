/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef LOCALFS_RIG_H
#define LOCALFS_RIG_H

/* A localfs of a new directory, which tests change from outside as well. */
#include "driver_rig.h"
#include <stdlib.h>
#include <sys/stat.h>

static struct pfs_driver *d;
static char top[64], base[80]; /* base is where localfs is, top what must not be reached */

static inline void open_localfs(void)
{
    char option[120];
    const char *const options[] = {option, NULL};

    snprintf(top, sizeof top, "/tmp/localfs_test.XXXXXX");
    cr_assert_not_null(mkdtemp(top));
    snprintf(base, sizeof base, "%s/base", top);
    cr_assert_eq(mkdir(base, 0755), 0);
    snprintf(option, sizeof option, "local_dir=%s", base);
    d = rig_open(localfs_open, options);
}

static inline void close_localfs(void)
{
    char command[100];

    d->ops->close(d);
    snprintf(command, sizeof command, "rm -rf %s", top);
    cr_assert_eq(system(command), 0);
}

/* A path of the host, relative to top. */
static inline const char *host(const char *name)
{
    static char path[200];

    snprintf(path, sizeof path, "%s/%s", top, name);
    return path;
}

static inline void host_put(const char *name, const char *text)
{
    FILE *f = fopen(host(name), "w");

    cr_assert_not_null(f);
    fputs(text, f);
    fclose(f);
}

static inline const char *host_cat(const char *name)
{
    static char text[100];
    FILE *f = fopen(host(name), "r");

    cr_assert_not_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    return text;
}

static inline enum pfs_class write_at(const char *path, const char *text, int64_t offset,
                                      uint32_t flags)
{
    struct pfs_request req = {.op = PFS_OP_WRITE,
                              .path = path,
                              .data = text,
                              .len = strlen(text),
                              .offset = offset,
                              .size = -1,
                              .flags = flags};
    struct pfs_reply r = rig_run(d, req);

    return r.err.cls;
}

#endif
