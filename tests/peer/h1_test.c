/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Over loopback, in HTTP/1.1: which bytes are whose reply. */
#include "world.h"
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

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

/* The client's end of a connection to the peer. */
static int client_fd(const struct world *w)
{
    for (int fd = 0; fd < 1024; fd++) {
        struct sockaddr_in a = {0};
        socklen_t len = sizeof a;

        if (getpeername(fd, (struct sockaddr *)&a, &len) == 0 && a.sin_family == AF_INET &&
            ntohs(a.sin_port) == w->server.port) {
            return fd;
        }
    }
    cr_assert_fail("no connection");
    return -1;
}

static int option_of(int fd, int level, int option)
{
    int value = -1;
    socklen_t len = sizeof value;

    cr_assert_eq(getsockopt(fd, level, option, &value, &len), 0);
    return value;
}

/* netns: that it works. */
Test(h1, A008_the_kernel_asks_where_no_ping_can)
{
    static const struct {
        const char *protocol, *interval, *timeout;
        int asks, idle, apart, n, untaken_ms;
    } rows[] = {{"auto", "10s", "5s", 1, 10, 1, 5, 15000},
                {"auto", "1s", "500ms", 1, 1, 1, 1, 15000}, /* a peer may pause, all the same */
                {"auto", "30s", "12s", 1, 30, 3, 4, 42000},
                {"h2", "30s", "12s", 0, 0, 0, 0, 42000},
                {"h2", "10s", "5s", 0, 0, 0, 0, 15000}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct world w = {0};
        bool h2 = strcmp(rows[i].protocol, "h2") == 0;
        enum idle none = END;

        world_open(&w, h2 ? world_serve : idle_event, &none,
                   OPTIONS("protocol", rows[i].protocol, "keepalive_interval", rows[i].interval,
                           "keepalive_timeout", rows[i].timeout));
        cr_assert_eq(world_mkdir(&w), PFS_OK, "%s", w.err.text);
        int fd = client_fd(&w);
        cr_assert_eq(option_of(fd, SOL_SOCKET, SO_KEEPALIVE), rows[i].asks, "row %zu", i);
        cr_assert_eq(option_of(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), rows[i].untaken_ms);
        if (rows[i].asks) {
            cr_assert_eq(option_of(fd, IPPROTO_TCP, TCP_KEEPIDLE), rows[i].idle, "row %zu", i);
            cr_assert_eq(option_of(fd, IPPROTO_TCP, TCP_KEEPINTVL), rows[i].apart, "row %zu", i);
            cr_assert_eq(option_of(fd, IPPROTO_TCP, TCP_KEEPCNT), rows[i].n, "row %zu", i);
        }
        world_close(&w);
    }
}
