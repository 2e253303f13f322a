/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * The proxyfs driver: requests go to the remote as they are; what it adds are the control files,
 * the remote's URL in the metadata, and the words that stock tools know.
 */
#include "base/alloc.h"
#include "base/err.h"
#include "base/log.h"
#include "base/op.h"
#include "base/reply.h"
#include "fs/control.h"
#include "fs/op.h"
#include "fs/options.h"
#include <stdatomic.h>
#include <string.h>

struct proxyfs {
    struct pfs_driver base;
    struct pfs_client *client;
    char *url;          /* base_url, user and password masked */
    atomic_bool warned; /* that /reload hides a remote file */
};

static struct proxyfs *of_driver(struct pfs_driver *d)
{
    return container_of(d, struct proxyfs, base);
}

static bool is_control(const struct pfs_request *req)
{
    return (req->path && control_is(req->path)) ||
           (op_has_two_paths(req->op) && req->path2 && control_is(req->path2));
}

static bool needs_finish(const struct pfs_request *req)
{
    return req->op == PFS_OP_STAT || (req->op == PFS_OP_READDIR && strcmp(req->path, "/") == 0);
}

/* What the mount adds to the remote's answer. */
static void finish(struct proxyfs *p, enum pfs_op op, struct pfs_reply *reply)
{
    bool hid = false;

    if (reply->err.cls != PFS_OK) {
        return;
    }
    if (op == PFS_OP_STAT && !pfs_stat_add_meta(&reply->stat, "remote-url", p->url)) {
        pfs_nomem(&reply->err, "metadata");
    }
    if (op == PFS_OP_READDIR && !control_add_to_root(reply, &hid)) {
        pfs_nomem(&reply->err, "a listing");
    }
    if (hid && !atomic_exchange(&p->warned, true)) {
        log_warn(
            "%s has a file /reload of its own: it is reached as " CONTROL_REMOTE CONTROL_RELOAD,
            p->url);
    }
}

static struct pfs_request stripped(const struct pfs_request *req)
{
    struct pfs_request out = *req;

    out.path = control_strip(req->path);
    if (op_has_two_paths(req->op)) {
        out.path2 = control_strip(req->path2);
    }
    return out;
}

static void proxyfs_call(struct pfs_driver *d, const struct pfs_request *req,
                         struct pfs_reply *reply)
{
    struct proxyfs *p = of_driver(d);

    if (op_is_of_server(req->op)) { /* a mount is a file system, not a server */
        pfs_refuse(&reply->err, PFS_UNSUPPORTED, "%s: not supported by proxyfs",
                   pfs_op_name(req->op));
    } else if (is_control(req) && req->op == PFS_OP_COPY) { /* they are not the remote's */
        pfs_refuse(&reply->err, PFS_UNSUPPORTED, "copy: not supported on a control file");
    } else if (is_control(req) && req->op == PFS_OP_OPEN_READ && req->flags & PFS_READ_RANGE) {
        struct pfs_request whole = *req; /* it is different each time: no parts */

        whole.flags &= ~PFS_READ_RANGE;
        whole.offset = whole.size = -1;
        control_call(p->client, p->url, &whole, reply);
    } else if (is_control(req)) {
        control_call(p->client, p->url, req, reply);
    } else {
        struct pfs_request out = stripped(req);

        pfs_call(p->client, &out, reply);
        if (needs_finish(req)) {
            finish(p, req->op, reply);
        }
    }
}

/* A request whose answer gets something added. */
struct pending {
    struct proxyfs *p;
    enum pfs_op op;
    pfs_done_fn *done;
    void *arg;
};

static void on_done(void *arg, struct pfs_reply *reply)
{
    struct pending pending = *(struct pending *)arg;

    pfs_free(arg);
    finish(pending.p, pending.op, reply);
    pending.done(pending.arg, reply);
}

static bool proxyfs_submit(struct pfs_driver *d, const struct pfs_request *req, pfs_done_fn *done,
                           void *arg)
{
    struct proxyfs *p = of_driver(d);
    struct pfs_reply reply = {0};

    if (control_blocks(req)) {
        return false;
    }
    if (op_is_of_server(req->op) || is_control(req)) {
        proxyfs_call(d, req, &reply);
        done(arg, &reply);
        return true;
    }
    struct pfs_request out = stripped(req);
    if (!needs_finish(req)) {
        pfs_submit(p->client, &out, done, arg);
        return true;
    }
    struct pending *pending = pfs_malloc(sizeof *pending);
    if (!pending) {
        pfs_nomem(&reply.err, "a request");
        done(arg, &reply);
        return true;
    }
    *pending = (struct pending){p, req->op, done, arg};
    pfs_submit(p->client, &out, on_done, pending);
    return true;
}

static void proxyfs_cancel(struct pfs_driver *d, const void *ticket)
{
    pfs_cancel(of_driver(d)->client, ticket);
}

static void proxyfs_close(struct pfs_driver *d)
{
    struct proxyfs *p = of_driver(d);

    pfs_client_free(p->client);
    pfs_free(p->url);
    pfs_free(p);
}

static const struct pfs_driver_ops ops = {
    .name = "proxyfs",
    .ranges = true,
    .op =
        {
#define X(id, name, safety) [PFS_OP_##id] = proxyfs_call,
            PFS_OP_TABLE(X)
#undef X
        },
    .submit = proxyfs_submit,
    .cancel = proxyfs_cancel,
    .close = proxyfs_close,
};

static enum pfs_class open_client(struct proxyfs *p, const struct pfs_option *options, size_t n,
                                  bool lazy, struct pfs_error *err)
{
    enum pfs_class cls = pfs_client_new(options, n, &p->client, err);

    if (cls == PFS_OK && !lazy) {
        cls = pfs_health(p->client, err);
        if (cls != PFS_OK) {
            pfs_err_prefix(err, "failed to connect to remote AGFS server at %s", p->url);
            err->outcome = PFS_OUTCOME_NA;
        }
    }
    return cls;
}

enum pfs_class pfs_proxyfs_open(const struct pfs_option *options, size_t n, struct pfs_driver **ret,
                                struct pfs_error *err)
{
    struct options parsed;
    enum pfs_class cls = client_options_parse(options, n, &parsed, err);

    if (cls != PFS_OK) {
        return cls;
    }
    struct proxyfs *p = pfs_calloc(1, sizeof *p);
    if (p) {
        p->base.ops = &ops;
        p->url = pfs_strdup(parsed.masked_url);
    }
    cls = p && p->url ? open_client(p, options, n, parsed.lazy, err) : pfs_nomem(err, "a mount");
    client_options_fini(&parsed);
    if (cls != PFS_OK) {
        if (p) {
            proxyfs_close(&p->base);
        }
        return cls;
    }
    *ret = &p->base;
    return PFS_OK;
}
