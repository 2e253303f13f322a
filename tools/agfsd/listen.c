/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "listen.h"
#include "base/alloc.h"
#include "base/err.h"
#include "base/log.h"
#include "clients.h"
#include "conn.h"
#include "loop.h"
#include "meters.h"
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct listener {
    struct list node;
    struct loop *loop;
    struct endpoint *endpoint;
    int fd, reserve_fd; /* the reserve is given up to turn a connection away when fds run out */
    uv_poll_t poll;
    uv_timer_t pause;
    unsigned n_open; /* handles not yet closed */
};

/* ---- endpoints ---- */

/* Dead peers are found also while nothing is sent; accepted sockets inherit all of it. */
static void set_options(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {
        {SOL_SOCKET, SO_REUSEADDR, 1},    {IPPROTO_TCP, TCP_NODELAY, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 1},    {IPPROTO_TCP, TCP_KEEPIDLE, 60},
        {IPPROTO_TCP, TCP_KEEPINTVL, 10}, {IPPROTO_TCP, TCP_KEEPCNT, 3},
    };

    for (unsigned i = 0; i < sizeof(options) / sizeof(*options); i++) {
        setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int));
    }
}

/* A bound socket; without `shared` the address must not be in use by anyone. -1: errno is set. */
static int bound_socket(const struct sockaddr_storage *addr, socklen_t len, bool shared)
{
    int one = 1, zero = 0;
    int fd = socket(addr->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return -1;
    }
    set_options(fd);
    if (addr->ss_family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
    }
    if (shared) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
    }
    if (bind(fd, (const struct sockaddr *)addr, len) != 0) {
        int saved = errno;

        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

static enum pfs_class socket_error(struct pfs_error *err, const char *what)
{
    int eno = errno;
    enum pfs_class cls = eno == EMFILE || eno == ENFILE ? PFS_NOFILE : PFS_CONN;

    pfs_refuse(err, cls, "listen: %s: %s", what, strerror(eno));
    if (err) {
        err->sys_errno = eno;
    }
    return cls;
}

enum pfs_class endpoint_socket(const struct endpoint *e, int *ret_fd, struct pfs_error *err)
{
    int fd = bound_socket(&e->addr, e->addr_len, true);

    if (fd < 0) {
        return socket_error(err, "bind");
    }
    if (listen(fd, LISTEN_BACKLOG) != 0) {
        enum pfs_class cls = socket_error(err, "listen");

        close(fd);
        return cls;
    }
    *ret_fd = fd;
    return PFS_OK;
}

static enum pfs_class resolve(struct endpoint *e, const char *host, unsigned port,
                              struct pfs_error *err)
{
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *all = NULL;
    char service[16];

    snprintf(service, sizeof(service), "%u", port);
    int rc = getaddrinfo(host && *host ? host : NULL, service, &hints, &all);

    if (rc != 0) {
        return pfs_refuse(err, PFS_DNS, "listen: %s: %s", host ? host : "*", gai_strerror(rc));
    }
    struct addrinfo *best = all;

    for (struct addrinfo *ai = all; ai && !(host && *host); ai = ai->ai_next) {
        if (ai->ai_family == AF_INET6) { /* any address: this one takes IPv4 too */
            best = ai;
        }
    }
    memcpy(&e->addr, best->ai_addr, best->ai_addrlen);
    e->addr_len = best->ai_addrlen;
    freeaddrinfo(all);
    return PFS_OK;
}

/* Two servers must not share a port by accident, which SO_REUSEPORT alone would let them do. */
static enum pfs_class probe(struct endpoint *e, unsigned port, struct pfs_error *err)
{
    int fd = bound_socket(&e->addr, e->addr_len, false);

    if (fd < 0 && errno == EAFNOSUPPORT && e->addr.ss_family == AF_INET6) {
        struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

        memcpy(&e->addr, &any, sizeof(any)); /* no IPv6 here */
        e->addr_len = sizeof(any);
        fd = bound_socket(&e->addr, e->addr_len, false);
    }
    if (fd < 0) {
        return socket_error(err, "bind");
    }
    close(fd);
    return PFS_OK;
}

enum pfs_class endpoint_new(const char *host, unsigned port, struct tls_ctx *tls,
                            struct endpoint **ret, int *ret_fd, struct pfs_error *err)
{
    struct endpoint *e = pfs_calloc(1, sizeof(*e));

    if (!e) {
        return pfs_nomem(err, "listener");
    }
    pthread_mutex_init(&e->mu, NULL);
    enum pfs_class cls = resolve(e, host, port, err);

    if (cls == PFS_OK) {
        cls = probe(e, port, err);
    }
    if (cls == PFS_OK) {
        cls = endpoint_socket(e, ret_fd, err);
    }
    if (cls != PFS_OK) {
        endpoint_free(e);
        return cls;
    }
    getsockname(*ret_fd, (struct sockaddr *)&e->addr, &e->addr_len); /* the port that was free */
    e->is_tls = tls != NULL;
    e->tls = tls ? tls_ctx_ref(tls) : NULL;
    *ret = e;
    return PFS_OK;
}

unsigned endpoint_port(const struct endpoint *e)
{
    const void *a = &e->addr;

    return ntohs(e->addr.ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)a)->sin6_port
                                               : ((const struct sockaddr_in *)a)->sin_port);
}

void endpoint_set_tls(struct endpoint *e, struct tls_ctx *tls)
{
    pthread_mutex_lock(&e->mu);
    struct tls_ctx *old = e->tls;

    e->tls = tls_ctx_ref(tls);
    pthread_mutex_unlock(&e->mu);
    tls_ctx_unref(old);
}

static struct tls_ctx *endpoint_tls(struct endpoint *e)
{
    if (!e->is_tls) {
        return NULL;
    }
    pthread_mutex_lock(&e->mu);
    struct tls_ctx *ctx = tls_ctx_ref(e->tls);

    pthread_mutex_unlock(&e->mu);
    return ctx;
}

void endpoint_free(struct endpoint *e)
{
    if (e) {
        tls_ctx_unref(e->tls);
        pthread_mutex_destroy(&e->mu);
        pfs_free(e);
    }
}

/* ---- accepting ---- */

static void on_acceptable(uv_poll_t *handle, int status, int events);

static void accepted(struct listener *ls, int fd, const struct sockaddr_storage *peer)
{
    struct loop *l = ls->loop;
    struct client_key key;
    enum clients_verdict v = clients_enter(l->clients, (const struct sockaddr *)peer, &key);

    if (v != CLIENTS_OK) {
        meter_hit(v == CLIENTS_TOO_MANY ? METER_CONNECTIONS : METER_PER_ADDRESS, &key, NULL);
        close(fd);
        return;
    }
    struct tls_ctx *tls = endpoint_tls(ls->endpoint);

    if (!conn_new(l, fd, &key, tls)) {
        clients_leave(l->clients, &key);
        close(fd);
    }
    tls_ctx_unref(tls);
}

static void on_pause_over(uv_timer_t *handle)
{
    struct listener *ls = handle->data;

    uv_poll_start(&ls->poll, UV_READABLE, on_acceptable);
}

/* Out of descriptors: turn the first in the queue away, so that it learns of it, then wait. */
static void no_descriptors(struct listener *ls)
{
    log_warn("out of file descriptors: no connections for %lld ms",
             (long long)ls->loop->limits->accept_pause_ms);
    meter_hit(METER_DESCRIPTORS, NULL, NULL);
    if (ls->reserve_fd >= 0) {
        close(ls->reserve_fd);
        int fd = accept4(ls->fd, NULL, NULL, SOCK_CLOEXEC);

        if (fd >= 0) {
            close(fd);
        }
        ls->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    uv_poll_stop(&ls->poll);
    uv_timer_start(&ls->pause, on_pause_over, (uint64_t)ls->loop->limits->accept_pause_ms, 0);
}

/* True: there may be more. */
static bool accept_one(struct listener *ls)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof(peer);
    int fd = accept4(ls->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd >= 0) {
        accepted(ls, fd, &peer);
        return true;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
        no_descriptors(ls);
        return false;
    }
    return errno != EAGAIN && errno != EINVAL && errno != EBADF; /* else: that one has gone */
}

static void on_acceptable(uv_poll_t *handle, int status, int events)
{
    struct listener *ls = handle->data;

    for (int i = 0; i < ACCEPT_MAX_PER_TURN && accept_one(ls); i++) {
    }
}

/* ---- life ---- */

static void on_handle_closed(uv_handle_t *handle)
{
    struct listener *ls = handle->data;

    if (--ls->n_open == 0) {
        if (ls->reserve_fd >= 0) {
            close(ls->reserve_fd);
        }
        pfs_free(ls);
    }
}

enum pfs_class listener_add(struct loop *l, struct endpoint *e, int fd, struct pfs_error *err)
{
    struct listener *ls = pfs_calloc(1, sizeof(*ls));

    if (!ls) {
        close(fd);
        return pfs_nomem(err, "listener");
    }
    ls->loop = l;
    ls->endpoint = e;
    ls->fd = fd;
    int rc = uv_poll_init(&l->uv, &ls->poll, fd);

    if (rc != 0) {
        close(fd);
        pfs_free(ls);
        return pfs_refuse(err, PFS_NOFILE, "listen: %s", uv_strerror(rc));
    }
    ls->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    uv_timer_init(&l->uv, &ls->pause);
    ls->n_open = 2;
    ls->poll.data = ls->pause.data = ls;
    uv_poll_start(&ls->poll, UV_READABLE, on_acceptable);
    list_append(&l->listeners, &ls->node);
    return PFS_OK;
}

void listeners_close(struct loop *l)
{
    struct list *node;

    while ((node = list_take_first(&l->listeners))) {
        struct listener *ls = list_entry(node, struct listener, node);

        if (uv_is_active((uv_handle_t *)&ls->poll)) { /* they were promised to be served */
            for (int i = 0; i < LISTEN_BACKLOG && accept_one(ls); i++) {
            }
        }
        uv_close((uv_handle_t *)&ls->poll, on_handle_closed);
        uv_close((uv_handle_t *)&ls->pause, on_handle_closed);
        close(ls->fd);
    }
}
