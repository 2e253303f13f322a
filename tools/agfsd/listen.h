/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_LISTEN_H
#define AGFSD_LISTEN_H

/*
 * Listening sockets. An endpoint is one address of the server; each loop has a socket of its own
 * for it (SO_REUSEPORT), so that the kernel spreads the connections and no loop waits for another.
 */
#include "net/tls.h"
#include <proxyfs/error.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

struct loop;

struct endpoint {
    /* fixed after create */
    struct endpoint *next;
    struct sockaddr_storage addr;
    socklen_t addr_len;
    bool is_tls;
    /* under mu */
    pthread_mutex_t mu;
    struct tls_ctx *tls; /* replaced when certificates change */
};

/* Errors: DNS (host), CONN (address in use), CONFIG, NOMEM, NOFILE. *ret_fd listens. */
enum pfs_class endpoint_new(const char *host, unsigned port, struct tls_ctx *tls,
                            struct endpoint **ret, int *ret_fd, struct pfs_error *err);
/* One more socket for the same address. Errors: CONN, NOFILE. */
enum pfs_class endpoint_socket(const struct endpoint *e, int *ret_fd, struct pfs_error *err);
unsigned endpoint_port(const struct endpoint *e);
/* Connections accepted from now on use that context; takes a reference. Any thread. */
void endpoint_set_tls(struct endpoint *e, struct tls_ctx *tls);
void endpoint_free(struct endpoint *e); /* NULL allowed */

/* Accepts from fd, which is taken also on failure, on that loop (not running yet, or its own
 * thread). Errors: NOMEM, NOFILE. */
enum pfs_class listener_add(struct loop *l, struct endpoint *e, int fd, struct pfs_error *err);
/* Accepts what waits already, then closes all listeners of the loop. */
void listeners_close(struct loop *l);

#endif
