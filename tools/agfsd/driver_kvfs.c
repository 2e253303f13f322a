/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* kvfs: values in memory under /keys/KEY (agfs-http-api.md 8.7). A key may contain '/'. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/path.h"
#include "base/reply.h"
#include "body_share.h"
#include "driver_options.h"
#include "driver_util.h"
#include "drivers.h"
#include "kvfs.h"
#include <string.h>

#define MAX_BYTES_DEFAULT (1ull << 30)  /* keys and values of a mount */
#define MAX_VALUE_DEFAULT (64ull << 20) /* what one request can bring */

static const char readme[] = "KVFS: keys and values as files\n"
                             "\n"
                             "  echo 'value' > /kvfs/keys/NAME    sets a key\n"
                             "  cat /kvfs/keys/NAME               shows it\n"
                             "  ls /kvfs/keys                     lists all keys\n"
                             "  rm /kvfs/keys/NAME                removes it\n"
                             "\n"
                             "Everything is in memory and lost when the server ends.\n";

/* ---- paths ---- */

enum kv_place kv_parse(const char *path, const char **ret_key)
{
    if (strcmp(path, "/") == 0) {
        return KV_ROOT;
    }
    if (strcmp(path, "/README") == 0) {
        return KV_README;
    }
    if (strcmp(path, "/keys") == 0) {
        return KV_KEYS;
    }
    *ret_key = path + strlen("/keys/");
    return strncmp(path, "/keys/", 6) == 0 ? KV_KEY : KV_ELSEWHERE;
}

/* The key that an operation on content names, NULL: *err says what the path is instead. */
static const char *need_key(const char *path, bool for_change, struct pfs_error *err)
{
    const char *key = NULL;

    switch (kv_parse(path, &key)) {
    case KV_ROOT:
    case KV_KEYS:
        pfs_refuse(err, PFS_BADARG, "is a directory: %s", path);
        return NULL;
    case KV_README:
        pfs_refuse(err, PFS_DENIED, "permission denied: %s is read-only", path);
        return NULL;
    case KV_ELSEWHERE:
        pfs_refuse(err, for_change ? PFS_BADARG : PFS_NOTFOUND,
                   for_change ? "keys must be under /keys/ directory: %s"
                              : "invalid path: %s (not found)",
                   path);
        return NULL;
    case KV_KEY:
        break;
    }
    return key;
}

/* ---- content ---- */

static void op_read(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct kvfs *k = kvfs_of(d);

    if (strcmp(req->path, "/README") == 0) {
        pfs_reply_take_range(reply, pfs_strdup(readme), sizeof readme - 1, req);
        return;
    }
    const char *key = need_key(req->path, false, &reply->err);

    if (!key) {
        return;
    }
    pthread_rwlock_rdlock(&k->lock);
    struct pair *p = kv_need_locked(k, key, &reply->err);
    size_t n = p ? kv_part(p, req) : 0;

    if (n > 0 && share_take(key, n, &reply->err)) {
        reply->data = pfs_strndup(p->value + (req->offset > 0 ? req->offset : 0), n);
        reply->len = reply->data ? n : 0;
    }
    pthread_rwlock_unlock(&k->lock);
    if (n > 0 && !reply->data && reply->err.cls == PFS_OK) {
        pfs_nomem(&reply->err, "a read");
    }
}

/* The new content that a write makes of the old one, malloc'ed. */
static enum pfs_class compose(const struct pair *old, const struct write_plan *plan,
                              const struct pfs_request *req, size_t max, char **ret,
                              size_t *ret_len, struct pfs_error *err)
{
    size_t have = old && !plan->replace ? old->len : 0;
    size_t at = plan->append ? have : (size_t)plan->at;
    size_t end;

    if (__builtin_add_overflow(at, req->len, &end) || end > max) {
        return pfs_refuse(err, PFS_TOOBIG, "value too large: %zu bytes are allowed", max);
    }
    size_t len = end > have ? end : have;
    char *value = pfs_calloc(1, len + 1);

    if (!value) {
        return pfs_nomem(err, "a value");
    }
    if (have > 0) {
        memcpy(value, old->value, have);
    }
    if (req->len > 0) {
        memcpy(value + at, req->data, req->len);
    }
    *ret = value;
    *ret_len = len;
    return PFS_OK;
}

static void write_locked(struct kvfs *k, const char *key, const struct write_plan *plan,
                         const struct pfs_request *req, struct pfs_error *err)
{
    struct pair *old = kv_find_locked(k, key);
    char *value = NULL;
    size_t len = 0;

    if (old && plan->exclusive) {
        pfs_refuse(err, PFS_EXISTS, "key already exists: %s", key);
    } else if (!old && !plan->create) {
        pfs_refuse(err, PFS_NOTFOUND, "key not found: %s", key);
    } else if (compose(old, plan, req, k->max_value, &value, &len, err) == PFS_OK &&
               kv_set_locked(k, key, value, len, err) != PFS_OK) {
        pfs_free(value);
    }
}

static void op_write(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct kvfs *k = kvfs_of(d);
    const char *key = need_key(req->path, true, &reply->err);
    struct write_plan plan;

    if (key && write_plan_of(req, &plan, &reply->err) == PFS_OK) {
        pthread_rwlock_wrlock(&k->lock);
        write_locked(k, key, &plan, req, &reply->err);
        pthread_rwlock_unlock(&k->lock);
        reply->count = reply->err.cls == PFS_OK ? (int64_t)req->len : 0;
    }
}

static void op_create(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct pfs_request make = PFS_REQUEST_INIT;

    make.op = PFS_OP_CREATE;
    make.path = req->path;
    make.flags = PFS_WRITE_EXCLUSIVE;
    op_write(d, &make, reply);
}

static void op_touch(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct kvfs *k = kvfs_of(d);
    const char *key = need_key(req->path, true, &reply->err);

    if (key) {
        pthread_rwlock_wrlock(&k->lock);
        struct pair *p = kv_find_locked(k, key);

        if (p) {
            p->mtime_ns = pfs_wall_now();
        } else {
            kv_set_locked(k, key, NULL, 0, &reply->err);
        }
        pthread_rwlock_unlock(&k->lock);
    }
}

static void op_truncate(struct pfs_driver *d, const struct pfs_request *req,
                        struct pfs_reply *reply)
{
    struct kvfs *k = kvfs_of(d);
    const char *key = need_key(req->path, false, &reply->err);

    if (!key) {
        return;
    }
    pthread_rwlock_wrlock(&k->lock);
    struct pair *p = kv_need_locked(k, key, &reply->err);
    struct write_plan all = {.at = req->size};
    struct pfs_request none = {.len = 0};
    char *value = NULL;
    size_t len = 0;

    if (p && req->size < 0) {
        pfs_refuse(&reply->err, PFS_BADARG, "size must be non-negative");
    } else if (p && compose(p, &all, &none, k->max_value, &value, &len, &reply->err) == PFS_OK &&
               kv_set_locked(k, key, value, (size_t)req->size, &reply->err) != PFS_OK) {
        pfs_free(value);
    }
    pthread_rwlock_unlock(&k->lock);
}

/* ---- the tree ---- */

static void op_remove(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct kvfs *k = kvfs_of(d);
    const char *key = need_key(req->path, false, &reply->err);

    if (key) {
        pthread_rwlock_wrlock(&k->lock);
        struct pair *p = kv_need_locked(k, key, &reply->err);

        if (p) {
            kv_remove_locked(k, p);
        }
        pthread_rwlock_unlock(&k->lock);
    }
}

static void rename_locked(struct kvfs *k, const char *from, const char *to, struct pfs_error *err)
{
    struct pair *p = kv_need_locked(k, from, err);

    if (!p || strcmp(from, to) == 0) {
        return;
    }
    if (kv_find_locked(k, to)) {
        pfs_refuse(err, PFS_EXISTS, "key already exists: %s", to);
        return;
    }
    kv_rename_locked(k, p, to, err);
}

static void op_rename(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct kvfs *k = kvfs_of(d);
    const char *from = need_key(req->path, true, &reply->err);
    const char *to = from ? need_key(req->path2, true, &reply->err) : NULL;

    if (to) {
        pthread_rwlock_wrlock(&k->lock);
        rename_locked(k, from, to, &reply->err);
        pthread_rwlock_unlock(&k->lock);
    }
}

static void op_mkdir(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    if (strcmp(req->path, "/") == 0 || strcmp(req->path, "/keys") == 0) {
        pfs_refuse(&reply->err, PFS_EXISTS, "directory already exists: %s", req->path);
    } else {
        pfs_refuse(&reply->err, PFS_BADARG, "cannot create directories in kvfs service");
    }
}

static void op_chmod(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    pfs_refuse(&reply->err, PFS_DENIED, "cannot change permissions in kvfs service");
}

static bool fill(struct pfs_stat *st, const char *name, enum kv_place place)
{
    st->is_dir = place == KV_ROOT || place == KV_KEYS;
    st->mode = st->is_dir ? 0755 : place == KV_README ? 0444 : 0644;
    st->size = place == KV_README ? (int64_t)sizeof readme - 1 : 0;
    st->mtime_ns = pfs_wall_now();
    return pfs_stat_fill(st, name, "kvfs",
                         st->is_dir           ? "dir"
                         : place == KV_README ? "doc"
                                              : "file");
}

static bool fill_pair(struct pfs_stat *st, const struct pair *p)
{
    if (!fill(st, pfs_path_base(p->key), KV_KEY)) {
        return false;
    }
    st->size = (int64_t)p->len;
    st->mtime_ns = p->mtime_ns;
    return true;
}

static void op_stat(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct kvfs *k = kvfs_of(d);
    const char *key = NULL;
    enum kv_place place = kv_parse(req->path, &key);
    bool filled = true;

    if (place == KV_ELSEWHERE) {
        pfs_refuse(&reply->err, PFS_NOTFOUND, "no such file or directory: %s", req->path);
    } else if (place == KV_KEY) {
        pthread_rwlock_rdlock(&k->lock);
        struct pair *p = kv_need_locked(k, key, &reply->err);

        filled = !p || fill_pair(&reply->stat, p);
        pthread_rwlock_unlock(&k->lock);
    } else {
        filled = fill(&reply->stat, pfs_path_base(req->path), place);
    }
    if (!filled) {
        pfs_nomem(&reply->err, "stat");
    }
}

static void op_readdir(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct kvfs *k = kvfs_of(d);
    const char *key = NULL;
    enum kv_place place = kv_parse(req->path, &key);
    size_t cap = 0;
    bool ok = true;

    if (place == KV_ROOT) {
        struct pfs_stat *st = reply_add_entry(reply, &cap);

        ok = st && fill(st, "README", KV_README);
        st = ok ? reply_add_entry(reply, &cap) : NULL;
        ok = st && fill(st, "keys", KV_KEYS);
    } else if (place == KV_KEYS) {
        pthread_rwlock_rdlock(&k->lock);
        for (size_t i = 0; i < k->n && ok; i++) {
            struct pfs_stat *st = reply_add_entry(reply, &cap);

            ok = st && fill_pair(st, &k->pairs[i]);
        }
        pthread_rwlock_unlock(&k->lock);
    } else {
        pfs_refuse(&reply->err, place == KV_ELSEWHERE ? PFS_NOTFOUND : PFS_BADARG,
                   place == KV_ELSEWHERE ? "no such file or directory: %s" : "not a directory: %s",
                   req->path);
    }
    if (!ok) {
        pfs_nomem(&reply->err, "a listing");
    }
}

static void op_close(struct pfs_driver *d)
{
    struct kvfs *k = kvfs_of(d);

    for (size_t i = 0; i < k->n; i++) {
        pfs_free(k->pairs[i].key);
        pfs_free(k->pairs[i].value);
    }
    pfs_free(k->pairs);
    pthread_rwlock_destroy(&k->lock);
    pfs_free(k);
}

static const struct pfs_driver_ops kvfs_ops = {
    .name = "kvfs",
    .nonblocking = true,
    .plain_reads = true,
    .is_long = kvfs_is_long,
    .op = {[PFS_OP_CREATE] = op_create,
           [PFS_OP_MKDIR] = op_mkdir,
           [PFS_OP_REMOVE] = op_remove,
           [PFS_OP_REMOVE_ALL] = op_remove,
           [PFS_OP_READ] = op_read,
           [PFS_OP_WRITE] = op_write,
           [PFS_OP_READDIR] = op_readdir,
           [PFS_OP_STAT] = op_stat,
           [PFS_OP_RENAME] = op_rename,
           [PFS_OP_CHMOD] = op_chmod,
           [PFS_OP_TRUNCATE] = op_truncate,
           [PFS_OP_TOUCH] = op_touch},
    .close = op_close,
};

enum pfs_class kvfs_open(const struct pfs_option *options, size_t n, struct pfs_driver **ret,
                         struct pfs_error *err)
{
    static const char *const allowed[] = {"max_bytes", "max_value_bytes", NULL};
    uint64_t max_bytes = MAX_BYTES_DEFAULT, max_value = MAX_VALUE_DEFAULT;
    enum pfs_class cls = options_check(options, n, allowed, err);

    cls = cls == PFS_OK ? option_size(options, n, "max_bytes", 1, &max_bytes, err) : cls;
    cls = cls == PFS_OK ? option_size(options, n, "max_value_bytes", 1, &max_value, err) : cls;
    if (cls != PFS_OK) {
        return cls;
    }
    struct kvfs *k = pfs_calloc(1, sizeof *k);

    if (!k) {
        return pfs_nomem(err, "kvfs");
    }
    k->base.ops = &kvfs_ops;
    k->max_bytes = max_bytes;
    k->max_value = max_value;
    pthread_rwlock_init(&k->lock, NULL);
    *ret = &k->base;
    return PFS_OK;
}
