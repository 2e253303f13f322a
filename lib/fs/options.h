/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_FS_OPTIONS_H
#define PFS_FS_OPTIONS_H

/* The options of a mount or client (README.md, "Options of a mount"), parsed and checked. */
#include "conn/generation.h"
#include <proxyfs/driver.h>

struct options {
    /* as given or by default; strings owned, NULL = not given */
    char *base_url;
    enum wire_protocol protocol;
    char *ca_file, *client_cert, *client_key, *crl_file, *server_name, *min_tls, *token_file,
        *remote_path;
    bool insecure_skip_verify, retry_writes, read_only, lazy, trust_refused;
    int64_t timeout_ns, connect_timeout_ns, keepalive_interval_ns, keepalive_timeout_ns, spin_ns;
    unsigned max_connections, max_streams, transfer_streams, workers, queue_depth, retries;

    /* from base_url; owned */
    bool use_tls;
    char *host, *authority, *base_path; /* authority "host:port", base_path "/api/v1" */
    char *masked_url;                   /* base_url with user:password as "***" */
    char *userinfo;                     /* "user:password" decoded, NULL: none; a secret */
    uint16_t port;
};

/*
 * Parses n options into *o (zeroed before). Errors: CONFIG naming the option and what it should
 * look like, NOMEM; *o is then empty. client_options_fini in any case allowed.
 */
PFS_MUST_CHECK enum pfs_class client_options_parse(const struct pfs_option *list, size_t n,
                                                   struct options *o, struct pfs_error *err);
void client_options_fini(struct options *o);
/* A copy with strings of its own. False: out of memory, *to is empty. */
bool client_options_copy(const struct options *o, struct options *to);

/*
 * Text that is equal for two sets of options exactly when their connections can be shared
 * (malloc'ed; NULL: no memory). Not for showing: it may hold a secret.
 */
char *client_options_key(const struct options *o);

#endif
