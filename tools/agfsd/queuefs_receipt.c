/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* A message on its way to whoever took it: put back when it surely reached nobody. */
#include "base/alloc.h"
#include "base/log.h"
#include "queuefs.h"
#include <string.h>

struct message_receipt {
    struct pfs_receipt base;
    struct queuefs *q;
    struct queue_message m; /* data owned */
    char name[];
};

static void receipt_end(struct pfs_receipt *base, bool lost)
{
    struct message_receipt *r = container_of(base, struct message_receipt, base);
    struct queue_backend *b = r->q->backend;
    struct pfs_error err;

    if (lost && b->ops->put_back(b, r->name, &r->m, &err) != PFS_OK) {
        log_error("queue %s: message %s is lost: %s", r->name, r->m.id, err.text);
    }
    pfs_free(r->m.data);
    pfs_free(r);
}

struct pfs_receipt *queuefs_receipt(struct queuefs *q, const char *name,
                                    const struct queue_message *m)
{
    size_t n = strlen(name) + 1;
    struct message_receipt *r = pfs_malloc(sizeof *r + n);

    if (!r) {
        pfs_free(m->data);
        return NULL;
    }
    *r = (struct message_receipt){.base = {receipt_end}, .q = q, .m = *m};
    memcpy(r->name, name, n);
    return &r->base;
}
