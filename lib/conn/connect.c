/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * From a host name to a connection that is up: look-up, addresses tried with a head start each (RFC
 * 8305), TLS, choice of the protocol. All on the I/O thread; what it finds goes into the connection
 * under its lock.
 */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "conn/conn.h"
#include "conn/resolve.h"
#include "h1/h1.h"
#include "h2/h2.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ADDRESSES_MAX 8
#define HEAD_START_NS (250 * PFS_MS)
#define LOOKUP_NS (3 * PFS_SEC)
/*
 * Data that is not acknowledged, or not taken, for so long at least ends the connection; the
 * kernel's own patience is 15 minutes. It cannot tell a dead peer from one that does not read for a
 * while, so it has no less of it than the answer to a PING may take (keepalive_interval and
 * keepalive_timeout), nor, as in HTTP/1.1 not to read is how a peer slows an upload down, than the
 * window in which a stream must come with 1 KiB/s.
 */
#define UNTAKEN_LEAST_NS (15 * PFS_SEC)
/* A silent peer gets so many probes before it counts as dead, a second apart at least. */
#define PROBES_MAX 5

struct attempt {
    struct io_watch watch; /* fd -1: over */
    struct dial *dial;
};

struct dial {
    struct io_task free_task;
    struct io_timer timer; /* look-up's end, then head starts */
    struct conn *conn;     /* a reference */
    struct resolve *resolve;
    struct addrinfo *list, *next;
    struct attempt attempts[ADDRESSES_MAX];
    unsigned n_attempts, n_active;
    int last_errno;
};

static void free_task(struct io_task *t)
{
    struct dial *d = container_of(t, struct dial, free_task);

    conn_unref(d->conn);
    pfs_free(d);
}

static void attempt_end(struct attempt *a)
{
    if (a->watch.fd >= 0) {
        io_watch_set(a->dial->conn->io, &a->watch, 0);
        close(a->watch.fd);
        a->watch.fd = -1;
        a->dial->n_active--;
    }
}

/* The dial is over; its memory goes after the events of this turn. */
static void dial_end(struct dial *d)
{
    struct conn *c = d->conn;

    c->dial = NULL;
    io_timer_cancel(c->io, &d->timer);
    if (d->resolve) {
        resolve_abandon(d->resolve);
    }
    for (unsigned i = 0; i < d->n_attempts; i++) {
        attempt_end(&d->attempts[i]);
    }
    if (d->list) {
        freeaddrinfo(d->list);
    }
    d->free_task.run = free_task;
    io_post(c->io, &d->free_task);
}

void conn_abort_dial(struct conn *c)
{
    if (c->dial) {
        dial_end(c->dial);
    }
}

static void end_connection(struct conn *c, const struct pfs_error *why)
{
    pthread_mutex_lock(&c->mu);
    conn_die_locked(c, why);
    conn_unlock(c, NULL);
    conn_abort_dial(c);
}

static void dial_fail(struct dial *d, int eno)
{
    struct conn *c = d->conn;
    struct pfs_error why;
    enum pfs_class cls = eno == EMFILE || eno == ENFILE ? PFS_NOFILE : PFS_CONN;

    pfs_fail(&why, cls, PFS_OUTCOME_NA, PFS_PHASE_CONNECT, "cannot connect to %s: %s",
             c->config->authority, strerror(eno));
    why.sys_errno = eno;
    end_connection(c, &why);
}

static enum pfs_class make_session(struct conn *c, bool h2, struct pfs_error *err)
{
    struct h2_options h2_options = {.scheme = c->config->use_tls ? "https" : "http",
                                    .authority = c->config->authority,
                                    .max_streams = c->config->max_streams};
    struct h1_options h1_options = {.authority = c->config->authority};

    return h2 ? h2_session_new(&h2_options, &c->session, err)
              : h1_session_new(&h1_options, &c->session, err);
}

static void set_tcp(int fd, int option, int64_t value)
{
    int v = (int)value;

    setsockopt(fd, IPPROTO_TCP, option, &v, sizeof v);
}

/*
 * A protocol without PING: who waits for a reply sends nothing, and would never learn that the host
 * is gone. The kernel asks in its place, with the times of a PING, in whole seconds.
 */
static void let_kernel_ask(const struct conn *c)
{
    int one = 1;
    int64_t idle = (c->config->keepalive_interval_ns + PFS_SEC - 1) / PFS_SEC;
    int64_t wait = (c->config->keepalive_timeout_ns + PFS_SEC - 1) / PFS_SEC;
    int64_t apart = (wait + PROBES_MAX - 1) / PROBES_MAX;

    set_tcp(c->fd, TCP_KEEPIDLE, idle);
    set_tcp(c->fd, TCP_KEEPINTVL, apart);
    set_tcp(c->fd, TCP_KEEPCNT, (wait + apart - 1) / apart);
    setsockopt(c->fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
}

/* After TLS (or at once in clear text): the protocol, and its first bytes. */
static void start_session_locked(struct conn *c)
{
    struct pfs_error err;
    enum wire_protocol wanted = c->config->protocol;
    const char *alpn = c->tls ? tls_alpn(c->tls) : "";
    bool h2 = c->tls ? strcmp(alpn, "h2") == 0 : wanted == PROTOCOL_H2;

    if (c->tls && wanted == PROTOCOL_H2 && !h2) {
        pfs_fail(&err, PFS_ALPN, PFS_OUTCOME_NA, PFS_PHASE_TLS,
                 "%s does not speak HTTP/2 (ALPN chose %s); protocol=auto allows HTTP/1.1",
                 c->config->authority, *alpn ? alpn : "nothing");
        conn_die_locked(c, &err);
        return;
    }
    if (make_session(c, h2, &err) != PFS_OK) {
        conn_die_locked(c, &err);
        return;
    }
    if (!c->session->ops->ping) {
        let_kernel_ask(c);
    }
    if (c->config->warn_insecure) {
        log_warn("c%u %s: the server's certificate is not verified (insecure_skip_verify)", c->id,
                 c->config->authority);
    }
    log_debug("c%u connected to %s: %s %s", c->id, c->config->authority,
              c->tls ? tls_version(c->tls) : "clear text", c->session->ops->name);
    if (c->session->state.is_up) {
        conn_go_locked(c, CONN_READY, "connected");
    }
}

void conn_handshake_locked(struct conn *c)
{
    struct pfs_error err;
    int rc = tls_handshake(c->tls, &err);

    if (rc < 0) {
        conn_flush_locked(c); /* the alert that says why */
        conn_die_locked(c, &err);
    } else if (rc > 0) {
        int64_t expires = tls_peer_expires(c->tls);

        if (expires != PFS_NEVER) {
            c->trust_ends_ns = pfs_now() + (expires - pfs_wall_now());
        }
        start_session_locked(c);
    }
}

/* The socket blocks for the driving caller's recv; everything else says MSG_DONTWAIT. */
static void prepare_socket(int fd, const struct conn_config *config)
{
    int64_t untaken_ns = config->keepalive_interval_ns + config->keepalive_timeout_ns;
    struct timeval tick = {.tv_usec = CONN_DRIVE_TICK_MS * 1000};

    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof tick);
    set_tcp(fd, TCP_NODELAY, 1);
    untaken_ns = untaken_ns > UNTAKEN_LEAST_NS ? untaken_ns : UNTAKEN_LEAST_NS;
    set_tcp(fd, TCP_USER_TIMEOUT, untaken_ns / PFS_MS);
}

static void use_socket(struct conn *c, int fd)
{
    struct pfs_error err;
    struct tls_ctx *ctx = generation_tls(c->gen);

    prepare_socket(fd, c->config);
    pthread_mutex_lock(&c->mu);
    c->fd = c->watch.fd = fd;
    c->last_rx_ns = pfs_now();
    if (c->state != CONN_DEAD && ctx) {
        if (tls_new(ctx, c->config->server_name, &c->tls, &err) == PFS_OK) {
            conn_handshake_locked(c);
        } else {
            conn_die_locked(c, &err);
        }
    } else if (c->state != CONN_DEAD) {
        start_session_locked(c);
    }
    conn_flush_locked(c);
    conn_unlock(c, NULL);
}

static void dial_next(struct dial *d);

static void on_attempt_ready(struct io_watch *w, uint32_t events)
{
    struct attempt *a = container_of(w, struct attempt, watch);
    struct dial *d = a->dial;
    int eno = 0;
    socklen_t len = sizeof eno;

    if (w->fd < 0) {
        return; /* closed in this turn */
    }
    if (getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &eno, &len) != 0) {
        eno = errno;
    }
    if (eno != 0) {
        d->last_errno = eno;
        attempt_end(a);
        dial_next(d);
        return;
    }
    struct conn *c = d->conn;
    int fd = w->fd;

    io_watch_set(c->io, w, 0);
    w->fd = -1;
    d->n_active--;
    dial_end(d);
    use_socket(c, fd);
}

/* False: this address failed at once. */
static bool attempt_start(struct dial *d, const struct addrinfo *ai)
{
    struct attempt *a = &d->attempts[d->n_attempts];
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        d->last_errno = errno;
        return false;
    }
    a->watch = (struct io_watch){.on_ready = on_attempt_ready, .fd = fd};
    a->dial = d;
    if ((connect(fd, ai->ai_addr, ai->ai_addrlen) != 0 && errno != EINPROGRESS) ||
        !io_watch_set(d->conn->io, &a->watch, EPOLLOUT)) {
        d->last_errno = errno;
        close(fd);
        return false;
    }
    d->n_attempts++;
    d->n_active++;
    return true;
}

/* Tries the next address; the one after it follows when this fails or its head start is over. */
static void dial_next(struct dial *d)
{
    while (d->next && d->n_attempts < ADDRESSES_MAX) {
        const struct addrinfo *ai = d->next;

        d->next = ai->ai_next;
        if (attempt_start(d, ai)) {
            if (d->next) {
                io_timer_set(d->conn->io, &d->timer, pfs_now() + HEAD_START_NS);
            }
            return;
        }
    }
    if (d->n_active == 0) {
        dial_fail(d, d->last_errno ? d->last_errno : EHOSTUNREACH);
    }
}

static void lookup_failed(struct dial *d, const char *reason)
{
    struct conn *c = d->conn;
    struct pfs_error why;

    pfs_fail(&why, PFS_DNS, PFS_OUTCOME_NA, PFS_PHASE_DNS, "host name '%s' cannot be resolved: %s",
             c->config->host, reason);
    end_connection(c, &why);
}

static void on_resolved(void *arg, struct addrinfo *list, int gai_error)
{
    struct dial *d = arg;

    d->resolve = NULL;
    io_timer_cancel(d->conn->io, &d->timer);
    if (!list) {
        lookup_failed(d, gai_strerror(gai_error));
        return;
    }
    d->list = d->next = list;
    dial_next(d);
}

static void on_dial_time(struct io_timer *t)
{
    struct dial *d = container_of(t, struct dial, timer);

    if (d->resolve) {
        lookup_failed(d, "no answer from the resolver within 3 s");
    } else {
        dial_next(d);
    }
}

static void start_dial(struct dial *d)
{
    struct conn *c = d->conn;
    struct pfs_error err;
    struct addrinfo *list = resolve_literal(c->config->host, c->config->port);

    if (list) {
        d->list = d->next = list;
        dial_next(d);
    } else if (resolve_start(c->io, c->config->host, c->config->port, on_resolved, d, &d->resolve,
                             &err) != PFS_OK) {
        end_connection(c, &err);
    } else {
        io_timer_set(c->io, &d->timer, pfs_now() + LOOKUP_NS);
    }
}

static void connect_task(struct io_task *t)
{
    struct conn *c = container_of(t, struct conn, connect_task);
    struct dial *d = pfs_calloc(1, sizeof *d);
    struct pfs_error err;

    pthread_mutex_lock(&c->mu);
    bool dead = c->state == CONN_DEAD; /* the generation was closed meanwhile */
    pthread_mutex_unlock(&c->mu);
    if (dead) {
        pfs_free(d);
    } else if (!d) {
        pfs_nomem(&err, "a connection");
        end_connection(c, &err);
    } else {
        d->conn = conn_ref(c);
        d->timer.on_time = on_dial_time;
        c->dial = d;
        if (io_timer_set(c->io, &c->timer, c->connect_deadline_ns) != TIMER_FAILED) {
            start_dial(d);
        } else { /* nobody would end it */
            pfs_nomem(&err, "a connection");
            end_connection(c, &err);
        }
    }
    conn_unref(c);
}

void conn_connect(struct conn *c)
{
    c->connect_deadline_ns = pfs_after(pfs_now(), c->config->connect_timeout_ns);
    c->connect_task.run = connect_task;
    conn_ref(c);
    io_post(c->io, &c->connect_task);
}
