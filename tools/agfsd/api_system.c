/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* What the server says about itself: agfs-http-api.md 4.17. */
#include "api.h"
#include "jsonout.h"
#include <proxyfs/proxyfs.h>

void api_capabilities(struct api_call *c)
{
    static const char *const features[] = {
        "handlefs",        "grep",         "digest",      "stream", "touch", "offset", "flags",
        "handle-truncate", "handle-renew", "atomic-body", "copy",   "ranges"};
    struct jout j = {0};

    jo_begin(&j, '{');
    jo_member(&j, "version", PFS_VERSION);
    jo_key(&j, "features");
    jo_begin(&j, '[');
    for (size_t i = 0; i < sizeof features / sizeof *features; i++) {
        jo_str(&j, features[i]);
    }
    if (c->api->dedupe) {
        jo_str(&j, "dedupe");
    }
    jo_end(&j, ']');
    jo_end(&j, '}');
    api_respond_json(c, 200, &j);
}

struct figures {
    int64_t total, pending, mounted, failed;
};

/* As the stock server: the configuration's mounts and the built-in one. */
static void count(void *arg, const struct mount_info *m)
{
    struct figures *f = arg;

    if (m->instance || m->builtin) {
        f->total++;
        f->pending += m->state == MOUNT_PENDING;
        f->failed += m->state == MOUNT_FAILED;
        f->mounted += m->state == MOUNT_MOUNTED || m->state == MOUNT_UNMOUNTING;
    }
}

static bool put_health(struct api_call *c, struct jout *j)
{
    struct figures f = {0};

    vfs_each_mount(c->api->vfs, count, &f);
    bool ready = f.failed == 0 && f.pending == 0;

    jo_begin(j, '{');
    jo_member(j, "status", f.failed ? "degraded" : f.pending ? "starting" : "healthy");
    jo_member(j, "version", PFS_VERSION);
    jo_member(j, "gitCommit", "unknown");
    jo_member(j, "buildTime", "unknown");
    jo_key(j, "ready");
    jo_bool(j, ready);
    jo_key(j, "degraded");
    jo_bool(j, f.failed > 0);
    jo_key(j, "mounts");
    jo_begin(j, '{');
    jo_key(j, "total");
    jo_int(j, f.total);
    jo_key(j, "pending");
    jo_int(j, f.pending);
    jo_key(j, "mounted");
    jo_int(j, f.mounted);
    jo_key(j, "failed");
    jo_int(j, f.failed);
    jo_end(j, '}');
    jo_end(j, '}');
    return ready;
}

void api_health(struct api_call *c)
{
    struct jout j = {0};

    put_health(c, &j);
    api_respond_json(c, 200, &j);
}

void api_ready(struct api_call *c)
{
    struct jout j = {0};
    bool ready = put_health(c, &j);

    api_respond_json(c, ready ? 200 : 503, &j);
}

void api_version(struct api_call *c)
{
    struct jout j = {0};

    jo_begin(&j, '{');
    jo_member(&j, "buildTime", "unknown");
    jo_member(&j, "gitCommit", "unknown");
    jo_member(&j, "version", PFS_VERSION);
    jo_end(&j, '}');
    api_respond_json(c, 200, &j);
}

void api_banner(struct api_call *c)
{
    struct jout j = {0};

    jo_begin(&j, '{');
    jo_member(&j, "service", "AGFS Server");
    jo_member(&j, "status", "running");
    jo_member(&j, "version", PFS_VERSION);
    jo_end(&j, '}');
    api_respond_json(c, 200, &j);
}
