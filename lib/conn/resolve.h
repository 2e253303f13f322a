/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_CONN_RESOLVE_H
#define PFS_CONN_RESOLVE_H

/*
 * Name look-up without holding up the I/O thread: getaddrinfo knows no deadline, so it runs on a
 * thread of its own, which is left alone when the answer is no longer wanted. IP literals need no
 * thread.
 */
#include "conn/io.h"
#include <netdb.h>

struct resolve;

/* On the I/O thread, at most once. The callee frees list; NULL: failed, gai_error says why. */
typedef void resolve_fn(void *arg, struct addrinfo *list, int gai_error);

/* On the I/O thread. Errors: NOMEM (done is not called). *ret: resolve_abandon or done ends it. */
PFS_MUST_CHECK enum pfs_class resolve_start(struct io *io, const char *host, uint16_t port,
                                            resolve_fn *done, void *arg, struct resolve **ret,
                                            struct pfs_error *err);
/* done will not be called. On the I/O thread; r is gone afterwards. */
void resolve_abandon(struct resolve *r);
/* The addresses of an IP literal, or NULL when host is none; freeaddrinfo. */
struct addrinfo *resolve_literal(const char *host, uint16_t port);

#endif
