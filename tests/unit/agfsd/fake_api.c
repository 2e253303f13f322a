/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "fake_api.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

atomic_int fake_streams, fake_hanging, fake_requests, fake_gone, fake_cuts, fake_body_class;
atomic_int fake_sent, fake_unsent;
atomic_int fake_held = 1;
char fake_hung_client[64];

bool fake_wait(atomic_int *v, int want)
{
    int64_t end = pfs_now() + 30 * PFS_SEC;

    while (atomic_load(v) != want) {
        if (pfs_now() > end) {
            return false;
        }
        usleep(500);
    }
    return true;
}

static long query_number(const struct http_req *r, const char *key, long otherwise)
{
    const char *p = strstr(http_query(r), key);

    return p ? atol(p + strlen(key)) : otherwise;
}

/* ---- a stream of the pattern, in both directions ---- */

struct pattern {
    struct pfs_stream s;
    uint64_t at, len, fail_at;
    bool threaded, endless;
    void *buf;
    size_t cap;
    pfs_io_fn *done;
    void *arg;
    bool writing;
    pthread_t thread;
    bool thread_runs;
};

static void step(struct pattern *p, void *buf, size_t cap, pfs_io_fn *done, void *arg)
{
    struct pfs_error err = {0};
    size_t n = p->len - p->at < cap ? p->len - p->at : cap;

    for (size_t i = 0; i < n; i++) {
        if (!p->writing) {
            ((char *)buf)[i] = fake_pattern(p->at + i);
        } else if (((char *)buf)[i] != fake_pattern(p->at + i)) {
            pfs_refuse(&err, PFS_PAYLOAD, "pattern differs");
        }
    }
    if (p->at + n > p->fail_at) {
        pfs_refuse(&err, PFS_IO, "as asked");
        n = 0;
    }
    p->at += n;
    done(arg, n, &err);
}

static void *step_thread(void *arg)
{
    struct pattern *p = arg;

    step(p, p->buf, p->cap, p->done, p->arg);
    return NULL;
}

static void start(struct pattern *p, void *buf, size_t cap, pfs_io_fn *done, void *arg)
{
    p->buf = buf;
    p->cap = cap;
    p->done = done;
    p->arg = arg;
    if (p->endless) {
        return;
    }
    if (!p->threaded) {
        step(p, buf, cap, done, arg);
        return;
    }
    if (p->thread_runs) {
        pthread_join(p->thread, NULL);
    }
    p->thread_runs = true;
    pthread_create(&p->thread, NULL, step_thread, p);
}

static void pattern_read(struct pfs_stream *s, void *buf, size_t cap, pfs_io_fn *done, void *arg)
{
    start((struct pattern *)s, buf, cap, done, arg);
}

static void pattern_write(struct pfs_stream *s, const void *buf, size_t n, pfs_io_fn *done,
                          void *arg)
{
    start((struct pattern *)s, (void *)(uintptr_t)buf, n, done, arg);
}

static void pattern_close(struct pfs_stream *s)
{
    struct pattern *p = (struct pattern *)s;
    struct pfs_error err;

    if (p->thread_runs) {
        pthread_join(p->thread, NULL);
    }
    if (p->endless && p->done) {
        pfs_refuse(&err, PFS_CANCELLED, "closed");
        p->done(p->arg, 0, &err);
    }
    free(p);
    atomic_fetch_sub(&fake_streams, 1);
}

static const struct pfs_stream_ops plain_ops = {
    .read = pattern_read, .write = pattern_write, .close = pattern_close};
static const struct pfs_stream_ops blocking_ops = {
    .blocking = true, .read = pattern_read, .write = pattern_write, .close = pattern_close};

static struct pattern *pattern_new(const struct http_req *r)
{
    struct pattern *p = calloc(1, sizeof *p);

    p->s.ops = strstr(http_query(r), "how=block") ? &blocking_ops : &plain_ops;
    p->threaded = strstr(http_query(r), "how=thread") != NULL;
    p->fail_at = (uint64_t)query_number(r, "fail=", INT64_MAX);
    p->len = (uint64_t)query_number(r, "n=", 0);
    p->s.size = query_number(r, "size=", 1) ? (int64_t)p->len : -1;
    atomic_fetch_add(&fake_streams, 1);
    return p;
}

/* ---- handlers ---- */

struct pumped {
    struct http_req *r;
    struct pattern *sink;
};

static void answer_class(struct http_req *r, const struct pfs_error *err)
{
    const char *name = pfs_class_name(err->cls);

    http_respond(r, pfs_class_http(err->cls), "text/plain", strdup(name), strlen(name), NULL, 0);
}

static void on_pumped(void *arg, size_t n, const struct pfs_error *err)
{
    struct pumped *pu = arg;
    struct http_req *r = pu->r;
    char text[32];

    atomic_store(&fake_body_class, (int)err->cls);
    pattern_close(&pu->sink->s);
    free(pu);
    if (err->cls != PFS_OK) {
        answer_class(r, err);
        return;
    }
    snprintf(text, sizeof text, "%zu", n);
    http_respond(r, 200, "text/plain", strdup(text), strlen(text), NULL, 0);
}

static void on_echo(void *arg, char *body, size_t len, const struct pfs_error *err)
{
    struct http_header extra = {"x-echo", "yes"};

    atomic_store(&fake_body_class, (int)err->cls);
    http_body_freed(len);
    if (err->cls != PFS_OK) {
        answer_class(arg, err);
        return;
    }
    http_respond(arg, 200, "application/octet-stream", body, len, &extra, 1);
}

static void serve_sink(struct http_req *r)
{
    struct pumped *pu = malloc(sizeof *pu);

    pu->r = r;
    pu->sink = pattern_new(r);
    pu->sink->writing = true;
    pu->sink->len = UINT64_MAX / 2;
    http_pump_body(r, &pu->sink->s, query_number(r, "max=", -1), on_pumped, pu);
}

static void serve_fields(struct http_req *r)
{
    const char *host = http_field(r, "host");
    const char *client = http_client(r);
    char *text;
    int n = asprintf(&text, "%d %s %s %s %s %lld", (int)http_method(r), http_path(r), http_query(r),
                     host ? host : "-", client ? client : "-", (long long)http_content_length(r));

    http_respond(r, 200, "text/plain", text, (size_t)n, NULL, 0);
}

static void on_told(struct http_sent *s, bool sent)
{
    atomic_fetch_add(sent ? &fake_sent : &fake_unsent, 1);
    free(s);
}

static void serve_told(struct http_req *r)
{
    struct http_sent *s = calloc(1, sizeof *s);
    size_t n = (size_t)query_number(r, "n=", 0);
    char *body = malloc(n);

    for (size_t i = 0; i < n; i++) {
        body[i] = fake_pattern(i);
    }
    list_init(&s->node);
    s->fn = on_told;
    http_on_sent(r, s);
    http_respond(r, 200, NULL, body, n, NULL, 0);
}

/* ---- /hang ---- */

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static struct hung {
    struct post post;
    struct hung *next;
    struct http_req *r;
} * hung;
static bool released;

static void on_release(struct post *p)
{
    struct hung *h = list_entry(p, struct hung, post);
    const char *client = http_client(h->r);

    snprintf(fake_hung_client, sizeof fake_hung_client, "%s", client ? client : "-");
    http_respond(h->r, 200, "text/plain", strdup("released"), 8, NULL, 0);
    free(h);
    atomic_fetch_sub(&fake_hanging, 1);
}

static void on_gone(void *arg)
{
    atomic_fetch_add(&fake_gone, 1);
}

static void serve_hang(struct http_req *r)
{
    struct hung *h = malloc(sizeof *h);
    bool now;

    h->r = r;
    h->post.fn = on_release;
    pthread_mutex_lock(&mu);
    now = released;
    if (!now) {
        h->next = hung;
        hung = h;
    }
    pthread_mutex_unlock(&mu);
    http_on_gone(r, on_gone, NULL);
    atomic_fetch_add(&fake_hanging, 1);
    if (now) {
        http_post(http_loop(r), &h->post);
    }
}

void fake_release(void)
{
    pthread_mutex_lock(&mu);
    struct hung *all = hung;

    hung = NULL;
    released = true;
    pthread_mutex_unlock(&mu);
    while (all) {
        struct hung *next = all->next;

        http_post(http_loop(all->r), &all->post);
        all = next;
    }
}

void api_on_cut(void)
{
    atomic_fetch_add(&fake_cuts, 1);
}

void api_on_request(struct http_req *r)
{
    const char *path = http_path(r);

    atomic_fetch_add(&fake_requests, 1);
    if (strcmp(path, "/hello") == 0 || strcmp(path, "/late") == 0) {
        http_respond(r, 200, "text/plain", strdup("hello\n"), 6, NULL, 0);
    } else if (strcmp(path, "/echo") == 0) {
        http_collect_body(r, 1 << 20, on_echo, r);
    } else if (strcmp(path, "/fields") == 0) {
        serve_fields(r);
    } else if (strcmp(path, "/source") == 0) {
        http_respond_stream(r, 200, "application/octet-stream", &pattern_new(r)->s, NULL, 0);
    } else if (strcmp(path, "/told") == 0) {
        serve_told(r);
    } else if (strcmp(path, "/follow") == 0) {
        struct pattern *p = pattern_new(r);

        p->endless = true;
        p->s.size = -1;
        http_respond_stream(r, 200, NULL, &p->s, NULL, 0);
    } else if (strcmp(path, "/sink") == 0) {
        serve_sink(r);
    } else if (strcmp(path, "/hold") == 0) {
        bool in_time = fake_wait(&fake_held, 0);

        http_respond(r, in_time ? 200 : 500, "text/plain", strdup("held\n"), 5, NULL, 0);
    } else if (strcmp(path, "/hang") == 0) {
        serve_hang(r);
    } else {
        http_respond(r, 404, "text/plain", strdup("not found\n"), 10, NULL, 0);
    }
}
