/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "delay_proxy.h"
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PIECE (64u << 10)
#define PIECES 1024 /* 64 MiB: more than any window */

struct delay_proxy {
    int listener;
    uint16_t port, target_port;
    int64_t delay_ns;
    uint64_t rate;
};

struct piece {
    int64_t due_ns;
    size_t n; /* 0: the end */
    char *bytes;
};

struct connection;

/* One direction of one connection: a thread that receives and a thread that sends. */
struct line {
    const struct delay_proxy *proxy;
    struct connection *connection;
    int from, to;
    pthread_mutex_t mu;
    pthread_cond_t changed;
    struct piece pieces[PIECES];
    unsigned first, n;
    bool broken;
};

/* Its threads hold it; the last one closes both ends and frees it. */
struct connection {
    struct line lines[2];
    int near, far;
    atomic_uint refs;
};

static void connection_unref(struct connection *c)
{
    if (atomic_fetch_sub(&c->refs, 1) == 1) {
        close(c->near);
        close(c->far);
        free(c);
    }
}

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void push(struct line *l, const struct piece *p)
{
    pthread_mutex_lock(&l->mu);
    while (l->n == PIECES && !l->broken) {
        pthread_cond_wait(&l->changed, &l->mu);
    }
    if (l->n < PIECES) {
        l->pieces[(l->first + l->n++) % PIECES] = *p;
    } else {
        free(p->bytes);
    }
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->mu);
}

static void *receive(void *arg)
{
    struct line *l = arg;
    int64_t free_ns = 0; /* when the line has sent what it was given */

    for (;;) {
        struct piece p = {.bytes = malloc(PIECE)};
        ssize_t n = p.bytes ? recv(l->from, p.bytes, PIECE, 0) : -1;
        int64_t now = now_ns();

        p.n = n > 0 ? (size_t)n : 0;
        free_ns =
            (free_ns > now ? free_ns : now) + (int64_t)((double)p.n * 1e9 / (double)l->proxy->rate);
        p.due_ns = free_ns + l->proxy->delay_ns;
        push(l, &p);
        if (p.n == 0) {
            connection_unref(l->connection);
            return NULL;
        }
    }
}

static struct piece pop(struct line *l)
{
    pthread_mutex_lock(&l->mu);
    while (l->n == 0) {
        pthread_cond_wait(&l->changed, &l->mu);
    }
    struct piece p = l->pieces[l->first];

    l->first = (l->first + 1) % PIECES;
    l->n--;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->mu);
    return p;
}

static void *deliver(void *arg)
{
    struct line *l = arg;

    for (;;) {
        struct piece p = pop(l);
        struct timespec due = {.tv_sec = p.due_ns / 1000000000, .tv_nsec = p.due_ns % 1000000000};

        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
        for (size_t at = 0; at < p.n && !l->broken;) {
            ssize_t n = send(l->to, p.bytes + at, p.n - at, MSG_NOSIGNAL);

            at += n > 0 ? (size_t)n : 0;
            if (n <= 0) {
                pthread_mutex_lock(&l->mu);
                l->broken = true;
                pthread_cond_broadcast(&l->changed);
                pthread_mutex_unlock(&l->mu);
                shutdown(l->from, SHUT_RDWR);
            }
        }
        free(p.bytes);
        if (p.n == 0) {
            shutdown(l->to, SHUT_WR);
            connection_unref(l->connection);
            return NULL;
        }
    }
}

static bool start_thread(void *(*fn)(void *), struct line *l)
{
    pthread_t thread;

    atomic_fetch_add(&l->connection->refs, 1);
    if (pthread_create(&thread, NULL, fn, l) != 0) {
        connection_unref(l->connection);
        return false;
    }
    pthread_detach(thread);
    return true;
}

/* The test needs every connection: one that cannot be carried ends the program. */
static void start_line(struct connection *c, struct line *l, int from, int to)
{
    l->connection = c;
    l->from = from;
    l->to = to;
    pthread_mutex_init(&l->mu, NULL);
    pthread_cond_init(&l->changed, NULL);
    if (!start_thread(receive, l) || !start_thread(deliver, l)) {
        perror("a thread of the delay proxy");
        exit(1);
    }
}

static void *serve(void *arg)
{
    struct delay_proxy *p = arg;

    for (int near; (near = accept(p->listener, NULL, NULL)) >= 0;) {
        struct sockaddr_in a = {.sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                .sin_port = htons(p->target_port)};
        int far = socket(AF_INET, SOCK_STREAM, 0);
        struct connection *c = calloc(1, sizeof *c);

        if (!c || connect(far, (struct sockaddr *)&a, sizeof a) != 0) {
            free(c);
            close(near);
            close(far);
            continue;
        }
        c->lines[0].proxy = c->lines[1].proxy = p;
        c->near = near;
        c->far = far;
        atomic_init(&c->refs, 1); /* until both lines were started */
        start_line(c, &c->lines[0], near, far);
        start_line(c, &c->lines[1], far, near);
        connection_unref(c);
    }
    return NULL;
}

struct delay_proxy *delay_proxy_start(uint16_t target_port, unsigned one_way_ms, uint64_t rate)
{
    struct delay_proxy *p = calloc(1, sizeof *p);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    pthread_t thread;

    if (!p) {
        return NULL;
    }
    p->target_port = target_port;
    p->delay_ns = (int64_t)one_way_ms * 1000000;
    p->rate = rate;
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(p->listener, (struct sockaddr *)&a, n) != 0 || listen(p->listener, 16) != 0 ||
        getsockname(p->listener, (struct sockaddr *)&a, &n) != 0 ||
        pthread_create(&thread, NULL, serve, p) != 0) {
        return NULL;
    }
    pthread_detach(thread);
    p->port = ntohs(a.sin_port);
    return p;
}

uint16_t delay_proxy_port(const struct delay_proxy *p)
{
    return p->port;
}
