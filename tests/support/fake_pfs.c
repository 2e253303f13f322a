/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "fake_pfs.h"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NODES_MAX 256
#define MTIME_NS 1700000000123456789 /* 2023-11-14 22:13:20 UTC */

struct node {
    char *path, *data; /* path NULL: free; data NULL: a directory */
    size_t len;
    uint32_t mode;
};

struct pfs_client {
    struct node nodes[NODES_MAX];
    enum pfs_op fail_op;
    struct pfs_error fail;
    enum pfs_op interrupt_op;
    const char *intruder;
    bool corrupt;
    char last_mount[512];
};

/* ---- the tree ------------------------------------------------------------------------------ */

static struct node *find(struct pfs_client *c, const char *path)
{
    for (size_t i = 0; i < NODES_MAX; i++)
        if (c->nodes[i].path && strcmp(c->nodes[i].path, path) == 0)
            return &c->nodes[i];
    return NULL;
}

static struct node *add(struct pfs_client *c, const char *path, const char *data, size_t len)
{
    for (size_t i = 0; i < NODES_MAX; i++) {
        struct node *n = &c->nodes[i];
        if (n->path)
            continue;
        *n = (struct node){.path = strdup(path), .mode = data ? 0644 : 0755, .len = len};
        if (data) {
            n->data = calloc(1, len + 1);
            memcpy(n->data, data, len);
        }
        return n;
    }
    abort();
}

static void drop(struct node *n)
{
    free(n->path);
    free(n->data);
    *n = (struct node){0};
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash[1] ? slash + 1 : path;
}

/* The rest of path below dir, or NULL. */
static const char *below(const char *path, const char *dir)
{
    size_t n = strcmp(dir, "/") == 0 ? 0 : strlen(dir);
    return strncmp(path, dir, n) == 0 && path[n] == '/' && path[n + 1] ? path + n + 1 : NULL;
}

static bool has_parent(struct pfs_client *c, const char *path)
{
    char parent[256];
    snprintf(parent, sizeof(parent), "%s", path);
    char *slash = strrchr(parent, '/');
    slash[slash == parent] = '\0';
    struct node *n = find(c, parent);
    return n && n->data == NULL;
}

struct pfs_client *fake_new(void)
{
    struct pfs_client *c = calloc(1, sizeof(*c));
    c->fail_op = c->interrupt_op = PFS_N_OPS;
    add(c, "/", NULL, 0);
    return c;
}

void pfs_client_free(struct pfs_client *c)
{
    for (size_t i = 0; i < NODES_MAX; i++)
        drop(&c->nodes[i]);
    free(c);
}

void fake_dir(struct pfs_client *c, const char *path)
{
    add(c, path, NULL, 0);
}

void fake_file(struct pfs_client *c, const char *path, const char *content)
{
    struct node *n = add(c, path, content, strlen(content));
    n->mode = strcmp(base_name(path), "reload") == 0 ? 0200 : 0644;
}

const char *fake_content(struct pfs_client *c, const char *path)
{
    struct node *n = find(c, path);
    return n ? n->data : NULL;
}

bool fake_exists(struct pfs_client *c, const char *path)
{
    return find(c, path) != NULL;
}

void fake_fail(struct pfs_client *c, enum pfs_op op, enum pfs_class cls, enum pfs_outcome outcome,
               const char *text)
{
    c->fail_op = op;
    c->fail = (struct pfs_error){.cls = cls, .outcome = outcome, .phase = PFS_PHASE_REPLY};
    snprintf(c->fail.text, sizeof(c->fail.text), "%s", text);
}

bool fake_fails(struct pfs_client *c, enum pfs_op op, struct pfs_error *err)
{
    if (c->fail_op != op)
        return false;
    *err = c->fail;
    c->fail_op = PFS_N_OPS;
    return true;
}

void fake_interrupt(struct pfs_client *c, enum pfs_op op)
{
    c->interrupt_op = op;
}

void fake_intruder(struct pfs_client *c, const char *name)
{
    c->intruder = name;
}

void fake_corrupt(struct pfs_client *c)
{
    c->corrupt = true;
}

const char *fake_last_mount(struct pfs_client *c)
{
    return c->last_mount;
}

/* ---- operations ----------------------------------------------------------------------------- */

static void refuse(struct pfs_error *e, enum pfs_class cls, const char *text)
{
    *e = (struct pfs_error){.cls = cls, .outcome = PFS_OUTCOME_NA, .phase = PFS_PHASE_REPLY};
    e->hop = 1;
    snprintf(e->origin, sizeof(e->origin), "fake:1");
    snprintf(e->text, sizeof(e->text), "%s", text);
}

static void fill_stat(const struct node *n, struct pfs_stat *st)
{
    *st = (struct pfs_stat){.name = strdup(base_name(n->path)),
                            .size = (int64_t)n->len,
                            .mode = n->mode,
                            .is_dir = n->data == NULL,
                            .mtime_ns = MTIME_NS};
    if (n->mode == 0200) {
        st->meta_type = strdup("control");
        st->meta = calloc(1, sizeof(*st->meta));
        st->meta[0].key = strdup("description");
        st->meta[0].value = strdup("Write to this file to reload proxy connection");
        st->n_meta = 1;
    } else {
        st->meta_name = strdup("memfs");
        st->meta_type = strdup(st->is_dir ? "directory" : "file");
    }
}

static void do_readdir(struct pfs_client *c, struct node *n, struct pfs_reply *r)
{
    r->list = calloc(NODES_MAX + 1, sizeof(*r->list));
    /* Backwards, so that sorting is seen to be done. */
    for (size_t i = NODES_MAX; i-- > 0;) {
        const char *rest = c->nodes[i].path ? below(c->nodes[i].path, n->path) : NULL;
        if (rest && strchr(rest, '/') == NULL)
            fill_stat(&c->nodes[i], &r->list[r->n_list++]);
    }
    if (c->intruder)
        r->list[r->n_list++] = (struct pfs_stat){.name = strdup(c->intruder)};
    c->intruder = NULL;
}

static void do_write(struct pfs_client *c, const struct pfs_request *q, struct node *n,
                     struct pfs_reply *r)
{
    char *data = calloc(1, (n ? n->len : 0) + q->len + 1);
    size_t keep = 0;
    if (n && n->data == NULL) {
        refuse(&r->err, PFS_BADARG, "is a directory");
    } else if (n == NULL && !has_parent(c, q->path)) {
        refuse(&r->err, PFS_NOTFOUND, "no such file or directory");
    } else {
        if (n && q->flags & PFS_WRITE_APPEND)
            memcpy(data, n->data, keep = n->len);
        memcpy(data + keep, q->data, q->len);
        if (c->corrupt && q->len)
            data[keep + q->len - 1] ^= 1;
        c->corrupt = false;
        if (n == NULL)
            n = add(c, q->path, "", 0);
        free(n->data);
        n->data = data;
        n->len = keep + q->len;
        r->count = (int64_t)q->len;
        if (n->mode == 0200)
            r->text = strdup("ProxyFS reloaded successfully");
        else if (asprintf(&r->text, "Written %zu bytes", q->len) < 0)
            abort();
        return;
    }
    free(data);
}

static bool has_children(struct pfs_client *c, const char *path)
{
    for (size_t i = 0; i < NODES_MAX; i++)
        if (c->nodes[i].path && below(c->nodes[i].path, path))
            return true;
    return false;
}

static void remove_below(struct pfs_client *c, struct node *n)
{
    for (size_t i = 0; i < NODES_MAX; i++)
        if (c->nodes[i].path && below(c->nodes[i].path, n->path))
            drop(&c->nodes[i]);
    drop(n);
}

static void do_rename(struct pfs_client *c, const struct pfs_request *q, struct node *n,
                      struct pfs_reply *r)
{
    size_t first = 1 + strcspn(q->path + 1, "/");
    if (strncmp(q->path, q->path2, first) != 0 || q->path2[first] != '/') {
        refuse(&r->err, PFS_IO, "HTTP 500: cannot rename across different mounts");
        return;
    }
    if (find(c, q->path2)) {
        refuse(&r->err, PFS_EXISTS, "HTTP 409: file already exists");
        return;
    }
    free(n->path);
    n->path = strdup(q->path2);
}

static void do_grep(const struct pfs_request *q, const struct node *n, struct pfs_reply *r)
{
    if (n->data == NULL || strstr(n->data, q->text) == NULL)
        return;
    r->matches = calloc(1, sizeof(*r->matches));
    r->matches[0] = (struct pfs_match){
        .file = strdup(q->path), .line = 1, .content = strndup(n->data, strcspn(n->data, "\n"))};
    r->n_matches = 1;
}

static void put_data(struct pfs_reply *r, const char *s)
{
    r->data = strdup(s);
    r->len = strlen(s);
}

/* Operations without a file. False: the operation needs one. */
static bool do_server(struct pfs_client *c, const struct pfs_request *q, struct pfs_reply *r)
{
    if (q->op == PFS_OP_HEALTH)
        put_data(r, "{\"status\":\"healthy\",\"version\":\"1.4.0\"}");
    else if (q->op == PFS_OP_MOUNTS)
        put_data(r, "{\"mounts\":[{\"path\":\"/memfs\",\"pluginName\":\"memfs\",\"status\":"
                    "\"mounted\"},{\"path\":\"/remote\",\"pluginName\":\"proxyfs\",\"status\":"
                    "\"mounted\",\"config\":{\"base_url\":\"http://h:1/api/v1\",\"retries\":3}},"
                    "{\"path\":\"/x\",\"pluginName\":\"localfs\",\"status\":\"failed\",\"error\":"
                    "\"no directory\"}]}");
    else if (q->op == PFS_OP_PLUGINS)
        put_data(r, "{\"plugins\":[{\"name\":\"memfs\",\"is_external\":false,\"mounted_paths\":"
                    "[{\"path\":\"/memfs\"}]},{\"name\":\"hello\",\"library_path\":\"/l/h.so\","
                    "\"is_external\":true,\"mounted_paths\":null}]}");
    else if (q->op == PFS_OP_PLUGIN_LOAD)
        put_data(r, "{\"message\":\"plugin loaded successfully\",\"plugin_name\":\"hello-1\"}");
    else if (q->op == PFS_OP_MOUNT)
        snprintf(c->last_mount, sizeof(c->last_mount), "%s %s %.*s", q->text, q->path, (int)q->len,
                 (const char *)q->data);
    else
        return q->op == PFS_OP_UNMOUNT;
    return true;
}

/* Operations on a file that exists. */
static void do_file(struct pfs_client *c, const struct pfs_request *q, struct node *n,
                    struct pfs_reply *r)
{
    if (q->op == PFS_OP_STAT)
        fill_stat(n, &r->stat);
    else if (q->op == PFS_OP_READDIR && n->data)
        refuse(&r->err, PFS_BADARG, "not a directory");
    else if (q->op == PFS_OP_READDIR)
        do_readdir(c, n, r);
    else if (q->op == PFS_OP_REMOVE && has_children(c, q->path))
        refuse(&r->err, PFS_EXISTS, "directory not empty");
    else if (q->op == PFS_OP_REMOVE || q->op == PFS_OP_REMOVE_ALL)
        remove_below(c, n);
    else if (q->op == PFS_OP_CHMOD)
        n->mode = q->mode;
    else if (q->op == PFS_OP_TRUNCATE)
        n->len = (size_t)q->size;
    else if (q->op == PFS_OP_RENAME)
        do_rename(c, q, n, r);
    else if (q->op == PFS_OP_DIGEST || q->op == PFS_OP_READLINK)
        r->text = strdup(q->op == PFS_OP_READLINK                        ? "target"
                         : n->data && strcmp(n->data, "line one\n") == 0 ? "a99b8775cc15b6c7"
                                                                         : "of other content");
    else if (q->op == PFS_OP_GREP)
        do_grep(q, n, r);
    else if (q->op != PFS_OP_TOUCH)
        refuse(&r->err, PFS_UNSUPPORTED, "operation not supported");
}

static enum pfs_class call(struct pfs_client *c, const struct pfs_request *q, struct pfs_reply *r)
{
    *r = (struct pfs_reply){0};
    if (c->interrupt_op == q->op) {
        c->interrupt_op = PFS_N_OPS;
        raise(SIGINT);
    }
    if (fake_fails(c, q->op, &r->err))
        return r->err.cls;
    if (do_server(c, q, r))
        return PFS_OK;
    struct node *n = find(c, q->path);
    if (q->op == PFS_OP_WRITE)
        do_write(c, q, n, r);
    else if ((q->op == PFS_OP_MKDIR || q->op == PFS_OP_CREATE) && n)
        refuse(&r->err, PFS_EXISTS, "already exists");
    else if ((q->op == PFS_OP_MKDIR || q->op == PFS_OP_CREATE) && has_parent(c, q->path))
        add(c, q->path, q->op == PFS_OP_CREATE ? "" : NULL, 0)->mode =
            q->op == PFS_OP_CREATE ? 0644 : q->mode;
    else if (n == NULL)
        refuse(&r->err, PFS_NOTFOUND, "HTTP 404: no such file or directory");
    else
        do_file(c, q, n, r);
    return r->err.cls;
}

enum pfs_class pfs_call(struct pfs_client *c, const struct pfs_request *q, struct pfs_reply *r)
{
    static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

    pthread_mutex_lock(&one_at_a_time);
    enum pfs_class cls = call(c, q, r);
    pthread_mutex_unlock(&one_at_a_time);
    return cls;
}
