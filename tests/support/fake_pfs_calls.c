/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* The plain functions of proxyfs.h over pfs_call of the fake, and its streams. */
#include "fake_pfs.h"
#include <stdlib.h>
#include <string.h>

/* One call whose reply is taken apart by the caller. */
static enum pfs_class call(struct pfs_client *c, enum pfs_op op, const char *path,
                           const char *path2, const char *text, struct pfs_reply *r,
                           struct pfs_error *err)
{
    struct pfs_request q = PFS_REQUEST_INIT;
    q.op = op;
    q.path = path;
    q.path2 = path2;
    q.text = text;
    if (pfs_call(c, &q, r) != PFS_OK && err)
        *err = r->err;
    return r->err.cls;
}

/* One call without a result. */
static enum pfs_class simple(struct pfs_client *c, enum pfs_op op, const char *path,
                             const char *path2, struct pfs_error *err)
{
    struct pfs_reply r;
    enum pfs_class cls = call(c, op, path, path2, NULL, &r, err);
    pfs_reply_fini(&r);
    return cls;
}

enum pfs_class pfs_mkdir(struct pfs_client *c, const char *path, uint32_t mode,
                         struct pfs_error *err)
{
    struct pfs_request q = PFS_REQUEST_INIT;
    struct pfs_reply r;
    q.op = PFS_OP_MKDIR;
    q.path = path;
    q.mode = mode;
    if (pfs_call(c, &q, &r) != PFS_OK && err)
        *err = r.err;
    enum pfs_class cls = r.err.cls;
    pfs_reply_fini(&r);
    return cls;
}

enum pfs_class pfs_create(struct pfs_client *c, const char *path, struct pfs_error *err)
{
    return simple(c, PFS_OP_CREATE, path, NULL, err);
}

enum pfs_class pfs_remove(struct pfs_client *c, const char *path, struct pfs_error *err)
{
    return simple(c, PFS_OP_REMOVE, path, NULL, err);
}

enum pfs_class pfs_rename(struct pfs_client *c, const char *from, const char *to,
                          struct pfs_error *err)
{
    return simple(c, PFS_OP_RENAME, from, to, err);
}

enum pfs_class pfs_copy(struct pfs_client *c, const char *from, const char *to,
                        int64_t *ret_written, struct pfs_error *err)
{
    (void)ret_written;
    return simple(c, PFS_OP_COPY, from, to, err);
}

enum pfs_class pfs_symlink(struct pfs_client *c, const char *target, const char *link,
                           struct pfs_error *err)
{
    return simple(c, PFS_OP_SYMLINK, link, target, err);
}

enum pfs_class pfs_health(struct pfs_client *c, struct pfs_error *err)
{
    return simple(c, PFS_OP_HEALTH, "/", NULL, err);
}

enum pfs_class pfs_reload(struct pfs_client *c, struct pfs_error *err)
{
    return simple(c, PFS_OP_HEALTH, "/", NULL, err);
}

enum pfs_class pfs_stat(struct pfs_client *c, const char *path, struct pfs_stat *ret,
                        struct pfs_error *err)
{
    struct pfs_reply r;
    enum pfs_class cls = call(c, PFS_OP_STAT, path, NULL, NULL, &r, err);
    if (cls == PFS_OK) {
        *ret = r.stat;
        r.stat = (struct pfs_stat){0};
    }
    pfs_reply_fini(&r);
    return cls;
}

static enum pfs_class text_of(struct pfs_client *c, enum pfs_op op, const char *path,
                              const char *text, char **ret, struct pfs_error *err)
{
    struct pfs_reply r;
    enum pfs_class cls = call(c, op, path, NULL, text, &r, err);
    if (cls == PFS_OK) {
        *ret = r.text;
        r.text = NULL;
    }
    pfs_reply_fini(&r);
    return cls;
}

enum pfs_class pfs_readlink(struct pfs_client *c, const char *path, char **ret,
                            struct pfs_error *err)
{
    return text_of(c, PFS_OP_READLINK, path, NULL, ret, err);
}

enum pfs_class pfs_digest(struct pfs_client *c, const char *path, const char *algorithm, char **ret,
                          struct pfs_error *err)
{
    return text_of(c, PFS_OP_DIGEST, path, algorithm, ret, err);
}

enum pfs_class pfs_readdir(struct pfs_client *c, const char *path, struct pfs_list *ret,
                           struct pfs_error *err)
{
    struct pfs_reply r;
    enum pfs_class cls = call(c, PFS_OP_READDIR, path, NULL, NULL, &r, err);
    if (cls == PFS_OK) {
        *ret = (struct pfs_list){.entries = r.list, .n = r.n_list};
        r.list = NULL;
        r.n_list = 0;
    }
    pfs_reply_fini(&r);
    return cls;
}

void pfs_list_fini(struct pfs_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        pfs_stat_fini(&l->entries[i]);
    free(l->entries);
    *l = (struct pfs_list){0};
}

enum pfs_class pfs_grep(struct pfs_client *c, const char *path, const char *pattern, uint32_t flags,
                        struct pfs_matches *ret, struct pfs_error *err)
{
    struct pfs_reply r;
    (void)flags;
    enum pfs_class cls = call(c, PFS_OP_GREP, path, NULL, pattern, &r, err);
    if (cls == PFS_OK) {
        *ret = (struct pfs_matches){.matches = r.matches, .n = r.n_matches};
        r.matches = NULL;
        r.n_matches = 0;
    }
    pfs_reply_fini(&r);
    return cls;
}

void pfs_matches_fini(struct pfs_matches *m)
{
    for (size_t i = 0; i < m->n; i++) {
        free(m->matches[i].file);
        free(m->matches[i].content);
    }
    free(m->matches);
    *m = (struct pfs_matches){0};
}

enum pfs_class pfs_capabilities(struct pfs_client *c, char **ret_version,
                                struct pfs_matches *ret_features, struct pfs_error *err)
{
    (void)c;
    (void)err;
    *ret_version = strdup("1.4.0");
    ret_features->matches = calloc(2, sizeof(*ret_features->matches));
    ret_features->matches[0].file = strdup("grep");
    ret_features->matches[1].file = strdup("stream");
    ret_features->n = 2;
    return PFS_OK;
}

/* ---- streams ------------------------------------------------------------------------------- */

struct fake_stream {
    struct pfs_stream base;
    struct pfs_client *client;
    char *path, *data;
    size_t len, at;
    int64_t length; /* that was said */
    uint32_t flags;
};

static struct pfs_stream *open_stream(struct pfs_client *c, const char *path, uint32_t flags)
{
    struct fake_stream *s = calloc(1, sizeof(*s));
    s->client = c;
    s->path = strdup(path);
    s->flags = flags;
    s->base.size = -1;
    return &s->base;
}

enum pfs_class pfs_open_read(struct pfs_client *c, const char *path, int64_t offset, int64_t size,
                             struct pfs_stream **ret, struct pfs_error *err)
{
    struct pfs_stat st;
    (void)offset;
    (void)size;
    enum pfs_class cls = pfs_stat(c, path, &st, err);
    if (cls != PFS_OK)
        return cls;
    struct fake_stream *s = (struct fake_stream *)open_stream(c, path, 0);
    s->len = (size_t)st.size;
    s->data = malloc(s->len + 1);
    if (!st.is_dir)
        memcpy(s->data, fake_content(c, path), s->len);
    s->base.size = st.size;
    pfs_stat_fini(&st);
    *ret = &s->base;
    return PFS_OK;
}

static void (*on_open_write)(void);

void fake_on_open_write(void (*f)(void))
{
    on_open_write = f;
}

enum pfs_class pfs_open_write(struct pfs_client *c, const char *path, int64_t length,
                              uint32_t flags, struct pfs_stream **ret, struct pfs_error *err)
{
    if (fake_fails(c, PFS_OP_OPEN_WRITE, err))
        return err->cls;
    *ret = open_stream(c, path, flags);
    ((struct fake_stream *)*ret)->length = length;
    if (on_open_write)
        on_open_write();
    on_open_write = NULL;
    return PFS_OK;
}

enum pfs_class pfs_stream_read(struct pfs_stream *base, void *buf, size_t cap, size_t *ret_n,
                               struct pfs_error *err)
{
    struct fake_stream *s = (struct fake_stream *)base;
    size_t n = s->len - s->at < cap ? s->len - s->at : cap;
    /* In halves, so that readers are seen to put pieces together. */
    n = n > 1 ? n / 2 : n;
    (void)err;
    memcpy(buf, s->data + s->at, n);
    s->at += n;
    *ret_n = n;
    return PFS_OK;
}

enum pfs_class pfs_stream_write(struct pfs_stream *base, const void *buf, size_t len,
                                struct pfs_error *err)
{
    struct fake_stream *s = (struct fake_stream *)base;
    if (s->length >= 0 && (int64_t)(s->len + len) > s->length) {
        *err = (struct pfs_error){.cls = PFS_INVALID, .text = "more than was said"};
        return err->cls;
    }
    s->data = realloc(s->data, s->len + len + 1);
    memcpy(s->data + s->len, buf, len);
    s->len += len;
    return PFS_OK;
}

enum pfs_class pfs_stream_finish(struct pfs_stream *base, struct pfs_error *err)
{
    struct fake_stream *s = (struct fake_stream *)base;
    struct pfs_request q = PFS_REQUEST_INIT;
    struct pfs_reply r;
    q.op = PFS_OP_WRITE;
    q.path = s->path;
    q.data = s->data ? s->data : "";
    q.len = s->len;
    q.flags = s->flags;
    enum pfs_class cls = pfs_call(s->client, &q, &r);
    if (cls != PFS_OK)
        *err = r.err;
    pfs_reply_fini(&r);
    return cls;
}

void pfs_stream_close(struct pfs_stream *base)
{
    struct fake_stream *s = (struct fake_stream *)base;
    free(s->path);
    free(s->data);
    free(s);
}
