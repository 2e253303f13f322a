/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_H1_H1_H
#define PFS_H1_H1_H

/*
 * The client's side of one HTTP/1.1 connection over bytes (RFC 9112), for remotes that have nothing
 * else. One exchange at a time. http_parser is known only here.
 */
#include "http/session.h"

struct h1_options {
    const char *authority; /* "host:port", for Host; borrowed for the session's life */
};

/*
 * Makes a session that is up from the start. Errors: NOMEM, CONFIG (the authority cannot stand in a
 * header). *ret: ops->free.
 *
 * An exchange that cannot be written as HTTP/1.1 (control characters in target or values) is taken
 * and at once DONE with INVALID, FAILURE_LOCAL.
 */
enum pfs_class h1_session_new(const struct h1_options *o, struct session **ret,
                              struct pfs_error *err);

#endif
