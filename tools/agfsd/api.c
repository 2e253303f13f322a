/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* The router of the API: which handler serves which method and path (agfs-http-api.md 4). */
#include "api.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/path.h"
#include "query.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define PREFIX "/api/v1"
#define ROUTE_METHODS 4 /* GET PUT POST DELETE, in the order of enum http_method */

struct route {
    const char *path; /* below PREFIX */
    api_handler_fn *by_method[ROUTE_METHODS];
};

static const struct route routes[] = {
    {"/files", {api_files_get, api_files_put, api_files_post, api_files_delete}},
    {"/stat", {api_stat, NULL, NULL, NULL}},
    {"/directories", {api_dirs_get, NULL, api_dirs_post, api_files_delete}},
    {"/list", {api_dirs_get, NULL, NULL, NULL}},
    {"/mkdir", {NULL, NULL, api_dirs_post, NULL}},
    {"/write", {NULL, NULL, api_write, NULL}},
    {"/rename", {NULL, NULL, api_rename, NULL}},
    {"/copy", {NULL, NULL, api_copy, NULL}},
    {"/chmod", {NULL, NULL, api_chmod, NULL}},
    {"/truncate", {NULL, NULL, api_truncate, NULL}},
    {"/touch", {NULL, NULL, api_touch, NULL}},
    {"/symlink", {NULL, NULL, api_symlink, NULL}},
    {"/readlink", {api_readlink, NULL, NULL, NULL}},
    {"/digest", {NULL, NULL, api_digest, NULL}},
    {"/grep", {NULL, NULL, api_grep, NULL}},
    {"/capabilities", {api_capabilities, NULL, NULL, NULL}},
    {"/health", {api_health, api_health, api_health, api_health}},
    {"/ready", {api_ready, NULL, NULL, NULL}},
    {"/version", {api_version, NULL, NULL, NULL}},
    {"/limits", {api_limits, NULL, NULL, NULL}},
    {"/mounts", {api_mounts, NULL, NULL, NULL}},
    {"/mount", {NULL, NULL, api_mount, NULL}},
    {"/unmount", {NULL, NULL, api_unmount, NULL}},
    {"/plugins", {api_plugins, NULL, NULL, NULL}},
    {"/plugins/load", {NULL, NULL, api_plugin_load, NULL}},
    {"/plugins/unload", {NULL, NULL, api_plugin_unload, NULL}},
};

/* The server's one API: requests of all loops come in through api_on_request, which has no
 * argument for it. Set once before the first request. */
static struct api *the_api;

void api_start(struct api *a)
{
    unsigned char raw[16];

    if (getrandom(raw, sizeof raw, 0) != (ssize_t)sizeof raw) {
        struct timespec now; /* unique is enough: it is no secret */

        clock_gettime(CLOCK_REALTIME, &now);
        memset(raw, 0, sizeof raw);
        memcpy(raw, &now, sizeof raw < sizeof now ? sizeof raw : sizeof now);
    }
    for (size_t i = 0; i < sizeof raw; i++) {
        snprintf(a->boot + 2 * i, 3, "%02x", raw[i]);
    }
    snprintf(a->boot + 32, sizeof a->boot - 32,
             "; features=offset,flags,atomic-body,ranges,parts%s", a->dedupe ? ",dedupe" : "");
    snprintf(a->boot_plain, sizeof a->boot_plain, "%s; plain", a->boot);
    the_api = a;
}

static const struct route *find_route(const char *path)
{
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        if (strcmp(routes[i].path, path) == 0) {
            return &routes[i];
        }
    }
    return NULL;
}

/* Hops of servers passed so far, from the header; an unreadable one counts as a ring. */
static unsigned read_hops(const struct http_req *r)
{
    const char *s = http_field(r, "agfs-hops");
    int64_t n = 0;

    if (!s) {
        return 0;
    }
    return query_parse_int(s, strlen(s), 10, &n) && n >= 0 && n <= HOPS_MAX ? (unsigned)n
                                                                            : HOPS_MAX + 1;
}

/* A request id is 32 hex digits; anything else is as good as none. */
static const char *read_req_id(const struct http_req *r)
{
    const char *s = http_field(r, "x-req-id");

    return s && strlen(s) == 32 && strspn(s, "0123456789abcdef") == 32 ? s : NULL;
}

static void serve(struct api_call *c, const char *path)
{
    enum http_method method = http_method(c->http);
    const struct route *r = find_route(path);

    if (r && (unsigned)method < ROUTE_METHODS && r->by_method[method]) {
        r->by_method[method](c);
    } else if (r && strcmp(path, "/health") == 0) {
        api_health(c);
    } else if (r) {
        api_refuse_status(c, 405, PFS_UNSUPPORTED, "method not allowed");
    } else if (strncmp(path, "/handles", 8) == 0 && (path[8] == '/' || path[8] == '\0')) {
        c->rest = path + 8;
        api_handles(c);
    } else {
        api_refuse_status(c, 404, PFS_UNSUPPORTED, "404 page not found");
    }
}

/* Neither "//" nor "/." in it; a loop, for each request passes here and is a few bytes long. */
static bool is_clean(const char *path)
{
    for (; *path; path++) {
        if (path[0] == '/' && (path[1] == '/' || path[1] == '.')) {
            return false;
        }
    }
    return true;
}

/* A path with "//", "/./" or "/../" means the one without; the stock server redirects there. */
static const char *clean_path(struct api_call *c, const char *path)
{
    if (is_clean(path)) {
        return path;
    }
    size_t n = strlen(path);

    c->clean = path[n - 1] == '/' ? NULL : pfs_malloc(PFS_PATH_MAX + 1);
    return c->clean && pfs_path_normalize(path, n, c->clean, NULL) == PFS_OK ? c->clean : path;
}

void api_on_cut(void)
{
    vfs_stop(the_api->vfs);
}

void api_on_request(struct http_req *r)
{
    struct api_call *c = http_alloc(http_loop(r), sizeof *c);
    const char *path = http_path(r);

    if (!c) {
        http_respond(r, 503, NULL, NULL, 0, NULL, 0);
        return;
    }
    memset(c, 0, sizeof *c);
    c->http = r;
    c->api = the_api;
    c->since_ns = pfs_now();
    c->req = (struct pfs_request)PFS_REQUEST_INIT;
    c->req.hops = read_hops(r);
    c->req.req_id = read_req_id(r);
    c->req.client = http_client(r);
    if (c->req.hops > HOPS_MAX) {
        api_refuse_status(c, 508, PFS_INVALID,
                          "loop detected: the request passed through too many servers; do mounts "
                          "lead back to where they came from?");
        return;
    }
    c->req.hops++;
    path = clean_path(c, path);
    if (strcmp(path, "/") == 0) {
        api_banner(c);
    } else if (strcmp(path, "/metrics") == 0 && http_method(r) == HTTP_GET) {
        api_metrics(c);
    } else if (strncmp(path, PREFIX "/", sizeof PREFIX) == 0) {
        serve(c, path + sizeof PREFIX - 1);
    } else {
        api_refuse_status(c, 404, PFS_UNSUPPORTED, "404 page not found");
    }
}
