/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Operations that a driver lacks, made of those it has. They run on a worker of its mount. */
#include "base/err.h"
#include "content.h"
#include "grep.h"
#include "net/md5.h"
#include "vfs_internal.h"
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

/* ---- touch: agfs-http-api.md 4.12 ---- */

static void run_part(struct vcall *c, enum pfs_op op, struct pfs_request *req,
                     struct pfs_reply *reply)
{
    pfs_op_fn *fn = c->mount->driver->ops->op[op];

    req->op = op;
    if (fn) {
        fn(c->mount->driver, req, reply);
    } else {
        pfs_refuse(&reply->err, PFS_UNSUPPORTED, "touch: %s: operation not supported", c->full);
    }
}

void vfs_local_touch(struct vcall *c)
{
    struct pfs_request req = c->req;
    struct pfs_reply st = {0}, old = {0}, done = {0};

    req.offset = req.size = -1;
    run_part(c, PFS_OP_STAT, &req, &st);
    if (st.err.cls == PFS_NOTFOUND) {
        req.flags = PFS_WRITE_CREATE;
        run_part(c, PFS_OP_WRITE, &req, &done);
        c->reply.err = done.err;
    } else if (st.err.cls != PFS_OK) {
        c->reply.err = st.err;
    } else if (st.stat.is_dir) {
        pfs_refuse(&c->reply.err, PFS_BADARG, "cannot touch %s: is a directory", c->full);
    } else {
        /* As the stock server: writing the content back is the only way to a new time. */
        run_part(c, PFS_OP_READ, &req, &old);
        if (old.err.cls == PFS_OK) {
            req.flags = 0;
            req.data = old.data;
            req.len = old.len;
            run_part(c, PFS_OP_WRITE, &req, &done);
        }
        c->reply.err = old.err.cls != PFS_OK ? old.err : done.err;
    }
    pfs_reply_fini(&st);
    pfs_reply_fini(&old);
    pfs_reply_fini(&done);
}

/* ---- digest: 4.13 ---- */

static bool feed_xxh3(void *arg, const char *data, size_t n)
{
    return XXH3_128bits_update(arg, data, n) == XXH_OK;
}

static bool feed_md5(void *arg, const char *data, size_t n)
{
    return md5_update(arg, data, n);
}

/* The low half of XXH3-128, which is not XXH3-64. */
static enum pfs_class digest_xxh3(struct vcall *c, const struct pfs_request *req, char hex[33])
{
    XXH3_state_t *state = XXH3_createState();
    enum pfs_class cls;

    if (!state) {
        return pfs_nomem(&c->reply.err, "a digest");
    }
    XXH3_128bits_reset(state);
    cls = content_read(c->vfs, req, feed_xxh3, state, &c->reply.err);
    snprintf(hex, 33, "%016llx", (unsigned long long)XXH3_128bits_digest(state).low64);
    XXH3_freeState(state);
    return cls;
}

static enum pfs_class digest_md5(struct vcall *c, const struct pfs_request *req, char hex[33])
{
    struct md5 *state = md5_new();
    enum pfs_class cls;

    if (!state) {
        return pfs_nomem(&c->reply.err, "a digest");
    }
    cls = content_read(c->vfs, req, feed_md5, state, &c->reply.err);
    if (!md5_final(state, hex) && cls == PFS_OK) {
        cls = pfs_refuse(&c->reply.err, PFS_UNSUPPORTED, "md5 is not supported by this host");
    }
    return cls;
}

void vfs_local_digest(struct vcall *c)
{
    struct pfs_request req = c->req;
    char hex[33];
    enum pfs_class cls;

    req.path = c->full;
    cls = strcmp(c->req.text, "md5") == 0 ? digest_md5(c, &req, hex) : digest_xxh3(c, &req, hex);
    if (cls == PFS_OK) {
        c->reply.text = strdup(hex);
        if (!c->reply.text) {
            pfs_nomem(&c->reply.err, "a digest");
        }
    }
}

/* ---- grep: 4.14 ---- */

void vfs_local_grep(struct vcall *c)
{
    struct pfs_request req = c->req;
    struct grep *g;

    req.path = c->asked;
    if (grep_new(c->vfs, &req, &g, &c->reply.err) == PFS_OK) {
        while (grep_next(g, &c->reply)) {
            /* until nothing is left */
        }
        grep_free(g);
    }
}
