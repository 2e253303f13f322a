/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_CLIENTS_H
#define AGFSD_CLIENTS_H

/* How many connections each IP address has, over all loops. Any thread. */
#include <stdbool.h>
#include <sys/socket.h>

struct clients;

/* An address without its port; IPv4 as ::ffff:a.b.c.d; IPv6 by its /64, which is one customer. */
struct client_key {
    unsigned char b[16];
};

/* NULL: out of memory. */
struct clients *clients_new(unsigned max_total, unsigned max_per_client);
void clients_free(struct clients *c); /* NULL allowed */
/* Counts a connection; false: over one of the limits (*ret_why says which, static) or no memory. */
bool clients_enter(struct clients *c, const struct sockaddr *sa, struct client_key *ret,
                   const char **ret_why);
void clients_leave(struct clients *c, const struct client_key *key);

#endif
