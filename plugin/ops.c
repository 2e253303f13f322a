/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "ops.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/path.h"
#include "errors.h"
#include "info.h"
#include "instance.h"
#include "results.h"
#include <string.h>

/* What a result is taken to need before it is known. */
#define RESULT_GUESS 4096
/* Of a path as the host gives it, which may hold "./" and "//": against text without an end. */
#define RAW_PATH_MAX (4 * PFS_PATH_MAX)

/* One call of the host. */
struct call {
    struct session *session;
    struct pfs_request req;
    struct pfs_reply reply;
    char path[PFS_PATH_MAX + 1], path2[PFS_PATH_MAX + 1];
};

static void call_init(struct call *c, enum pfs_op op)
{
    c->session = NULL;
    c->req = (struct pfs_request)PFS_REQUEST_INIT;
    c->req.op = op;
    c->reply = (struct pfs_reply){0};
}

static bool set_path(struct call *c, const char *path, char *to, const char **ret)
{
    if (!path) {
        pfs_refuse(&c->reply.err, PFS_INVALID, "invalid path: none given");
        return false;
    }
    size_t n = strnlen(path, RAW_PATH_MAX);

    if (n == RAW_PATH_MAX) {
        pfs_refuse(&c->reply.err, PFS_INVALID, "invalid path: file name too long");
        return false;
    }
    if (pfs_path_normalize(path, n, to, &c->reply.err) != PFS_OK) {
        return false;
    }
    *ret = to;
    return true;
}

/* On a worker's permit. */
static void run_cb(void *arg)
{
    struct call *c = arg;
    struct pfs_driver *d = c->session->driver;

    if (atomic_load(&c->session->closing)) {
        pfs_fail(&c->reply.err, PFS_SHUTDOWN, PFS_OUTCOME_NA, PFS_PHASE_QUEUE,
                 "the file system was shut down while the call waited");
    } else if (!d->ops->op[c->req.op]) {
        pfs_refuse(&c->reply.err, PFS_UNSUPPORTED, "%s: not supported", pfs_op_name(c->req.op));
    } else {
        d->ops->op[c->req.op](d, &c->req, &c->reply);
    }
}

static void run(struct call *c)
{
    /* What is moved takes its time: a second for each MiB on top (reliability bar C). */
    int64_t extra = (int64_t)(c->req.len >> 20) * PFS_SEC;
    struct pfs_error err;

    c->req.deadline_ns = pfs_after(pfs_now(), c->session->timeout_ns + extra);
    if (strcmp(c->req.path, ERRORS_PATH) == 0 ||
        (c->req.path2 && strcmp(c->req.path2, ERRORS_PATH) == 0)) {
        errors_serve(&c->req, &c->reply);
    } else if (pfs_pool_run(c->session->pool, c->req.deadline_ns, run_cb, c, &err) != PFS_OK) {
        c->reply.err = err;
    }
}

/*
 * Carries out c->req on the given paths (path2 NULL: none). True: c->reply holds the result. False:
 * c->reply.err holds the error. Either way call_end follows.
 */
static bool call_run(struct call *c, const void *plugin, const char *path, const char *path2)
{
    if (set_path(c, path, c->path, &c->req.path) &&
        (c->req.op != PFS_OP_RENAME || set_path(c, path2, c->path2, &c->req.path2))) {
        c->session = instance_enter(plugin, &c->reply.err);
        if (c->session) {
            run(c);
        }
    }
    return c->reply.err.cls == PFS_OK;
}

/* Ends a call; what failed is noted. The reply's error stays readable. */
static void call_end(struct call *c)
{
    struct pfs_error err = c->reply.err;

    if (c->session) {
        instance_leave(c->session);
    }
    if (err.cls != PFS_OK) {
        errors_note(pfs_op_name(c->req.op), c->req.path, &err);
    }
    pfs_reply_fini(&c->reply);
    c->reply.err = err;
}

/* Whether a result may be produced; a call that cannot give its result must not start. */
static bool has_room(struct call *c, size_t n)
{
    if (!results_have_room(n)) {
        pfs_refuse(&c->reply.err, PFS_OVERLOAD,
                   "results of the last seconds fill the plugin's memory; try again later");
        return false;
    }
    return true;
}

const char *ops_change(const void *plugin, enum pfs_op op, const char *path, const char *path2,
                       uint32_t mode)
{
    struct call c;

    call_init(&c, op);
    c.req.mode = mode;
    bool ok = call_run(&c, plugin, path, path2);
    call_end(&c);
    return ok ? NULL : errors_text(&c.reply.err);
}

/* The data of a reply as a result; "" when there is none; NULL with c->reply.err: no memory. */
static const char *publish_data(struct call *c, int64_t *ret_len)
{
    size_t len = c->reply.len;
    char *mem = c->reply.data;

    *ret_len = 0;
    if (c->req.size >= 0 && len > (size_t)c->req.size) {
        len = (size_t)c->req.size;
    }
    if (len == 0) {
        return "";
    }
    c->reply.data = NULL;
    mem = results_adopt(mem, len);
    if (!mem) {
        pfs_fail(&c->reply.err, PFS_NOMEM, PFS_OUTCOME_AP, PFS_PHASE_REPLY,
                 "out of memory for a result of %zu bytes", len);
        *ret_len = -1;
        return NULL;
    }
    results_publish(mem, len);
    *ret_len = (int64_t)len;
    return mem;
}

const char *ops_read(const void *plugin, const char *path, int64_t offset, int64_t size,
                     int64_t *ret_len)
{
    const char *ret = NULL;
    int64_t len = -1;
    struct call c;

    call_init(&c, PFS_OP_READ);
    c.req.offset = offset > 0 ? offset : 0;
    c.req.size = size >= 0 ? size : -1;
    if (c.req.size > INT64_MAX - c.req.offset) {
        c.req.size = INT64_MAX - c.req.offset;
    }
    if (!ret_len) {
        pfs_refuse(&c.reply.err, PFS_INVALID, "invalid call: no place for the length");
    } else if (size == 0 && path) {
        ret = ""; /* nothing: the remote must not act on it either, a queue would lose a message */
        len = 0;
    } else if (has_room(&c, RESULT_GUESS) && call_run(&c, plugin, path, NULL)) {
        ret = publish_data(&c, &len);
    }
    call_end(&c);
    if (ret_len) {
        *ret_len = len;
    }
    return ret;
}

/*
 * The stock host creates a missing file for touch with an empty write that has only CREATE set,
 * after a stat that failed for whatever reason. As the replacement that it is elsewhere, it would
 * empty a file that was only unreachable for a moment; so here it creates and does nothing else.
 */
static bool is_touch(const struct pfs_request *w)
{
    return w->len == 0 && w->offset == -1 && w->flags == PFS_WRITE_CREATE;
}

/* The host has -1 or all of it: a remote that wrote less did not do what was asked. */
static void check_written(struct call *c)
{
    if (c->req.op == PFS_OP_WRITE && (uint64_t)c->reply.count != c->req.len) {
        pfs_short_write(&c->reply.err, c->reply.count, c->req.len);
    }
}

int64_t ops_write(const void *plugin, const struct pfs_request *write)
{
    struct call c;

    call_init(&c, is_touch(write) ? PFS_OP_CREATE : PFS_OP_WRITE);
    c.req.data = write->data;
    c.req.len = write->len;
    c.req.offset = write->offset < 0 ? -1 : write->offset;
    c.req.flags = write->flags;
    c.req.mode = 0644;
    if (write->len > INT64_MAX || (write->len > 0 && !write->data)) {
        pfs_refuse(&c.reply.err, PFS_INVALID, "invalid data: %lld bytes at %s address",
                   (long long)write->len, write->data ? "an" : "no");
    } else if (write->flags & ~PFS_WRITE_ALL_FLAGS) {
        pfs_refuse(&c.reply.err, PFS_INVALID, "invalid write flags 0x%x", write->flags);
    } else if (call_run(&c, plugin, write->path, NULL)) {
        check_written(&c);
    } else if (c.req.op == PFS_OP_CREATE && c.reply.err.cls == PFS_EXISTS) {
        c.reply.err = (struct pfs_error){0};
    }
    call_end(&c);
    return c.reply.err.cls == PFS_OK ? (int64_t)write->len : -1;
}

FileInfoArray *ops_readdir(const void *plugin, const char *path, int64_t *ret_count)
{
    FileInfoArray *ret = NULL;
    int64_t count = 0;
    struct call c;

    call_init(&c, PFS_OP_READDIR);
    if (!ret_count) {
        pfs_refuse(&c.reply.err, PFS_INVALID, "invalid call: no place for the count");
    } else if (has_room(&c, RESULT_GUESS) && call_run(&c, plugin, path, NULL)) {
        ret = info_of_list(c.reply.list, c.reply.n_list, &count);
        if (!ret) {
            pfs_nomem(&c.reply.err, "the listing");
        }
    }
    call_end(&c);
    if (ret_count) {
        *ret_count = count;
    }
    return ret;
}

FileInfoC *ops_stat(const void *plugin, const char *path)
{
    FileInfoC *ret = NULL;
    struct call c;

    call_init(&c, PFS_OP_STAT);
    if (has_room(&c, RESULT_GUESS) && call_run(&c, plugin, path, NULL)) {
        /* For "/" the host puts the mount's own name. */
        ret = info_of_stat(&c.reply.stat, c.path[1] ? NULL : "/");
        if (!ret) {
            pfs_nomem(&c.reply.err, "the result");
        }
    }
    call_end(&c);
    return ret;
}
