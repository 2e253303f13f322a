/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "fault_proxy.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LINKS_MAX 256
#define CHUNK 16384

/* One direction of a link: from[0] -> from[1]. */
struct pipe {
    char data[CHUNK];
    size_t len, at;
    int64_t hold_until_ms; /* delayed */
    bool sliced, ended;
};

struct link {
    int fd[2]; /* client, server; -1: free */
    struct pipe pipe[2];
    bool swallow[2];     /* direction i (from fd[i]) leads nowhere */
    int64_t reset_at_ms; /* 0: not */
};

struct fault_proxy {
    int listen_fd, wake_fd;
    uint16_t port;
    atomic_uint target;
    atomic_bool stopping, cut;
    atomic_ulong count;
    pthread_mutex_t mu; /* rates */
    struct fault_rates rates;
    uint64_t random;
    pthread_t thread;
    struct link links[LINKS_MAX];
};

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* xorshift64* */
static uint64_t next_random(struct fault_proxy *p)
{
    p->random ^= p->random >> 12;
    p->random ^= p->random << 25;
    p->random ^= p->random >> 27;
    return p->random * 2685821657736338717ULL;
}

static bool happens(struct fault_proxy *p, unsigned per_million)
{
    return per_million && next_random(p) >> 32 < (uint64_t)per_million * 4295;
}

static void link_reset(struct link *l)
{
    struct linger hard = {.l_onoff = 1};

    for (int i = 0; i < 2; i++) {
        if (l->fd[i] >= 0) {
            setsockopt(l->fd[i], SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
            close(l->fd[i]);
            l->fd[i] = -1;
        }
    }
}

static void link_close(struct link *l)
{
    close(l->fd[0]);
    close(l->fd[1]);
    l->fd[0] = l->fd[1] = -1;
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
        close(fd);
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void accept_one(struct fault_proxy *p)
{
    int client = accept4(p->listen_fd, NULL, NULL, SOCK_CLOEXEC), one = 1;
    int server = client >= 0 ? connect_to((uint16_t)atomic_load(&p->target)) : -1;

    for (int i = 0; server >= 0 && i < LINKS_MAX; i++) {
        struct link *l = &p->links[i];

        if (l->fd[0] < 0) {
            memset(l->pipe, 0, sizeof l->pipe);
            *l = (struct link){.fd = {client, server}};
            setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            return;
        }
    }
    if (client >= 0) {
        close(client);
    }
    if (server >= 0) {
        close(server);
    }
}

/* A fresh chunk in direction d: does something happen to it, or to the link? False: the link is
 * gone. */
static bool strike(struct fault_proxy *p, struct link *l, int d, const struct fault_rates *r)
{
    struct pipe *pipe = &l->pipe[d];
    int64_t now = now_ms();

    if (happens(p, r->reset)) {
        atomic_fetch_add(&p->count, 1);
        link_reset(l);
        return false;
    }
    if (happens(p, r->close)) {
        atomic_fetch_add(&p->count, 1);
        link_close(l);
        return false;
    }
    bool hole = happens(p, r->black_hole), one_way = happens(p, r->one_way);
    if ((hole || one_way) && !l->reset_at_ms) {
        atomic_fetch_add(&p->count, 1);
        l->swallow[1] = true;
        l->swallow[0] = hole;
        l->reset_at_ms = now + r->hole_ms;
    }
    if (happens(p, r->flip)) {
        atomic_fetch_add(&p->count, 1);
        pipe->data[next_random(p) % pipe->len] ^= (char)(1 << next_random(p) % 8);
    }
    if (happens(p, r->delay)) {
        pipe->hold_until_ms = now + r->delay_ms;
    }
    pipe->sliced = happens(p, r->slice);
    return true;
}

/* False: the link is gone. */
static bool receive(struct fault_proxy *p, struct link *l, int d, const struct fault_rates *r)
{
    struct pipe *pipe = &l->pipe[d];
    ssize_t n = recv(l->fd[d], pipe->data, sizeof pipe->data, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return true;
    }
    if (n <= 0) {
        if (n < 0 || l->pipe[!d].ended) {
            n < 0 ? link_reset(l) : link_close(l);
            return false;
        }
        pipe->ended = true;
        shutdown(l->fd[!d], SHUT_WR);
        return true;
    }
    pipe->len = (size_t)n;
    pipe->at = 0;
    return strike(p, l, d, r);
}

static bool forward(struct link *l, int d)
{
    struct pipe *pipe = &l->pipe[d];

    if (l->swallow[d]) {
        pipe->len = 0;
        return true;
    }
    while (pipe->at < pipe->len) {
        size_t n = pipe->sliced ? 1 : pipe->len - pipe->at;
        ssize_t sent = send(l->fd[!d], pipe->data + pipe->at, n, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent < 0 && (errno == EAGAIN || errno == EINTR)) {
            return true;
        }
        if (sent < 0) {
            link_reset(l);
            return false;
        }
        pipe->at += (size_t)sent;
    }
    pipe->len = 0;
    return true;
}

/* What the link waits for; pfd[0], pfd[1] for its two sockets. Returns ms until something is due.
 */
static int prepare(struct link *l, struct pollfd *pfd, int64_t now)
{
    int wait = 1000;

    for (int i = 0; i < 2; i++) {
        pfd[i] = (struct pollfd){.fd = l->fd[i]};
    }
    for (int d = 0; d < 2; d++) {
        struct pipe *pipe = &l->pipe[d];

        if (pipe->len == 0) {
            pfd[d].events |= pipe->ended ? 0 : POLLIN;
        } else if (pipe->hold_until_ms > now) {
            wait =
                (int)(pipe->hold_until_ms - now) < wait ? (int)(pipe->hold_until_ms - now) : wait;
        } else {
            pfd[!d].events |= POLLOUT;
        }
    }
    if (l->reset_at_ms) {
        int left = l->reset_at_ms > now ? (int)(l->reset_at_ms - now) : 0;
        wait = left < wait ? left : wait;
    }
    return wait;
}

static void serve_link(struct fault_proxy *p, struct link *l, const struct pollfd *pfd,
                       const struct fault_rates *r)
{
    int64_t now = now_ms();

    if (l->reset_at_ms && now >= l->reset_at_ms) {
        link_reset(l);
        return;
    }
    for (int d = 0; d < 2; d++) {
        struct pipe *pipe = &l->pipe[d];

        if (pipe->len == 0 && (pfd[d].revents & (POLLIN | POLLHUP | POLLERR)) && !pipe->ended &&
            !receive(p, l, d, r)) {
            return;
        }
        if (pipe->len > 0 && pipe->hold_until_ms <= now && !forward(l, d)) {
            return;
        }
    }
}

static void *proxy_main(void *arg)
{
    struct fault_proxy *p = arg;
    struct pollfd pfd[2 + 2 * LINKS_MAX];
    struct link *who[LINKS_MAX];

    while (!atomic_load(&p->stopping)) {
        int n = 0, wait = 1000;
        int64_t now = now_ms();

        pthread_mutex_lock(&p->mu);
        struct fault_rates rates = p->rates;
        pthread_mutex_unlock(&p->mu);
        bool cut = atomic_exchange(&p->cut, false);
        pfd[0] = (struct pollfd){.fd = p->listen_fd, .events = POLLIN};
        pfd[1] = (struct pollfd){.fd = p->wake_fd, .events = POLLIN};
        for (int i = 0; i < LINKS_MAX; i++) {
            struct link *l = &p->links[i];

            if (l->fd[0] >= 0 && cut) {
                atomic_fetch_add(&p->count, 1);
                link_reset(l);
            }
            if (l->fd[0] >= 0) {
                int due = prepare(l, &pfd[2 + 2 * n], now);
                wait = due < wait ? due : wait;
                who[n++] = l;
            }
        }
        poll(pfd, (nfds_t)(2 + 2 * n), wait);
        uint64_t wakes;
        if ((pfd[1].revents & POLLIN) && read(p->wake_fd, &wakes, sizeof wakes) < 0) {
            break;
        }
        for (int i = 0; i < n; i++) {
            serve_link(p, who[i], &pfd[2 + 2 * i], &rates);
        }
        if (pfd[0].revents & POLLIN) {
            accept_one(p);
        }
    }
    return NULL;
}

struct fault_proxy *fault_proxy_start(uint16_t target_port, uint64_t seed)
{
    struct fault_proxy *p = calloc(1, sizeof *p);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;

    if (!p) {
        return NULL;
    }
    atomic_init(&p->target, target_port);
    p->random = seed * 2654435761u + 88172645463325252ULL;
    pthread_mutex_init(&p->mu, NULL);
    for (int i = 0; i < LINKS_MAX; i++) {
        p->links[i].fd[0] = p->links[i].fd[1] = -1;
    }
    p->wake_fd = eventfd(0, EFD_CLOEXEC);
    p->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (p->listen_fd < 0 || bind(p->listen_fd, (struct sockaddr *)&a, sizeof a) != 0 ||
        listen(p->listen_fd, 128) != 0 ||
        getsockname(p->listen_fd, (struct sockaddr *)&a, &len) != 0 ||
        pthread_create(&p->thread, NULL, proxy_main, p) != 0) {
        close(p->listen_fd);
        close(p->wake_fd);
        free(p);
        return NULL;
    }
    p->port = ntohs(a.sin_port);
    return p;
}

uint16_t fault_proxy_port(const struct fault_proxy *p)
{
    return p->port;
}

static void wake(struct fault_proxy *p)
{
    uint64_t one = 1;
    ssize_t n = write(p->wake_fd, &one, sizeof one);

    (void)n;
}

void fault_proxy_set(struct fault_proxy *p, const struct fault_rates *rates)
{
    pthread_mutex_lock(&p->mu);
    p->rates = *rates;
    pthread_mutex_unlock(&p->mu);
    wake(p);
}

void fault_proxy_retarget(struct fault_proxy *p, uint16_t target_port)
{
    atomic_store(&p->target, target_port);
}

void fault_proxy_cut_all(struct fault_proxy *p)
{
    atomic_store(&p->cut, true);
    wake(p);
}

unsigned long fault_proxy_count(const struct fault_proxy *p)
{
    return atomic_load(&p->count);
}

void fault_proxy_stop(struct fault_proxy *p)
{
    if (p) {
        atomic_store(&p->stopping, true);
        wake(p);
        pthread_join(p->thread, NULL);
        for (int i = 0; i < LINKS_MAX; i++) {
            if (p->links[i].fd[0] >= 0) {
                link_close(&p->links[i]);
            }
        }
        close(p->listen_fd);
        close(p->wake_fd);
        pthread_mutex_destroy(&p->mu);
        free(p);
    }
}
