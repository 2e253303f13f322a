/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* The client API's single operations: each one request, one reply, one out-parameter. */
#include "base/alloc.h"
#include "base/err.h"
#include "base/reply.h"
#include "conn/generation.h"
#include "wire/json.h"
#include <proxyfs/proxyfs.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ends a call without result: hands out the error, frees the rest. */
static enum pfs_class finish(struct pfs_reply *reply, struct pfs_error *err)
{
    enum pfs_class cls = reply->err.cls;

    if (cls != PFS_OK && err) {
        *err = reply->err;
    }
    pfs_reply_drop(reply);
    return cls;
}

static enum pfs_class call_path(struct pfs_client *c, enum pfs_op op, const char *path,
                                uint32_t mode, struct pfs_error *err)
{
    struct pfs_request req = PFS_REQUEST_INIT;
    struct pfs_reply reply;

    req.op = op;
    req.path = path;
    req.mode = mode;
    pfs_call(c, &req, &reply);
    return finish(&reply, err);
}

enum pfs_class pfs_create(struct pfs_client *c, const char *path, struct pfs_error *err)
{
    return call_path(c, PFS_OP_CREATE, path, 0, err);
}

enum pfs_class pfs_mkdir(struct pfs_client *c, const char *path, uint32_t mode,
                         struct pfs_error *err)
{
    return call_path(c, PFS_OP_MKDIR, path, mode, err);
}

enum pfs_class pfs_remove(struct pfs_client *c, const char *path, struct pfs_error *err)
{
    return call_path(c, PFS_OP_REMOVE, path, 0, err);
}

enum pfs_class pfs_remove_all(struct pfs_client *c, const char *path, struct pfs_error *err)
{
    return call_path(c, PFS_OP_REMOVE_ALL, path, 0, err);
}

enum pfs_class pfs_chmod(struct pfs_client *c, const char *path, uint32_t mode,
                         struct pfs_error *err)
{
    return call_path(c, PFS_OP_CHMOD, path, mode, err);
}

enum pfs_class pfs_touch(struct pfs_client *c, const char *path, struct pfs_error *err)
{
    return call_path(c, PFS_OP_TOUCH, path, 0, err);
}

enum pfs_class pfs_health(struct pfs_client *c, struct pfs_error *err)
{
    return call_path(c, PFS_OP_HEALTH, NULL, 0, err);
}

void pfs_data_fini(struct pfs_data *d)
{
    pfs_free(d->bytes);
    *d = (struct pfs_data){0};
}

enum pfs_class pfs_read(struct pfs_client *c, const char *path, int64_t offset, int64_t size,
                        struct pfs_data *ret, struct pfs_error *err)
{
    struct pfs_request req = {.op = PFS_OP_READ, .path = path, .offset = offset, .size = size};
    struct pfs_reply reply;

    if (offset < 0) { /* a request may leave it out with -1 */
        return pfs_refuse(err, PFS_INVALID, "read: offset %lld is negative", (long long)offset);
    }
    if (pfs_call(c, &req, &reply) == PFS_OK) {
        ret->bytes = reply.data;
        ret->len = reply.len;
        reply.data = NULL;
    }
    return finish(&reply, err);
}

enum pfs_class pfs_write(struct pfs_client *c, const char *path, const void *data, size_t len,
                         int64_t offset, uint32_t flags, int64_t *ret_written,
                         struct pfs_error *err)
{
    struct pfs_request req = {.op = PFS_OP_WRITE,
                              .path = path,
                              .data = data,
                              .len = len,
                              .offset = offset,
                              .size = -1,
                              .flags = flags};
    struct pfs_reply reply;

    if (pfs_call(c, &req, &reply) == PFS_OK && ret_written) {
        *ret_written = reply.count;
    } else if (reply.err.cls == PFS_OK && (uint64_t)reply.count != len) {
        pfs_short_write(&reply.err, reply.count, len);
    }
    return finish(&reply, err);
}

enum pfs_class pfs_truncate(struct pfs_client *c, const char *path, int64_t size,
                            struct pfs_error *err)
{
    struct pfs_request req = {.op = PFS_OP_TRUNCATE, .path = path, .offset = -1, .size = size};
    struct pfs_reply reply;

    pfs_call(c, &req, &reply);
    return finish(&reply, err);
}

static enum pfs_class call_two_paths(struct pfs_client *c, enum pfs_op op, const char *path,
                                     const char *path2, struct pfs_error *err)
{
    struct pfs_request req = PFS_REQUEST_INIT;
    struct pfs_reply reply;

    req.op = op;
    req.path = path;
    req.path2 = path2;
    pfs_call(c, &req, &reply);
    return finish(&reply, err);
}

enum pfs_class pfs_rename(struct pfs_client *c, const char *from, const char *to,
                          struct pfs_error *err)
{
    return call_two_paths(c, PFS_OP_RENAME, from, to, err);
}

enum pfs_class pfs_copy(struct pfs_client *c, const char *from, const char *to,
                        int64_t *ret_written, struct pfs_error *err)
{
    struct pfs_request req = PFS_REQUEST_INIT;
    struct pfs_reply reply;

    req.op = PFS_OP_COPY;
    req.path = from;
    req.path2 = to;
    if (pfs_call(c, &req, &reply) == PFS_OK && ret_written) {
        *ret_written = reply.count;
    }
    return finish(&reply, err);
}

enum pfs_class pfs_symlink(struct pfs_client *c, const char *target, const char *link,
                           struct pfs_error *err)
{
    return call_two_paths(c, PFS_OP_SYMLINK, link, target, err);
}

enum pfs_class pfs_stat(struct pfs_client *c, const char *path, struct pfs_stat *ret,
                        struct pfs_error *err)
{
    struct pfs_request req = PFS_REQUEST_INIT;
    struct pfs_reply reply;

    req.op = PFS_OP_STAT;
    req.path = path;
    if (pfs_call(c, &req, &reply) == PFS_OK) {
        *ret = reply.stat;
        reply.stat = (struct pfs_stat){0};
    }
    return finish(&reply, err);
}

/* Operations whose result is a text. */
static enum pfs_class call_for_text(struct pfs_client *c, const struct pfs_request *req, char **ret,
                                    struct pfs_error *err)
{
    struct pfs_reply reply;

    if (pfs_call(c, req, &reply) == PFS_OK) {
        *ret = reply.text;
        reply.text = NULL;
    }
    return finish(&reply, err);
}

enum pfs_class pfs_readlink(struct pfs_client *c, const char *path, char **ret,
                            struct pfs_error *err)
{
    struct pfs_request req = {.op = PFS_OP_READLINK, .path = path, .offset = -1, .size = -1};

    return call_for_text(c, &req, ret, err);
}

enum pfs_class pfs_digest(struct pfs_client *c, const char *path, const char *algorithm, char **ret,
                          struct pfs_error *err)
{
    struct pfs_request req = {
        .op = PFS_OP_DIGEST, .path = path, .text = algorithm, .offset = -1, .size = -1};

    return call_for_text(c, &req, ret, err);
}

void pfs_list_fini(struct pfs_list *l)
{
    struct pfs_reply reply = {.list = l->entries, .n_list = l->n};

    pfs_reply_fini(&reply);
    *l = (struct pfs_list){0};
}

enum pfs_class pfs_readdir(struct pfs_client *c, const char *path, struct pfs_list *ret,
                           struct pfs_error *err)
{
    struct pfs_request req = {.op = PFS_OP_READDIR, .path = path, .offset = -1, .size = -1};
    struct pfs_reply reply;

    if (pfs_call(c, &req, &reply) == PFS_OK) {
        *ret = (struct pfs_list){.entries = reply.list, .n = reply.n_list};
        reply.list = NULL;
        reply.n_list = 0;
    }
    return finish(&reply, err);
}

void pfs_matches_fini(struct pfs_matches *m)
{
    struct pfs_reply reply = {.matches = m->matches, .n_matches = m->n};

    pfs_reply_fini(&reply);
    *m = (struct pfs_matches){0};
}

static void take_matches(struct pfs_reply *reply, struct pfs_matches *ret)
{
    *ret = (struct pfs_matches){.matches = reply->matches, .n = reply->n_matches};
    reply->matches = NULL;
    reply->n_matches = 0;
}

enum pfs_class pfs_grep(struct pfs_client *c, const char *path, const char *pattern, uint32_t flags,
                        struct pfs_matches *ret, struct pfs_error *err)
{
    struct pfs_request req = {
        .op = PFS_OP_GREP, .path = path, .text = pattern, .flags = flags, .offset = -1, .size = -1};
    struct pfs_reply reply;

    if (pfs_call(c, &req, &reply) == PFS_OK) {
        take_matches(&reply, ret);
    }
    return finish(&reply, err);
}

enum pfs_class pfs_capabilities(struct pfs_client *c, char **ret_version,
                                struct pfs_matches *ret_features, struct pfs_error *err)
{
    struct pfs_request req = {.op = PFS_OP_CAPABILITIES, .offset = -1, .size = -1};
    struct pfs_reply reply;

    if (pfs_call(c, &req, &reply) == PFS_OK) {
        *ret_version = reply.text;
        reply.text = NULL;
        if (ret_features) {
            take_matches(&reply, ret_features);
        }
    }
    return finish(&reply, err);
}

static char version[128];

static void make_version(void)
{
    struct conn_libraries l = conn_libraries();

    snprintf(version, sizeof version,
             "libproxyfs " PFS_VERSION " (OpenSSL %s, nghttp2 %s, json-c %s)", l.openssl, l.nghttp2,
             json_library_version());
}

const char *pfs_version(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, make_version);
    return version;
}
