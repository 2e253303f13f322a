/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Over loopback, in HTTP/1.1: which bytes are whose reply. */
#include "world.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* The next request's target; false: the client ended. Bodies are as short as a header's read. */
static bool next_request(struct h2peer *p, char target[128])
{
    char text[4096];
    size_t n = 0;

    for (;;) {
        ssize_t got = p->read(p, text + n, sizeof text - 1 - n, pfs_now() + H2PEER_WAIT_NS);

        if (got <= 0) {
            return false;
        }
        n += (size_t)got;
        text[n] = '\0';
        if (strstr(text, "\r\n\r\n")) {
            return sscanf(text, "%*s %127s", target) == 1;
        }
    }
}

static bool answer(struct h2peer *p, const char *status, const char *type, const char *body)
{
    char text[1024];
    int n = snprintf(text, sizeof text,
                     "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n%s", status,
                     type, strlen(body), body);

    return h2peer_raw(p, text, (size_t)n);
}

/* Says of each file which one it is. */
static bool tell_name(struct h2peer *p, const char *target)
{
    bool is_file = strstr(target, "/files?");

    return answer(p, "200 OK", is_file ? "application/octet-stream" : "application/json",
                  is_file ? strchr(target, '=') + 1 : "{\"message\":\"ok\"}");
}

enum idle { STRAY_REPLY, END };

/*
 * Something happens on the first connection between its second reply and the next request: the
 * caller of the first waited for the connection, that of the second drove it, and nobody reads now.
 */
static void idle_event(struct h2server *s, struct h2peer *p)
{
    enum idle what = *(enum idle *)s->arg;
    char target[128];

    for (unsigned i = 0; next_request(p, target); i++) {
        h2server_count(s);
        tell_name(p, target);
        if (i == 1 && p->index == 0) {
            h2server_await(s, 1); /* the client has it */
            if (what == STRAY_REPLY) {
                answer(p, "200 OK", "application/octet-stream", "nobody asked for this");
            } else {
                h2server_finish(p);
            }
            h2server_arrived(p);
            h2server_signal(s);
        }
    }
}

static void assert_reads(struct world *w, const char *path, const char *content)
{
    struct pfs_data d;

    cr_assert_eq(pfs_read(w->c, path, 0, -1, &d, &w->err), PFS_OK, "%s", w->err.text);
    cr_assert_eq(d.len, strlen(content), "%.*s", (int)d.len, d.bytes);
    cr_assert_eq(memcmp(d.bytes, content, d.len), 0, "%.*s", (int)d.len, d.bytes);
    pfs_data_fini(&d);
}

Test(h1, bytes_that_came_before_a_request_are_not_its_reply)
{
    enum idle what = STRAY_REPLY;
    struct world w = {0};

    world_open(&w, idle_event, &what, OPTIONS("protocol", "auto"));
    assert_reads(&w, "/a", "/a");
    assert_reads(&w, "/b", "/b");
    h2server_signal(&w.server);
    cr_assert(h2server_await(&w.server, 2));
    assert_reads(&w, "/c", "/c");
    assert_reads(&w, "/d", "/d");
    cr_assert_eq(atomic_load(&w.server.n_conns), 2, "the first connection was given up");
    cr_assert_eq(atomic_load(&w.server.n_requests), 4);
    world_close(&w);
}

Test(h1, A011_an_end_that_came_before_a_request_loses_none)
{
    enum idle what = END;
    struct world w = {0};

    world_open(&w, idle_event, &what, OPTIONS("protocol", "auto"));
    cr_assert_eq(world_mkdir(&w), PFS_OK, "%s", w.err.text);
    cr_assert_eq(world_mkdir(&w), PFS_OK, "%s", w.err.text);
    h2server_signal(&w.server);
    cr_assert(h2server_await(&w.server, 2));
    cr_assert_eq(world_mkdir(&w), PFS_OK, "%s", w.err.text);
    cr_assert_eq(atomic_load(&w.server.n_conns), 2);
    cr_assert_eq(atomic_load(&w.server.n_requests), 3);
    world_close(&w);
}
