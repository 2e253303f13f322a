/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* A configuration file of agfsd. One that is taken prints itself, and that is taken too. */
#include "base/alloc.h"
#include "config.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static enum pfs_class read_text(struct config *c, const void *text, size_t n, struct pfs_error *err)
{
    char name[64];
    int fd = memfd_create("config", MFD_CLOEXEC);

    if (fd < 0 || write(fd, text, n) != (ssize_t)n) {
        abort();
    }
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    config_init(c);
    enum pfs_class cls = config_read(c, name, err);

    close(fd);
    return cls;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct config c, again;
    struct pfs_error err;

    if (n > 16384) {
        return 0;
    }
    if (read_text(&c, data, n, &err) == PFS_OK && config_check(&c, &err) == PFS_OK) {
        char *text = config_to_text(&c);

        if (!text || read_text(&again, text, strlen(text), &err) != PFS_OK ||
            again.n_mounts != c.n_mounts ||
            memcmp(&again.limits, &c.limits, sizeof c.limits) != 0) {
            abort();
        }
        pfs_free(text);
        config_fini(&again);
    }
    config_fini(&c);
    return 0;
}
