/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "rig.h"
#include "base/clock.h"
#include "meters.h"
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void rig_start(struct rig *r, struct tls_ctx *tls)
{
    struct pfs_error err;

    r->options.limits.linger_ms = 200;
    r->options.limits.goaway_ms = 100;
    cr_assert_eq(server_new(&r->options, &r->server, &err), PFS_OK, "%s", err.text);
    cr_assert_eq(server_listen(r->server, "127.0.0.1", 0, tls, &r->port, &err), PFS_OK, "%s",
                 err.text);
    cr_assert_eq(server_start(r->server, &err), PFS_OK, "%s", err.text);
}

bool rig_join(struct rig *r)
{
    bool clean = server_join(r->server);

    server_free(r->server);
    for (int g = 0; g < N_GAUGES; g++) {
        cr_expect_eq(gauge_read((enum gauge)g), 0, "gauge %d: %lld left", g,
                     (long long)gauge_read((enum gauge)g));
    }
    cr_expect_eq(atomic_load(&fake_streams), 0, "%d streams left open", atomic_load(&fake_streams));
    return clean;
}

bool rig_stop(struct rig *r)
{
    server_stop(r->server, 5000);
    return rig_join(r);
}

int peer_connect(const struct rig *r)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)r->port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1;
    struct timeval limit = {.tv_sec = 30};

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    cr_assert_eq(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

int rig_other_end(int fd)
{
    struct sockaddr_in mine, theirs;
    socklen_t n = sizeof mine;

    cr_assert_eq(getsockname(fd, (struct sockaddr *)&mine, &n), 0);
    for (int other = 0; other < 1000; other++) {
        n = sizeof theirs;
        if (getpeername(other, (struct sockaddr *)&theirs, &n) == 0 && n == sizeof theirs &&
            theirs.sin_port == mine.sin_port) {
            return other;
        }
    }
    cr_assert_fail("the server has not accepted it");
    return -1;
}

void peer_send(int fd, const void *p, size_t n)
{
    const char *c = p;

    while (n) {
        ssize_t sent = send(fd, c, n, MSG_NOSIGNAL);

        if (sent <= 0) {
            return; /* the server may close while we write */
        }
        c += sent;
        n -= (size_t)sent;
    }
}

void peer_say(int fd, const char *text)
{
    peer_send(fd, text, strlen(text));
}

void peer_drip(int fd, const void *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        peer_send(fd, (const char *)p + i, 1);
    }
}

static char *read_some(int fd, const char *mark, size_t *ret_n)
{
    size_t n = 0, cap = 4096;
    char *text = malloc(cap);
    int64_t end = pfs_now() + 30 * PFS_SEC;

    while (pfs_now() < end) {
        struct pollfd pf = {.fd = fd, .events = POLLIN};

        if (poll(&pf, 1, pfs_ms_until(pfs_now(), end, 30000)) <= 0) {
            break;
        }
        if (cap - n < 65536) {
            cap = 2 * cap + 65536;
            text = realloc(text, cap);
        }
        ssize_t got = recv(fd, text + n, cap - n - 1, 0);

        n += got > 0 ? (size_t)got : 0;
        text[n] = '\0';
        if (got <= 0 || (mark && strstr(text, mark))) {
            if (ret_n) {
                *ret_n = n;
            }
            return text;
        }
    }
    free(text);
    return NULL;
}

char *peer_read_all(int fd, size_t *ret_n)
{
    return read_some(fd, NULL, ret_n);
}

char *peer_read_until(int fd, const char *mark)
{
    return read_some(fd, mark, NULL);
}

char *peer_talk(const struct rig *r, const char *text)
{
    int fd = peer_connect(r);

    peer_send(fd, text, strlen(text));
    char *answer = peer_read_all(fd, NULL);

    close(fd);
    cr_assert_not_null(answer, "no end of the connection after: %s", text);
    return answer;
}

unsigned count_of(const char *text, const char *what)
{
    unsigned n = 0;

    for (const char *p = text; (p = strstr(p, what)); p += strlen(what)) {
        n++;
    }
    return n;
}
