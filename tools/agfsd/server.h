/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_SERVER_H
#define AGFSD_SERVER_H

/*
 * The server: a fixed number of loops, and the addresses they all listen at. Order of calls:
 * server_new, server_listen for each address, server_start, server_stop, server_join, server_free.
 */
#include "limits.h"
#include "net/tls.h"
#include <proxyfs/error.h>
#include <stdbool.h>

struct server;

struct server_options {
    unsigned loops;          /* threads; 0: one per core */
    unsigned stream_workers; /* threads for streams that block; 0: STREAM_WORKERS */
    struct server_limits limits;
};

#define SERVER_OPTIONS_INIT                                                                        \
    {                                                                                              \
        .limits = SERVER_LIMITS_INIT                                                               \
    }

/* Nothing runs yet. *ret: server_free. Errors: NOMEM, NOFILE. */
enum pfs_class server_new(const struct server_options *o, struct server **ret,
                          struct pfs_error *err);
/*
 * Listens at host ("", NULL: every address; a name or literal) and port (0: a free one, reported in
 * *ret_port, which may be NULL). tls NULL: clear text; else a reference is taken. Before
 * server_start. Errors: DNS, CONN (in use), NOFILE, NOMEM.
 */
enum pfs_class server_listen(struct server *s, const char *host, unsigned port, struct tls_ctx *tls,
                             unsigned *ret_port, struct pfs_error *err);
/*
 * New connections at all TLS addresses use `tls` from now on (renewed certificates); takes a
 * reference. Any thread.
 */
void server_set_tls(struct server *s, struct tls_ctx *tls);
/* Starts the loops. api_on_request is called from now on. Errors: NOMEM. */
enum pfs_class server_start(struct server *s, struct pfs_error *err);
/* Called now and then: writes to the log which loop has not come round for WATCH_MS. One thread. */
void server_watch(struct server *s);
/*
 * Begins a graceful end: no new connections; HTTP/2 GOAWAY, goaway_ms later the last GOAWAY;
 * HTTP/1.1 connections close after the current response; whatever is left after grace_ms more is
 * cut. Once. Any thread, not from a signal handler.
 */
void server_stop(struct server *s, int64_t grace_ms);
/* Waits for the end of a stop. Returns true when nothing had to be cut. Not on a loop. */
bool server_join(struct server *s);
/* After it: a handler never answered, and may still be at work. */
bool server_hangs(const struct server *s);
/*
 * Frees all. After server_join, or never started; no proxied mount is left. NULL allowed. Whoever
 * still may call http_post or the callback of a stream must be at rest; where a handler never
 * answered, memory is left alone.
 */
void server_free(struct server *s);

#endif
