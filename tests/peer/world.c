/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "world.h"
#include <criterion/criterion.h>
#include <string.h>

#define BOOT "0123456789abcdef; features=offset,atomic-body"

void world_client(struct world *w, const char *const *options)
{
    struct pfs_option o[3 + WORLD_OPTIONS_MAX] = {
        {"base_url", w->server.url}, {"protocol", "h2"}, {"timeout", "5s"}};
    size_t n = 3;

    for (; options && *options; options += 2) {
        size_t i = 0;

        while (i < n && strcmp(o[i].key, options[0]) != 0) {
            i++;
        }
        o[i] = (struct pfs_option){options[0], options[1]};
        n += i == n;
    }
    enum pfs_class cls = pfs_client_new(o, n, &w->c, &w->err);
    cr_assert_eq(cls, PFS_OK, "%s", w->err.text);
}

void world_open(struct world *w, h2script_fn *script, void *arg, const char *const *options)
{
    w->before = leaks_now();
    w->server.script = script;
    w->server.arg = arg;
    h2server_start(&w->server);
    world_client(w, options);
}

void world_close(struct world *w)
{
    pfs_client_free(w->c);
    w->c = NULL;
    h2server_stop(&w->server);
    cr_assert(leaks_none(&w->before), "descriptors or threads are left behind");
}

void world_mark(struct world *w)
{
    w->t0 = pfs_now();
}

int64_t world_ms(const struct world *w)
{
    return (pfs_now() - w->t0) / PFS_MS;
}

enum pfs_class world_stat(struct world *w)
{
    struct pfs_stat st;
    enum pfs_class cls = pfs_stat(w->c, "/f", &st, &w->err);

    if (cls == PFS_OK) {
        cr_assert_str_eq(st.name, "f");
        pfs_stat_fini(&st);
    }
    return cls;
}

enum pfs_class world_read(struct world *w)
{
    struct pfs_data d;
    enum pfs_class cls = pfs_read(w->c, "/f", 0, -1, &d, &w->err);

    if (cls == PFS_OK) {
        cr_assert_eq(d.len, 7);
        cr_assert_eq(memcmp(d.bytes, "content", 7), 0);
        pfs_data_fini(&d);
    }
    return cls;
}

enum pfs_class world_write(struct world *w, const char *s)
{
    return pfs_write(w->c, "/q", s, strlen(s), -1, PFS_WRITE_CREATE | PFS_WRITE_TRUNCATE, NULL,
                     &w->err);
}

enum pfs_class world_mkdir(struct world *w)
{
    return pfs_mkdir(w->c, "/d", 0755, &w->err);
}

static void *run_call(void *arg)
{
    struct world_call *c = arg;

    c->cls = c->fn(&c->w);
    return NULL;
}

void world_call_begin(struct world_call *c, const struct world *w, world_call_fn *fn)
{
    c->w.c = w->c;
    c->fn = fn;
    cr_assert_eq(pthread_create(&c->thread, NULL, run_call, c), 0);
}

void world_call_join(struct world_call *c)
{
    pthread_join(c->thread, NULL);
}

static void reply(struct h2peer *p, const struct h2req *r, const char *boot)
{
    bool is_read = strcmp(r->method, "GET") == 0 && strstr(r->path, "/files?");
    bool is_stat = strstr(r->path, "/stat?") != NULL;
    bool is_list = strcmp(r->method, "GET") == 0 && strstr(r->path, "/directories?");
    const char *body = is_read   ? "content"
                       : is_stat ? "{\"name\":\"f\",\"size\":7,\"mode\":420,\"isDir\":false,"
                                   "\"modTime\":\"2024-01-02T03:04:05Z\",\"meta\":{}}"
                       : is_list ? "{\"files\":[]}"
                       : strstr(r->path, "/health") ? "{\"status\":\"healthy\"}"
                                                    : "{\"message\":\"ok\"}";
    const char *fields[] = {":status",
                            "200",
                            "content-type",
                            is_read ? "application/octet-stream" : "application/json",
                            boot ? "agfs-boot" : NULL,
                            boot,
                            NULL};

    h2peer_headers(p, 0, r->stream, fields);
    h2peer_data(p, H2_END_STREAM, r->stream, body);
}

void world_reply(struct h2peer *p, const struct h2req *r)
{
    reply(p, r, NULL);
}

void world_reply_attested(struct h2peer *p, const struct h2req *r)
{
    reply(p, r, BOOT);
}

void world_serve(struct h2server *s, struct h2peer *p)
{
    h2peer_hello(p, 0, NULL);
    for (struct h2req *r; (r = h2peer_request(p)) != NULL;) {
        h2server_count(s);
        reply(p, r, NULL);
        h2peer_forget(r);
    }
}

void world_deaf(struct h2server *s, struct h2peer *p)
{
    h2peer_hello(p, 0, NULL);
    for (struct h2req *r; (r = h2peer_request(p)) != NULL;) {
        h2server_count(s);
        h2server_signal(s);
        h2peer_forget(r);
    }
}

void world_try_later(struct h2server *s, struct h2peer *p)
{
    h2peer_hello(p, 0, NULL);
    for (struct h2req *r; (r = h2peer_request(p)) != NULL;) {
        h2server_count(s);
        h2peer_reply_with(p, r->stream, "429", "retry-after", "30", "{\"error\":\"later\"}");
        h2peer_forget(r);
        h2server_signal(s);
    }
}
