/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "identity.h"
#include "base/alloc.h"
#include "base/list.h"
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct identity {
    unsigned holders;
    char name[];
};

static struct identity *of(const char *id)
{
    return container_of((uintptr_t)id, struct identity, name);
}

const char *identity_new(const char *name)
{
    size_t n = strlen(name) + 1;
    struct identity *i = pfs_malloc(sizeof *i + n);

    if (!i) {
        return NULL;
    }
    i->holders = 1;
    return memcpy(i->name, name, n);
}

const char *identity_share(const char *id)
{
    if (id) {
        of(id)->holders++;
    }
    return id;
}

void identity_drop(const char *id)
{
    if (id && --of(id)->holders == 0) {
        pfs_free(of(id));
    }
}
