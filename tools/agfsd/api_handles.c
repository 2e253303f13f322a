/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* File handles: agfs-http-api.md 6, with renew, truncate, replace, commit and real leases. */
#include "api.h"
#include "jsonout.h"
#include "query.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- answers ---- */

static void put_info(struct jout *j, const struct pfs_handle_info *h, bool times)
{
    jo_begin(j, '{');
    jo_key(j, "handle_id");
    jo_int(j, (int64_t)h->id);
    jo_key(j, "id"); /* what the Go SDK looks for */
    jo_int(j, (int64_t)h->id);
    jo_member(j, "path", h->path);
    jo_key(j, "flags");
    jo_int(j, h->flags);
    jo_key(j, "lease");
    jo_int(j, h->lease_s);
    jo_key(j, "expires_at");
    jo_time(j, h->expires_ns);
    if (times) {
        jo_key(j, "created_at");
        jo_time(j, h->created_ns);
        jo_key(j, "last_access");
        jo_time(j, h->access_ns);
    }
    jo_end(j, '}');
}

static void answer_open(struct api_call *c, struct pfs_reply *reply)
{
    struct jout j = {0};

    put_info(&j, &reply->handle, false);
    api_respond_json(c, 200, &j);
}

static void answer_info(struct api_call *c, struct pfs_reply *reply)
{
    struct jout j = {0};

    put_info(&j, &reply->handle, true);
    api_respond_json(c, 200, &j);
}

static void answer_read(struct api_call *c, struct pfs_reply *reply)
{
    char *data = reply->data;

    reply->data = NULL;
    api_respond_data(c, data, reply->len);
}

static void answer_write(struct api_call *c, struct pfs_reply *reply)
{
    struct jout j = {0};

    jo_begin(&j, '{');
    jo_key(&j, "bytes_written");
    jo_int(&j, reply->count);
    jo_key(&j, "position"); /* as the stock server, always */
    jo_int(&j, 0);
    jo_end(&j, '}');
    api_respond_json(c, 200, &j);
}

static void answer_seek(struct api_call *c, struct pfs_reply *reply)
{
    struct jout j = {0};

    jo_begin(&j, '{');
    jo_key(&j, "position");
    jo_int(&j, reply->count);
    jo_key(&j, "offset"); /* what the Go SDK looks for */
    jo_int(&j, reply->count);
    jo_end(&j, '}');
    api_respond_json(c, 200, &j);
}

static void answer_stream(struct api_call *c, struct pfs_reply *reply)
{
    struct pfs_stream *s = reply->stream;

    reply->stream = NULL;
    api_respond_stream(c, "application/octet-stream", s);
}

/* ---- requests ---- */

static void handle_open(struct api_call *c)
{
    int64_t flags = 0, mode = 0644, lease = 0;

    if (!api_need_path(c, NULL) ||
        !api_query_int(c, "flags", 10, &flags, "invalid flags parameter: must be a number") ||
        !api_query_int(c, "mode", 8, &mode, "invalid mode parameter") ||
        !api_query_int(c, "lease", 10, &lease, "invalid lease parameter")) {
        return;
    }
    if (flags < INT32_MIN || flags > INT32_MAX || mode < 0 || mode > UINT32_MAX) {
        api_refuse(c, PFS_BADARG,
                   mode < 0 || mode > UINT32_MAX ? "invalid mode parameter"
                                                 : "invalid flags parameter: must be a number");
        return;
    }
    c->req.flags = (uint32_t)flags;
    c->req.mode = (uint32_t)mode;
    c->req.size = lease > 0 ? lease : -1;
    api_submit(c, PFS_OP_HANDLE_OPEN, answer_open);
}

static void handle_replace(struct api_call *c)
{
    int64_t lease = 0;

    if (!api_need_path(c, NULL) || !api_take_write(c) ||
        !api_query_int(c, "lease", 10, &lease, "invalid lease parameter")) {
        return;
    }
    if (c->req.offset != -1 || c->req.flags & PFS_WRITE_APPEND) {
        api_refuse(c, PFS_BADARG, "the whole content is replaced: no offset, no append");
        return;
    }
    c->req.size = lease > 0 ? lease : -1;
    api_submit(c, PFS_OP_HANDLE_REPLACE, answer_open);
}

static void handle_info(struct api_call *c)
{
    api_submit(c, PFS_OP_HANDLE_INFO, answer_info);
}

static void handle_close(struct api_call *c)
{
    api_submit_message(c, PFS_OP_HANDLE_CLOSE, 200, "handle closed");
}

/* Reads `offset`; -1 stays when absent. False: the call has ended. */
static bool read_offset(struct api_call *c)
{
    if (!api_query_int(c, "offset", 10, &c->req.offset, "invalid offset parameter")) {
        return false;
    }
    if (c->req.offset < 0 && c->req.offset != -1) {
        api_refuse(c, PFS_BADARG, "invalid offset parameter: negative");
        return false;
    }
    return true;
}

static void handle_read(struct api_call *c)
{
    int64_t size = 4096;

    if (!read_offset(c) || !api_query_int(c, "size", 10, &size, "invalid size parameter")) {
        return;
    }
    if (c->req.offset == -1 && query_is(http_query(c->http), "offset", "-1")) {
        api_refuse(c, PFS_BADARG, "invalid offset parameter: negative");
        return;
    }
    size = size < 0 ? 1 << 20 : size;
    c->req.size = size < HANDLE_READ_MAX ? size : HANDLE_READ_MAX;
    api_submit(c, PFS_OP_HANDLE_READ, answer_read);
}

static void write_collected(struct api_call *c)
{
    c->req.data = c->body;
    c->req.len = c->body_len;
    api_submit(c, PFS_OP_HANDLE_WRITE, answer_write);
}

static void handle_write(struct api_call *c)
{
    if (read_offset(c)) {
        api_with_body(c, write_collected);
    }
}

static void handle_seek(struct api_call *c)
{
    int64_t whence = 0;

    c->req.offset = 0;
    switch (query_int(http_query(c->http), "offset", 10, &c->req.offset)) {
    case QUERY_ABSENT:
        api_refuse(c, PFS_BADARG, "offset parameter is required");
        return;
    case QUERY_BAD:
        api_refuse(c, PFS_BADARG, "invalid offset parameter");
        return;
    case QUERY_OK:
        break;
    }
    if (query_int(http_query(c->http), "whence", 10, &whence) == QUERY_BAD || whence < 0 ||
        whence > 2) {
        api_refuse(c, PFS_BADARG, "invalid whence parameter (must be 0, 1, or 2)");
        return;
    }
    c->req.whence = (int)whence;
    api_submit(c, PFS_OP_HANDLE_SEEK, answer_seek);
}

static void handle_sync(struct api_call *c)
{
    api_submit_message(c, PFS_OP_HANDLE_SYNC, 200, "synced");
}

static void handle_stat(struct api_call *c)
{
    api_submit(c, PFS_OP_HANDLE_STAT, api_answer_stat);
}

static void handle_stream(struct api_call *c)
{
    api_submit(c, PFS_OP_HANDLE_STREAM, answer_stream);
}

static void handle_renew(struct api_call *c)
{
    int64_t lease = LEASE_DEFAULT_S;

    if (!api_query_int(c, "lease", 10, &lease, "invalid lease parameter")) {
        return;
    }
    if (lease <= 0) {
        api_refuse(c, PFS_BADARG, "invalid lease parameter: must be positive");
        return;
    }
    c->req.size = lease;
    api_submit(c, PFS_OP_HANDLE_RENEW, answer_info);
}

/* Reads `size`. False: the call has ended. */
static bool need_size(struct api_call *c)
{
    c->req.size = -1;
    if (!api_query_int(c, "size", 10, &c->req.size, "invalid size parameter")) {
        return false;
    }
    if (c->req.size < 0) {
        api_refuse(c, PFS_BADARG, "size must be non-negative");
        return false;
    }
    return true;
}

static void handle_truncate(struct api_call *c)
{
    if (need_size(c)) {
        api_submit_message(c, PFS_OP_HANDLE_TRUNCATE, 200, "truncated");
    }
}

static void handle_commit(struct api_call *c)
{
    if (need_size(c)) {
        api_submit(c, PFS_OP_HANDLE_COMMIT, api_answer_written);
    }
}

static const struct sub_route {
    const char *name;
    enum http_method method;
    api_handler_fn *fn;
} sub_routes[] = {
    {"", HTTP_GET, handle_info},          {"", HTTP_DELETE, handle_close},
    {"read", HTTP_GET, handle_read},      {"write", HTTP_PUT, handle_write},
    {"seek", HTTP_POST, handle_seek},     {"sync", HTTP_POST, handle_sync},
    {"stat", HTTP_GET, handle_stat},      {"stream", HTTP_GET, handle_stream},
    {"renew", HTTP_POST, handle_renew},   {"truncate", HTTP_POST, handle_truncate},
    {"commit", HTTP_POST, handle_commit},
};

/* Serves /handles/{id}[/name]. */
static void serve_one(struct api_call *c, const char *name)
{
    bool known = false;

    for (size_t i = 0; i < sizeof sub_routes / sizeof *sub_routes; i++) {
        if (strcmp(sub_routes[i].name, name) != 0) {
            continue;
        }
        known = true;
        if (sub_routes[i].method == http_method(c->http)) {
            sub_routes[i].fn(c);
            return;
        }
    }
    if (known) {
        api_refuse_status(c, 405, PFS_UNSUPPORTED, "method not allowed");
    } else {
        char text[128];

        snprintf(text, sizeof text, "unknown operation: %.64s", name);
        api_refuse_status(c, 404, PFS_UNSUPPORTED, text);
    }
}

/* ---- all handles ---- */

struct listing {
    struct jout j;
    int64_t n;
};

static void list_one(void *arg, const struct pfs_handle_info *h)
{
    struct listing *l = arg;

    put_info(&l->j, h, true);
    l->n++;
}

static void list_handles(struct api_call *c)
{
    struct listing l = {0};

    jo_begin(&l.j, '{');
    jo_key(&l.j, "handles");
    jo_begin(&l.j, '[');
    vfs_each_handle(c->api->vfs, list_one, &l);
    jo_end(&l.j, ']');
    jo_key(&l.j, "count");
    jo_int(&l.j, l.n);
    jo_key(&l.j, "max");
    jo_int(&l.j, HANDLES_MAX);
    jo_end(&l.j, '}');
    api_respond_json(c, 200, &l.j);
}

static void serve_post(struct api_call *c, api_handler_fn *fn)
{
    if (http_method(c->http) == HTTP_POST) {
        fn(c);
    } else {
        api_refuse_status(c, 405, PFS_UNSUPPORTED, "method not allowed");
    }
}

void api_handles(struct api_call *c)
{
    const char *id = c->rest + (*c->rest == '/');
    size_t n = strcspn(id, "/");
    int64_t handle = 0;

    if (*id == '\0') {
        if (http_method(c->http) == HTTP_GET) {
            list_handles(c);
        } else {
            api_refuse(c, PFS_BADARG, "handle ID required");
        }
    } else if (strcmp(id, "open") == 0) {
        serve_post(c, handle_open);
    } else if (strcmp(id, "replace") == 0) {
        serve_post(c, handle_replace);
    } else if (!query_parse_int(id, n, 10, &handle)) {
        api_refuse(c, PFS_BADARG, "invalid handle ID: must be a number");
    } else {
        c->req.handle = (uint64_t)handle;
        serve_one(c, id + n + (id[n] == '/'));
    }
}
