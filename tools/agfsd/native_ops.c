/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * A plugin's functions as a driver. What they return is copied at once and never freed, as the ABI
 * wants it. Where the stock host would crash or hang on what a plugin returns, this one answers
 * with an error; the usual cause are plugins written with 32-bit out parameters, after the example
 * that comes with the stock server: their -1 arrives as 4294967295 in our 64 bits.
 */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/path.h"
#include "base/reply.h"
#include "base/utf8.h"
#include "driver_util.h"
#include "native_internal.h"
#include "wire/json.h"
#include "wire/wire.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RESULT_MAX WIRE_REPLY_MAX
#define ENTRIES_MAX WIRE_ENTRIES_MAX
#define META_MAX (64u << 10) /* bytes of MetaContent that are looked at */
#define META_STRING_MAX 255  /* bytes of MetaName, MetaType */
#define SECONDS_MAX (INT64_MAX / PFS_SEC)

struct native_driver {
    struct pfs_driver base;
    struct native *native;
    void (*unmount)(struct native *n);
};

static struct native *native_of(struct pfs_driver *d)
{
    return container_of(d, struct native_driver, base)->native;
}

/* What a plugin meant that stores or returns 32-bit integers where 64 are read. */
static int64_t widen(int64_t n)
{
    return n > INT32_MAX && n <= UINT32_MAX ? (int32_t)(uint32_t)n : n;
}

/* Fails with a plugin's text; the class is what the text says. */
static void fail_text(struct pfs_reply *reply, const char *text)
{
    enum pfs_class cls = wire_class_of_text(text);
    enum pfs_outcome outcome = cls == PFS_IO ? PFS_OUTCOME_UN : PFS_OUTCOME_NA;

    pfs_fail(&reply->err, cls, outcome, PFS_PHASE_REPLY, "%.*s", PFS_ERROR_TEXT_MAX, text);
}

/* Ends an operation that returns an error text; NULL and "" are success. */
static void end_change(struct pfs_reply *reply, const char *text)
{
    if (text && text[0]) {
        fail_text(reply, text);
    }
}

/* By its number: sanitizers look at what write() is given. */
static ssize_t write_doubtful(int fd, const char *from, size_t n)
{
    return syscall(SYS_write, fd, from, n);
}

/*
 * Copies what may not even be readable memory, less than a pipe holds. The kernel reads it for us,
 * page by page: a piece that crosses the end of what is readable may fail as a whole. (Reading our
 * own memory as another process's is forbidden in the sandbox.)
 */
static size_t copy_doubtful(const char *from, char *to, size_t n)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t first = page - (uintptr_t)from % page;
    int fds[2];

    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0) {
        return 0;
    }
    first = first < n ? first : n;
    ssize_t put = write_doubtful(fds[1], from, first);

    if (put == (ssize_t)first && first < n) {
        ssize_t more = write_doubtful(fds[1], from + first, n - first);

        put += more > 0 ? more : 0;
    }
    ssize_t got = put > 0 ? read(fds[0], to, (size_t)put) : 0;

    close(fds[0]);
    close(fds[1]);
    return got > 0 ? (size_t)got : 0;
}

/* The same, of what may be a text. False: it is none. */
static bool copy_doubtful_text(const char *from, char *to, size_t cap)
{
    size_t n = copy_doubtful(from, to, cap - 1);

    to[n] = '\0';
    return to[0] && pfs_utf8_valid(to, strlen(to));
}

/* Fails an operation whose result says "error": with the text it returned, where there is one. */
static void fail_result(struct pfs_reply *reply, const char *what, const void *returned)
{
    char text[PFS_ERROR_TEXT_MAX];

    if (returned && copy_doubtful_text(returned, text, sizeof text)) {
        fail_text(reply, text);
    } else {
        fail_text(reply, what);
    }
}

static void op_create(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct native *n = native_of(d);

    end_change(reply, n->abi.FSCreate(n->instance, req->path));
}

static void op_mkdir(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct native *n = native_of(d);

    end_change(reply, n->abi.FSMkdir(n->instance, req->path, req->mode));
}

static void op_remove(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct native *n = native_of(d);

    end_change(reply, n->abi.FSRemove(n->instance, req->path));
}

static void op_remove_all(struct pfs_driver *d, const struct pfs_request *req,
                          struct pfs_reply *reply)
{
    struct native *n = native_of(d);

    end_change(reply, n->abi.FSRemoveAll(n->instance, req->path));
}

static void op_rename(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct native *n = native_of(d);

    end_change(reply, n->abi.FSRename(n->instance, req->path, req->path2));
}

static void op_chmod(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct native *n = native_of(d);

    end_change(reply, n->abi.FSChmod(n->instance, req->path, req->mode));
}

static void op_read(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct native *n = native_of(d);
    int64_t offset = req->offset < 0 ? 0 : req->offset, len = 0;
    const char *data =
        n->abi.FSRead(n->instance, req->path, offset, req->size < 0 ? -1 : req->size, &len);

    len = widen(len);
    if (len < 0) {
        fail_result(reply, "read failed", data);
        return;
    }
    if (!data || len == 0) {
        return;
    }
    if (len > RESULT_MAX) {
        pfs_fail(&reply->err, PFS_LIMIT, PFS_OUTCOME_UN, PFS_PHASE_REPLY,
                 "read failed: the plugin returned %lld bytes, more than %u", (long long)len,
                 RESULT_MAX);
        return;
    }
    if (req->size >= 0 && len > req->size) {
        len = req->size;
    }
    reply->data = pfs_strndup(data, (size_t)len);
    reply->len = reply->data ? (size_t)len : 0;
    if (!reply->data) {
        pfs_nomem(&reply->err, "the plugin's data");
    }
}

static void op_write(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct native *n = native_of(d);
    int64_t len = (int64_t)req->len;
    int64_t written = n->abi.FSWrite(n->instance, req->path, len ? req->data : NULL, len,
                                     req->offset, req->flags);

    if (written > len) {
        written = widen(written);
    }
    if (written < 0) {
        fail_text(reply, "write failed");
    } else {
        reply->count = written < len ? written : len;
    }
}

/* A string of the plugin's, at most `max` bytes of it; NULL: it has none that can be shown. */
static char *copy_string(const char *s, size_t max)
{
    size_t len = s ? strnlen(s, max + 1) : 0;

    return len > 0 && len <= max && pfs_utf8_valid(s, len) ? pfs_strndup(s, len) : NULL;
}

/* MetaContent as pairs; what is no object of strings adds nothing. False: out of memory. */
static bool fill_meta(struct pfs_stat *st, const char *json)
{
    size_t len = json ? strnlen(json, META_MAX + 1) : 0;
    struct json_value root;
    struct json_member m = {0};
    bool ok = true;

    if (len == 0 || len > META_MAX || json_parse(json, len, JSON_REQUEST, &root, NULL) != PFS_OK) {
        return true;
    }
    while (ok && json_next(root, &m)) {
        const char *value = json_str(m.value);

        ok = pfs_stat_add_meta(st, m.key, value ? value : "");
    }
    json_fini(&root);
    return ok;
}

static bool fill_stat(struct pfs_stat *st, const FileInfoC *f, const char *name)
{
    char *meta_name = copy_string(f->MetaName, META_STRING_MAX);
    char *meta_type = copy_string(f->MetaType, META_STRING_MAX);
    bool ok = pfs_stat_fill(st, name, meta_name ? meta_name : "", meta_type ? meta_type : "");

    pfs_free(meta_name);
    pfs_free(meta_type);
    if (!ok) {
        return false;
    }
    st->size = f->Size > 0 ? f->Size : 0;
    st->mode = f->Mode;
    st->is_dir = f->IsDir != 0;
    st->mtime_ns = f->ModTime >= -SECONDS_MAX && f->ModTime <= SECONDS_MAX ? f->ModTime * PFS_SEC
                                                                           : PFS_TIME_UNKNOWN;
    if (!fill_meta(st, f->MetaContent)) {
        pfs_stat_fini(st);
        return false;
    }
    return true;
}

static void op_stat(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct native *n = native_of(d);
    const FileInfoC *f = n->abi.FSStat(n->instance, req->path);

    if (!f) {
        fail_text(reply, "stat failed");
        return;
    }
    /* The path says the name for sure; the bundled example, for one, has none for its root. */
    if (!fill_stat(&reply->stat, f, pfs_path_base(req->path))) {
        pfs_nomem(&reply->err, "the plugin's stat");
    }
}

/* Names that are no single component would send a client that walks the tree astray. */
static bool is_listable(const char *name)
{
    size_t len = name ? strnlen(name, PFS_COMPONENT_MAX + 1) : 0;

    return len > 0 && len <= PFS_COMPONENT_MAX && strcmp(name, ".") != 0 &&
           strcmp(name, "..") != 0 && !strchr(name, '/') && pfs_utf8_valid(name, len);
}

static void op_readdir(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct native *n = native_of(d);
    int64_t count = 0;
    const FileInfoArray *a = n->abi.FSReadDir(n->instance, req->path, &count);
    size_t cap = 0;

    count = widen(count);
    if (count < 0) {
        fail_text(reply, "readdir failed");
        return;
    }
    if (!a || count == 0) {
        return;
    }
    if (count > ENTRIES_MAX || !a->Items) {
        pfs_fail(&reply->err, count > ENTRIES_MAX ? PFS_LIMIT : PFS_PAYLOAD, PFS_OUTCOME_UN,
                 PFS_PHASE_REPLY, "readdir failed: the plugin returned %lld entries%s",
                 (long long)count, a->Items ? "" : " at no address");
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        if (!is_listable(a->Items[i].Name)) {
            continue;
        }
        struct pfs_stat *st = reply_add_entry(reply, &cap);

        if (!st || !fill_stat(st, &a->Items[i], a->Items[i].Name)) {
            pfs_nomem(&reply->err, "the plugin's listing");
            return;
        }
    }
}

static void driver_close(struct pfs_driver *d)
{
    struct native_driver *nd = container_of(d, struct native_driver, base);

    nd->unmount(nd->native);
    pfs_free(nd);
}

void native_ops_init(struct native *n)
{
    const struct native_abi *a = &n->abi;
    pfs_op_fn **op = n->ops.op;

    n->ops.name = n->name;
    n->ops.close = driver_close;
    op[PFS_OP_CREATE] = a->FSCreate ? op_create : NULL;
    op[PFS_OP_MKDIR] = a->FSMkdir ? op_mkdir : NULL;
    op[PFS_OP_REMOVE] = a->FSRemove ? op_remove : NULL;
    op[PFS_OP_REMOVE_ALL] = a->FSRemoveAll ? op_remove_all : NULL;
    op[PFS_OP_READ] = a->FSRead ? op_read : NULL;
    op[PFS_OP_WRITE] = a->FSWrite ? op_write : NULL;
    op[PFS_OP_READDIR] = a->FSReadDir ? op_readdir : NULL;
    op[PFS_OP_STAT] = a->FSStat ? op_stat : NULL;
    op[PFS_OP_RENAME] = a->FSRename ? op_rename : NULL;
    op[PFS_OP_CHMOD] = a->FSChmod ? op_chmod : NULL;
}

struct pfs_driver *native_ops_driver(struct native *n, void (*unmount)(struct native *n))
{
    struct native_driver *nd = pfs_calloc(1, sizeof *nd);

    if (!nd) {
        return NULL;
    }
    nd->base.ops = &n->ops;
    nd->native = n;
    nd->unmount = unmount;
    return &nd->base;
}
