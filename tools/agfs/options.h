/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFS_OPTIONS_H
#define AGFS_OPTIONS_H

/* The global options of the command line and the environment. */
#include "util.h"
#include <proxyfs/driver.h>
#include <stdbool.h>

struct options {
    char *server;              /* URL with /api/v1, for messages: without the password; owned */
    struct pfs_option *client; /* n_client options for pfs_client_new, base_url first */
    size_t n_client;
    const char *commands; /* -c */
    bool json, quiet, echo, help, version;
    unsigned verbose;                       /* how often -v */
    int first;                              /* index in argv of the command */
    const char *server_from, *timeout_from; /* variables that they come from; NULL: none */
};

/*
 * Reads argv up to the first argument that is no option. A flag wins over the environment
 * (AGFS_API_URL, AGFS_SERVER_URL, AGFS_TIMEOUT). Returns 0, or EXIT_USAGE after an error line on
 * stderr. *ret must be given to options_fini in any case; it borrows from argv.
 */
int options_parse(int argc, char **argv, struct options *ret);
void options_fini(struct options *o);
/* The variable that gave the option which the library refuses with this text; NULL: none did. */
const char *options_blame(const struct options *o, const char *refusal);

/* The URL of the API: "http://" and "/api/v1" are added when missing; owned by the caller. */
char *options_url(const char *url);

/* The text of --help, static. */
extern const char options_help[];

#endif
