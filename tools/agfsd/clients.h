/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_CLIENTS_H
#define AGFSD_CLIENTS_H

/*
 * How many connections, and handshakes not yet done, each IP address has, and how many connections
 * each identity of a client certificate, over all loops. Any thread.
 */
#include <stdbool.h>
#include <sys/socket.h>

struct clients;
struct server_limits;

/* An address without its port; IPv4 as ::ffff:a.b.c.d; IPv6 by its /64, which is one customer. */
struct client_key {
    unsigned char b[16];
};

enum clients_verdict {
    CLIENTS_OK,
    CLIENTS_TOO_MANY,     /* of all */
    CLIENTS_TOO_MANY_HERE /* of this address, or no memory to count it */
};

/* Borrows the limits. NULL: out of memory. */
struct clients *clients_new(const struct server_limits *limits);
void clients_free(struct clients *c); /* NULL allowed */
/* Counts a connection, unless refused. *ret is set in any case. */
enum clients_verdict clients_enter(struct clients *c, const struct sockaddr *sa,
                                   struct client_key *ret);
void clients_leave(struct clients *c, const struct client_key *key);
/* A handshake begins; false: too many of that address are under way. Only of one that entered. */
bool clients_handshake(struct clients *c, const struct client_key *key);
void clients_handshaken(struct clients *c, const struct client_key *key);
/* Counts a connection of that identity; false: too many (or no memory). */
bool clients_identify(struct clients *c, const char *identity);
void clients_unidentify(struct clients *c, const char *identity);

#endif
