/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "vfs_rig.h"
#include "base/alloc.h"
#include "base/err.h"
#include "drivers.h"
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEADLINE_S 20 /* for anything that must happen */

struct loop {
    pthread_mutex_t mu;
    pthread_cond_t cond;
    struct post *first, **last;
};

struct vfs *vfs_rig;
atomic_int gate_waiting, gate_closed;

static struct loop loop = {.mu = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
static pthread_mutex_t gate_mu = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_cond = PTHREAD_COND_INITIALIZER;
static bool gate_is_open;

void http_complete(struct loop *l, struct post *p)
{
    http_post(l, p);
}

void http_post(struct loop *l, struct post *p)
{
    pthread_mutex_lock(&l->mu);
    p->next = NULL;
    *l->last = p;
    l->last = &p->next;
    pthread_cond_signal(&l->cond);
    pthread_mutex_unlock(&l->mu);
}

void *http_alloc(struct loop *l, size_t n)
{
    return pfs_malloc(n);
}

void http_free(struct loop *l, void *p)
{
    pfs_free(p);
}

static struct timespec deadline(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += DEADLINE_S;
    return t;
}

void vfs_rig_await_posts(int n)
{
    struct timespec until = deadline();
    int rc = 0, there = 0;

    pthread_mutex_lock(&loop.mu);
    while (there < n && rc == 0) {
        there = 0;
        for (struct post *p = loop.first; p; p = p->next) {
            there++;
        }
        if (there < n) {
            rc = pthread_cond_timedwait(&loop.cond, &loop.mu, &until);
        }
    }
    pthread_mutex_unlock(&loop.mu);
    cr_assert_eq(there, n);
}

void vfs_rig_step(void)
{
    struct timespec until = deadline();
    int rc = 0;

    pthread_mutex_lock(&loop.mu);
    while (!loop.first && rc == 0) {
        rc = pthread_cond_timedwait(&loop.cond, &loop.mu, &until);
    }
    struct post *p = loop.first;

    if (p) {
        loop.first = p->next;
        loop.last = loop.first ? loop.last : &loop.first;
    }
    pthread_mutex_unlock(&loop.mu);
    cr_assert_not_null(p, "nothing happened");
    p->fn(p);
}

/* ---- the gate driver ---- */

static void gate_op(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct timespec until = deadline();
    int rc = 0;

    pthread_mutex_lock(&gate_mu);
    gate_waiting++;
    pthread_cond_broadcast(&gate_cond);
    while (!gate_is_open && rc == 0) {
        rc = pthread_cond_timedwait(&gate_cond, &gate_mu, &until);
    }
    gate_waiting--;
    pthread_mutex_unlock(&gate_mu);
    reply->data = strdup("through");
    reply->len = 7;
}

static void gate_handle(struct pfs_driver *d, const struct pfs_request *req,
                        struct pfs_reply *reply)
{
    reply->handle.id = 1;
}

static void gate_close(struct pfs_driver *d)
{
    gate_closed++;
    free(d);
}

#define GATES                                                                                      \
    [PFS_OP_READ] = gate_op, [PFS_OP_WRITE] = gate_op, [PFS_OP_RENAME] = gate_op,                  \
    [PFS_OP_COPY] = gate_op, [PFS_OP_REMOVE_ALL] = gate_op

static const struct pfs_driver_ops gate_ops = {.name = "gate", .op = {GATES}, .close = gate_close};
static const struct pfs_driver_ops gate_ops_with_handles = {
    .name = "gate",
    .op = {GATES, [PFS_OP_HANDLE_OPEN] = gate_handle, [PFS_OP_HANDLE_WRITE] = gate_op,
           [PFS_OP_HANDLE_TRUNCATE] = gate_op},
    .close = gate_close};

/* ---- the driver that answers later ---- */

unsigned later_pending, later_cancelled;
bool later_obeys;
int64_t later_deadline_ns;

static struct {
    pfs_done_fn *done;
    void *arg;
    const void *ticket;
} later[4];

static void later_op(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    cr_assert_fail("it answers later");
}

static bool later_submit(struct pfs_driver *d, const struct pfs_request *req, pfs_done_fn *done,
                         void *arg)
{
    cr_assert_lt(later_pending, sizeof later / sizeof *later);
    later[later_pending].done = done;
    later[later_pending].arg = arg;
    later[later_pending++].ticket = req->ticket;
    later_deadline_ns = req->deadline_ns;
    return true;
}

void later_answer(enum pfs_class cls)
{
    struct pfs_reply reply = {.err.cls = cls};

    cr_assert_gt(later_pending, 0);
    later_pending--;
    later[later_pending].done(later[later_pending].arg, &reply);
}

static void later_cancel(struct pfs_driver *d, const void *ticket)
{
    cr_assert_not_null(ticket);
    cr_assert_eq(ticket, later[later_pending - 1].ticket, "of another request");
    later_cancelled++;
    if (later_obeys) {
        later_answer(PFS_CANCELLED);
    }
}

static const struct pfs_driver_ops later_ops = {
    .name = "later",
    .op = {[PFS_OP_READDIR] = later_op, [PFS_OP_OPEN_READ] = later_op, [PFS_OP_MKDIR] = later_op},
    .submit = later_submit,
    .cancel = later_cancel,
    .close = gate_close};

void gate_open(void)
{
    pthread_mutex_lock(&gate_mu);
    gate_is_open = true;
    pthread_cond_broadcast(&gate_cond);
    pthread_mutex_unlock(&gate_mu);
}

void gate_shut(void)
{
    pthread_mutex_lock(&gate_mu);
    gate_is_open = false;
    pthread_mutex_unlock(&gate_mu);
}

void gate_await(int n)
{
    struct timespec until = deadline();
    int rc = 0;

    pthread_mutex_lock(&gate_mu);
    while (gate_waiting < n && rc == 0) {
        rc = pthread_cond_timedwait(&gate_cond, &gate_mu, &until);
    }
    pthread_mutex_unlock(&gate_mu);
    cr_assert_eq(rc, 0, "%d calls wait, not %d", gate_waiting, n);
}

/* ---- the tree ---- */

void vfs_rig_init(void)
{
    loop.last = &loop.first;
    vfs_rig = vfs_new();
    cr_assert_not_null(vfs_rig);
}

void vfs_rig_fini(void)
{
    gate_open();
    vfs_free(vfs_rig);
}

void vfs_rig_publish(const char *path, const char *type, struct pfs_driver *d)
{
    const struct mount_spec spec = {.path = path, .type = type};
    struct mount *m = NULL;
    struct pfs_error err;

    cr_assert_eq(vfs_reserve(vfs_rig, &spec, &m, &err), PFS_OK, "%s", err.text);
    cr_assert_eq(vfs_publish(vfs_rig, m, d, &err), PFS_OK, "%s", err.text);
}

void vfs_rig_memfs(const char *path)
{
    struct pfs_driver *d = NULL;

    cr_assert_eq(memfs_open(NULL, 0, &d, NULL), PFS_OK);
    vfs_rig_publish(path, "memfs", d);
}

void vfs_rig_queuefs(const char *path)
{
    struct pfs_driver *d = NULL;

    cr_assert_eq(queuefs_open(NULL, 0, &d, NULL), PFS_OK);
    vfs_rig_publish(path, "queuefs", d);
}

void vfs_rig_localfs(const char *path, const char *dir)
{
    const struct pfs_option option = {"local_dir", dir};
    struct pfs_driver *d = NULL;

    cr_assert_eq(localfs_open(&option, 1, &d, NULL), PFS_OK);
    vfs_rig_publish(path, "localfs", d);
}

void vfs_rig_gate(const char *path, bool handles)
{
    struct pfs_driver *d = calloc(1, sizeof *d);

    d->ops = handles ? &gate_ops_with_handles : &gate_ops;
    vfs_rig_publish(path, "gate", d);
}

void vfs_rig_later(const char *path)
{
    struct pfs_driver *d = calloc(1, sizeof *d);

    d->ops = &later_ops;
    vfs_rig_publish(path, "later", d);
}

static void call_done(void *arg, struct pfs_reply *reply)
{
    struct rig_call *c = arg;

    cr_assert_not(c->done, "done twice");
    c->reply = *reply;
    c->done = true;
}

void vfs_rig_submit(struct rig_call *c, const struct pfs_request *req)
{
    *c = (struct rig_call){0};
    vfs_submit(vfs_rig, &loop, req, call_done, c);
}

void vfs_rig_wait(struct rig_call *c)
{
    while (!c->done) {
        vfs_rig_step();
    }
}

struct pfs_reply vfs_rig_do(const struct pfs_request *req)
{
    struct rig_call c;

    vfs_rig_submit(&c, req);
    vfs_rig_wait(&c);
    return c.reply;
}

struct pfs_reply vfs_rig_path(enum pfs_op op, const char *path)
{
    struct pfs_request req = PFS_REQUEST_INIT;

    req.op = op;
    req.path = path;
    return vfs_rig_do(&req);
}

void vfs_rig_put(const char *path, const char *text)
{
    struct pfs_request req = PFS_REQUEST_INIT;

    req.op = PFS_OP_WRITE;
    req.path = path;
    req.data = text;
    req.len = strlen(text);
    req.flags = PFS_WRITE_CREATE;
    struct pfs_reply r = vfs_rig_do(&req);

    cr_assert_eq(r.err.cls, PFS_OK, "%s", r.err.text);
    pfs_reply_fini(&r);
}

const char *vfs_rig_cat(const char *path)
{
    static char text[1000];
    struct pfs_reply r = vfs_rig_path(PFS_OP_OPEN_READ, path);

    snprintf(text, sizeof text, "%.*s", (int)r.len, r.data ? (char *)r.data : "");
    if (r.err.cls != PFS_OK) {
        snprintf(text, sizeof text, "%s", pfs_class_name(r.err.cls));
    }
    pfs_reply_fini(&r);
    return text;
}

const char *vfs_rig_ls(const char *path)
{
    static char text[1000];
    struct pfs_reply r = vfs_rig_path(PFS_OP_READDIR, path);
    size_t n = 0;

    text[0] = '\0';
    if (r.err.cls != PFS_OK) {
        snprintf(text, sizeof text, "%s", pfs_class_name(r.err.cls));
    }
    for (size_t i = 0; i < r.n_list; i++) {
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s ", r.list[i].name,
                              strcmp(r.list[i].meta_type, "symlink") == 0 ? "@" : "");
    }
    pfs_reply_fini(&r);
    return text;
}

enum pfs_class vfs_rig_try(enum pfs_op op, const char *path, const char *path2)
{
    struct pfs_request req = PFS_REQUEST_INIT;

    req.op = op;
    req.path = path;
    req.path2 = path2;
    struct pfs_reply r = vfs_rig_do(&req);
    enum pfs_class cls = r.err.cls;

    pfs_reply_fini(&r);
    return cls;
}
