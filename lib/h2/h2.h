/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_H2_H2_H
#define PFS_H2_H2_H

/* The client's side of one HTTP/2 connection over bytes (RFC 9113). nghttp2 is known only here. */
#include "http/session.h"

struct h2_options {
    const char *scheme;    /* "https"; borrowed for the session's life, like authority */
    const char *authority; /* "host:port" */
    unsigned max_streams;  /* never more open than this, whatever the peer allows */
};

/*
 * Makes a session whose first bytes to drain are the connection preface and SETTINGS. Errors:
 * NOMEM. *ret: ops->free.
 */
enum pfs_class h2_session_new(const struct h2_options *o, struct session **ret,
                              struct pfs_error *err);

/* Version of nghttp2 in this process. Static string. */
const char *h2_library_version(void);

#endif
