/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "support/h2server.h"
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static ssize_t sock_recv(int fd, void *buf, size_t cap, int64_t deadline_ns)
{
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int ms = pfs_ms_until(pfs_now(), deadline_ns, 1000);

        if (poll(&p, 1, ms) > 0) {
            ssize_t n = recv(fd, buf, cap, 0);

            return n < 0 ? 0 : n;
        }
        if (ms == 0) {
            return -1;
        }
    }
}

static bool sock_send(struct h2server_conn *c, const char *p, size_t n)
{
    while (n > 0) {
        size_t step = c->slice && c->slice < n ? c->slice : n;
        ssize_t sent = send(c->fd, p, step, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent <= 0) {
            return false;
        }
        p += sent;
        n -= (size_t)sent;
    }
    return true;
}

static bool tls_push(struct h2server_conn *c)
{
    size_t n;
    const char *p;

    while ((p = tls_out(c->tls, &n)) != NULL) {
        if (!sock_send(c, p, n)) {
            return false;
        }
        tls_out_sent(c->tls, n);
    }
    return true;
}

/* More ciphertext; as sock_recv. */
static ssize_t tls_pull(struct h2server_conn *c, int64_t deadline_ns)
{
    size_t cap;
    char *room = tls_in_room(c->tls, &cap);
    ssize_t n = sock_recv(c->fd, room, cap, deadline_ns);

    if (n > 0) {
        tls_in_added(c->tls, (size_t)n);
    }
    return n;
}

static ssize_t conn_read(struct h2peer *p, void *buf, size_t cap, int64_t deadline_ns)
{
    struct h2server_conn *c = p->transport;

    if (!c->tls) {
        return sock_recv(c->fd, buf, cap, deadline_ns);
    }
    for (;;) {
        struct pfs_error err;
        bool clean;
        ssize_t n = tls_read(c->tls, buf, cap, &clean, &err);

        if (n != 0) {
            return n > 0 ? n : 0;
        }
        n = tls_pull(c, deadline_ns);
        if (n <= 0) {
            return n;
        }
    }
}

static bool conn_write(struct h2peer *p, const void *buf, size_t n)
{
    struct h2server_conn *c = p->transport;
    struct pfs_error err;

    return c->tls ? tls_write(c->tls, buf, n, &err) == PFS_OK && tls_push(c) : sock_send(c, buf, n);
}

static bool handshake(struct h2server_conn *c)
{
    struct pfs_error err;
    int rc;

    if (tls_new(c->server->tls, NULL, &c->tls, &err) != PFS_OK) {
        return false;
    }
    while ((rc = tls_handshake(c->tls, &err)) == 0) {
        if (!tls_push(c) || tls_pull(c, pfs_now() + H2PEER_WAIT_NS) <= 0) {
            return false;
        }
    }
    return tls_push(c) && rc > 0;
}

static void *conn_main(void *arg)
{
    struct h2server_conn *c = arg;
    struct h2server *s = c->server;

    if (!s->tls || handshake(c)) {
        s->script(s, &c->peer);
    }
    pthread_mutex_lock(&s->mu);
    close(c->fd);
    c->fd = -1;
    pthread_mutex_unlock(&s->mu);
    return NULL;
}

static void accept_one(struct h2server *s, int fd)
{
    int one = 1;
    struct h2server_conn *c = calloc(1, sizeof *c);

    if (!c) {
        abort();
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    h2peer_init(&c->peer);
    c->server = s;
    c->fd = fd;
    c->slice = s->slice;
    c->peer.read = conn_read;
    c->peer.write = conn_write;
    c->peer.transport = c;
    pthread_mutex_lock(&s->mu);
    unsigned i = atomic_load(&s->n_conns);
    if (s->stopping || i >= H2SERVER_CONNS) {
        close(fd);
        h2peer_fini(&c->peer);
        free(c);
    } else {
        c->peer.index = i;
        s->conns[i] = c;
        atomic_store(&s->n_conns, i + 1); /* before it can have answered anything */
        if (pthread_create(&c->thread, NULL, conn_main, c) != 0) {
            abort();
        }
    }
    pthread_mutex_unlock(&s->mu);
}

static void *accept_main(void *arg)
{
    struct h2server *s = arg;

    for (;;) {
        int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);

        if (fd < 0 && errno == EMFILE) { /* a test's limit, which is the whole process's */
            poll(&(struct pollfd){.fd = s->fd, .events = POLLIN}, 1, 10);
            continue;
        }
        if (fd < 0 && errno == EINTR) { /* tests send signals too */
            continue;
        }
        if (fd < 0) {
            return NULL; /* shut down */
        }
        accept_one(s, fd);
    }
}

static void give_up(void)
{
    perror("h2server");
    abort();
}

void h2server_hold_port(struct h2server *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                            .sin_port = htons(s->port)};
    socklen_t len = sizeof a;
    int one = 1;

    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(s->fd, (struct sockaddr *)&a, sizeof a) != 0 ||
        getsockname(s->fd, (struct sockaddr *)&a, &len) != 0) {
        give_up();
    }
    s->port = ntohs(a.sin_port);
    snprintf(s->url, sizeof s->url, "%s://127.0.0.1:%u/api/v1", s->tls ? "https" : "http", s->port);
}

void h2server_let_go(struct h2server *s)
{
    close(s->fd);
    s->fd = 0;
}

void h2server_start(struct h2server *s)
{
    pthread_condattr_t attr;

    if (s->fd == 0) {
        h2server_hold_port(s);
    }
    if (listen(s->fd, 64) != 0) {
        give_up();
    }
    s->stopping = false;
    atomic_store(&s->n_conns, 0);
    pthread_mutex_init(&s->mu, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->changed, &attr);
    pthread_condattr_destroy(&attr);
    if (pthread_create(&s->thread, NULL, accept_main, s) != 0) {
        give_up();
    }
}

void h2server_stop(struct h2server *s)
{
    pthread_mutex_lock(&s->mu);
    s->stopping = true;
    s->tick = 1u << 30; /* whoever waits goes on */
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->mu);
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    h2server_let_go(s);
    for (unsigned i = 0; i < atomic_load(&s->n_conns); i++) {
        struct h2server_conn *c = s->conns[i];

        pthread_mutex_lock(&s->mu);
        if (c->fd >= 0) {
            shutdown(c->fd, SHUT_RDWR);
        }
        pthread_mutex_unlock(&s->mu);
        pthread_join(c->thread, NULL);
        tls_free(c->tls);
        h2peer_fini(&c->peer);
        free(c);
        s->conns[i] = NULL;
    }
    s->tick = 0;
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->mu);
}

void h2server_count(struct h2server *s)
{
    atomic_fetch_add(&s->n_requests, 1);
}

void h2server_reset(struct h2peer *p)
{
    struct h2server_conn *c = p->transport;
    struct linger l = {.l_onoff = 1};

    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
}

void h2server_begin_record(struct h2peer *p)
{
    static const char head[] = "\27\3\3\100"; /* application data, TLS 1.2, 16 KiB */

    sock_send(p->transport, head, sizeof head);
}

void h2server_finish(struct h2peer *p)
{
    struct h2server_conn *c = p->transport;

    shutdown(c->fd, SHUT_WR);
}

bool h2server_arrived(struct h2peer *p)
{
    const struct h2server_conn *c = p->transport;
    int64_t until = pfs_now() + H2PEER_WAIT_NS;
    struct tcp_info info = {.tcpi_unacked = 1};
    socklen_t len = sizeof info;

    while (getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && info.tcpi_unacked > 0 &&
           pfs_now() < until) {
        sched_yield();
    }
    return info.tcpi_unacked == 0;
}

void h2server_signal(struct h2server *s)
{
    pthread_mutex_lock(&s->mu);
    s->tick++;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->mu);
}

bool h2server_await(struct h2server *s, unsigned n)
{
    int64_t until = pfs_now() + H2PEER_WAIT_NS;
    struct timespec ts = {.tv_sec = until / PFS_SEC, .tv_nsec = until % PFS_SEC};
    int rc = 0;

    pthread_mutex_lock(&s->mu);
    while (s->tick < n && rc == 0) {
        rc = pthread_cond_timedwait(&s->changed, &s->mu, &ts);
    }
    bool there = s->tick >= n;
    pthread_mutex_unlock(&s->mu);
    return there;
}

static unsigned count_entries(const char *dir)
{
    DIR *d = opendir(dir);
    unsigned n = 0;

    if (!d) {
        abort();
    }
    while (readdir(d)) {
        n++;
    }
    closedir(d);
    return n;
}

static struct leaks count_leaks(void)
{
    return (struct leaks){count_entries("/proc/self/fd"), count_entries("/proc/self/task")};
}

static void *nothing(void *arg)
{
    return arg;
}

struct leaks leaks_now(void)
{
    pthread_t thread;

    /* ThreadSanitizer has a thread of its own from the first pthread_create on. */
    if (pthread_create(&thread, NULL, nothing, NULL) == 0) {
        pthread_join(thread, NULL);
    }
    return count_leaks();
}

bool leaks_none(const struct leaks *before)
{
    int64_t until = pfs_now() + 20 * PFS_SEC;

    for (;;) {
        struct leaks now = count_leaks();

        if (now.fds <= before->fds && now.threads <= before->threads) {
            return true;
        }
        if (pfs_now() > until) {
            fprintf(stderr, "left behind: %d descriptors, %d threads\n",
                    (int)(now.fds - before->fds), (int)(now.threads - before->threads));
            return false;
        }
        sched_yield();
    }
}
