/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "fs/control.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/path.h"
#include "base/reply.h"
#include "fs/memory_stream.h"
#include "wire/json_out.h"
#include <string.h>

static const struct control_row {
    const char *path, *name, *type, *description;
    uint32_t mode;
    bool is_dir;
} rows[] = {
    {CONTROL_RELOAD, "reload", "control", "Write to this file to reload proxy connection", 0200,
     false},
    {CONTROL_DIR, ".proxyfs", "control", "Control files of this ProxyFS mount", 0555, true},
    {CONTROL_STATUS, "status", "status", "State of the connections to the remote", 0444, false},
};
#define N_ROWS (sizeof rows / sizeof rows[0])

static const struct control_row *find_row(const char *path)
{
    for (size_t i = 0; i < N_ROWS; i++) {
        if (strcmp(rows[i].path, path) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

bool control_is(const char *path)
{
    const char *rest;

    return find_row(path) || (pfs_path_below(path, CONTROL_DIR, &rest) &&
                              !pfs_path_below(path, CONTROL_REMOTE, &rest));
}

const char *control_strip(const char *path)
{
    const char *rest;

    return path && pfs_path_below(path, CONTROL_REMOTE, &rest) ? rest : path;
}

bool control_blocks(const struct pfs_request *req)
{
    return req->op == PFS_OP_WRITE && req->path && strcmp(req->path, CONTROL_RELOAD) == 0;
}

static bool fill_stat(struct pfs_stat *st, const struct control_row *row)
{
    *st = (struct pfs_stat){.mode = row->mode, .is_dir = row->is_dir, .mtime_ns = pfs_wall_now()};
    if (!pfs_stat_fill(st, row->name, "proxyfs", row->type) ||
        !pfs_stat_add_meta(st, "description", row->description)) {
        pfs_stat_fini(st);
        return false;
    }
    return true;
}

static void do_stat(const struct control_row *row, struct pfs_reply *reply)
{
    if (!fill_stat(&reply->stat, row)) {
        pfs_nomem(&reply->err, "a control file");
    }
}

static void list_dir(struct pfs_reply *reply)
{
    reply->list = pfs_calloc(1, sizeof *reply->list);
    if (!reply->list || !fill_stat(&reply->list[0], find_row(CONTROL_STATUS))) {
        pfs_nomem(&reply->err, "a listing");
        return;
    }
    reply->n_list = 1;
}

static bool format_status(struct pfs_client *c, const char *url, struct pfs_buf *b)
{
    struct pfs_stats s;

    pfs_client_stats(c, &s);
    return pfs_buf_add_str(b, "{\"remote-url\":") && json_out_str(b, url) &&
           pfs_buf_printf(
               b,
               ",\"generation\":%u,\"connections\":%u,\"streams\":%u,\"connects\":%llu,\"reloads\":"
               "%llu,\"calls\":"
               "%llu,"
               "\"attempts\":%llu,\"errors\":%llu,\"bytes_in\":%llu,\"bytes_out\":%llu}\n",
               s.generation, s.connections, s.streams, (unsigned long long)s.connects,
               (unsigned long long)s.reloads, (unsigned long long)s.calls,
               (unsigned long long)s.attempts, (unsigned long long)s.errors,
               (unsigned long long)s.bytes_in, (unsigned long long)s.bytes_out);
}

static void read_status(struct pfs_client *c, const char *url, const struct pfs_request *req,
                        struct pfs_reply *reply)
{
    struct pfs_buf b = {0};

    if (!format_status(c, url, &b)) {
        pfs_buf_fini(&b);
        pfs_nomem(&reply->err, "the status");
        return;
    }
    size_t len = pfs_buf_len(&b);

    pfs_reply_take_range(reply, pfs_buf_take(&b, NULL), len, req);
    pfs_buf_fini(&b);
}

static void open_status(struct pfs_client *c, const char *url, const struct pfs_request *req,
                        struct pfs_reply *reply)
{
    read_status(c, url, req, reply);
    if (reply->err.cls == PFS_OK) {
        reply->stream = memory_stream_new(reply->data, reply->len);
        reply->data = NULL;
        reply->len = 0;
        if (!reply->stream) {
            pfs_nomem(&reply->err, "the status");
        }
    }
}

static void reload(struct pfs_client *c, const struct pfs_request *req, struct pfs_reply *reply)
{
    if (pfs_reload(c, &reply->err) == PFS_OK) {
        reply->count = (int64_t)req->len;
        reply->text = pfs_strdup("ProxyFS reloaded successfully");
    }
}

void control_call(struct pfs_client *c, const char *url, const struct pfs_request *req,
                  struct pfs_reply *reply)
{
    const struct control_row *row = find_row(req->path);
    bool is_reload = strcmp(req->path, CONTROL_RELOAD) == 0;

    if (!row) {
        pfs_refuse(&reply->err, PFS_NOTFOUND, "no such file or directory: %s", req->path);
    } else if (req->op == PFS_OP_STAT) {
        do_stat(row, reply);
    } else if (req->op == PFS_OP_READDIR && row->is_dir) {
        list_dir(reply);
    } else if (req->op == PFS_OP_READDIR) {
        pfs_refuse(&reply->err, PFS_BADARG, "not a directory: %s", req->path);
    } else if (row->is_dir) {
        pfs_refuse(&reply->err, PFS_BADARG, "is a directory: %s", req->path);
    } else if (is_reload && req->op == PFS_OP_WRITE) {
        reload(c, req, reply);
    } else if (is_reload && req->op == PFS_OP_TRUNCATE) {
        reply->count = 0; /* shells truncate before they write */
    } else if (is_reload && (req->op == PFS_OP_READ || req->op == PFS_OP_OPEN_READ)) {
        pfs_refuse(&reply->err, PFS_DENIED, "permission denied: %s is write-only", req->path);
    } else if (req->op == PFS_OP_READ) {
        read_status(c, url, req, reply);
    } else if (req->op == PFS_OP_OPEN_READ) {
        open_status(c, url, req, reply);
    } else if (req->op == PFS_OP_CREATE || req->op == PFS_OP_MKDIR || req->op == PFS_OP_SYMLINK) {
        pfs_refuse(&reply->err, PFS_EXISTS, "file already exists: %s (control file of the mount)",
                   req->path);
    } else if (req->op == PFS_OP_OPEN_WRITE || req->op == PFS_OP_HANDLE_OPEN ||
               req->op == PFS_OP_HANDLE_REPLACE) {
        pfs_refuse(&reply->err, PFS_UNSUPPORTED, "not supported on a control file: %s", req->path);
    } else {
        pfs_refuse(&reply->err, PFS_DENIED, "permission denied: %s is a control file of the mount",
                   req->path);
    }
}

bool control_add_to_root(struct pfs_reply *reply, bool *ret_hid)
{
    const struct control_row *row = find_row(CONTROL_RELOAD);
    struct pfs_stat own;

    *ret_hid = false;
    if (!fill_stat(&own, row)) {
        return false;
    }
    for (size_t i = 0; i < reply->n_list; i++) {
        if (strcmp(reply->list[i].name, row->name) == 0) {
            pfs_stat_fini(&reply->list[i]);
            reply->list[i] = own;
            *ret_hid = true;
            return true;
        }
    }
    struct pfs_stat *more = pfs_realloc(reply->list, (reply->n_list + 1) * sizeof *more);
    if (!more) {
        pfs_stat_fini(&own);
        return false;
    }
    reply->list = more;
    reply->list[reply->n_list++] = own;
    return true;
}
