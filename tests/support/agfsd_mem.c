/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "agfsd_mem.h"
#include "api.h"
#include "clients.h"
#include "conn.h"
#include "loop.h"
#include "mounter.h"
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUIET_TURNS 3 /* without a byte: nothing more comes by itself */

static struct server_limits limits;
static struct loop loop;
static struct api api;
static bool has_loop;

static bool mount_all(void)
{
    static const struct mount_spec specs[] = {{.path = "/m", .type = "memfs"},
                                              {.path = "/q", .type = "queuefs"},
                                              {.path = "/s", .type = "streamfs"},
                                              {.path = "/h", .type = "hellofs"}};
    struct pfs_error err;

    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        if (mounter_mount(api.vfs, api.registry, &specs[i], &err) != PFS_OK) {
            return false;
        }
    }
    return true;
}

bool agfsd_mem_try_start(void)
{
    struct pfs_error err;

    limits = (struct server_limits)SERVER_LIMITS_INIT;
    limits.eof_stall_ms = limits.tick_ms = 100; /* of a live stream that is not followed */
    api.vfs = vfs_new();
    api.registry = registry_new();
    api.workers = pfs_pool_new(1, 16);
    api.writers = pfs_pool_new(1, 16);
    api.dedupe = dedupe_new(64, 1 << 20);
    api.max_body = 1 << 20;
    api.limits = &limits;
    has_loop = loop_init(&loop, 0, &err) == PFS_OK;
    loop.limits = &limits;
    loop.clients = clients_new(&limits);
    loop.workers = pfs_pool_new(1, 16);
    if (!api.vfs || !api.registry || !api.workers || !api.writers || !api.dedupe || !has_loop ||
        !loop.clients || !loop.workers || !mount_all()) {
        agfsd_mem_stop();
        return false;
    }
    api_start(&api);
    return true;
}

void agfsd_mem_start(void)
{
    if (!agfsd_mem_try_start()) {
        fprintf(stderr, "no server\n");
        abort();
    }
}

void agfsd_mem_stop(void)
{
    pfs_pool_free(api.workers);
    pfs_pool_free(api.writers);
    pfs_pool_free(loop.workers);
    vfs_free(api.vfs);
    if (has_loop) {
        loop_fini(&loop);
    }
    clients_free(loop.clients);
    dedupe_free(api.dedupe);
    registry_free(api.registry);
    api = (struct api){0};
    loop = (struct loop){0};
    has_loop = false;
}

/* Turns the loop until nothing comes any more; returns how much came. */
static size_t collect(int fd, char *buf, size_t cap, size_t have)
{
    char rest[65536];

    for (int quiet = 0; quiet < QUIET_TURNS && loop.n_conns;) {
        uv_run(&loop.uv, UV_RUN_NOWAIT);
        bool fits = have < cap;
        ssize_t n = fits ? recv(fd, buf + have, cap - have, MSG_DONTWAIT)
                         : recv(fd, rest, sizeof rest, MSG_DONTWAIT);

        quiet = n > 0 ? 0 : quiet + 1;
        have += n > 0 && fits ? (size_t)n : 0;
    }
    return have;
}

/* Sends n bytes while the other end takes them. */
static size_t say(int fd, const char *p, size_t n, char *buf, size_t cap, size_t have)
{
    ssize_t put = 1;

    while (n > 0 && put > 0 && loop.n_conns) {
        put = send(fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        p += put > 0 ? put : 0;
        n -= put > 0 ? (size_t)put : 0;
        have = collect(fd, buf, cap, have);
    }
    return have;
}

size_t agfsd_mem_talk(const char *data, size_t n, size_t step, char *buf, size_t cap)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct client_key key;
    size_t have = 0, part;
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0) {
        abort();
    }
    if (clients_enter(loop.clients, (const struct sockaddr *)&sa, &key) != CLIENTS_OK) {
        close(fds[0]);
    } else if (!conn_new(&loop, fds[0], &key, NULL)) {
        clients_leave(loop.clients, &key);
        close(fds[0]);
    }
    for (size_t at = 0; at < n; at += part) {
        part = step && step < n - at ? step : n - at;
        have = say(fds[1], data + at, part, buf, cap, have);
    }
    shutdown(fds[1], SHUT_WR);
    have = collect(fds[1], buf, cap, have);
    close(fds[1]);
    while (loop.n_conns || loop.n_reqs || loop.n_ios) {
        uv_run(&loop.uv, UV_RUN_ONCE);
    }
    return have;
}
