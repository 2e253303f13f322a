/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_TESTS_UNIT_H1_RIG_H
#define PFS_TESTS_UNIT_H1_RIG_H

/* A session of HTTP/1.1 in memory: what it sends is gathered, what it gets is written here. */
#include "h1/h1.h"

#define OK_HEAD "HTTP/1.1 200 OK\r\n"
#define OK_REPLY OK_HEAD "Content-Length: 2\r\n\r\nok"

/* What is sent must not depend on the pieces it is drained in. */
static const size_t caps[] = {1, 2, 7, 64, 16384};
#define N_CAPS (sizeof caps / sizeof *caps)

/* How a test's connection ends after the reply. */
enum rig_end {
    RIG_OPEN, /* it does not */
    RIG_EOF,  /* in order: eof, then fail_all, as conn does */
    RIG_CUT   /* fail_all alone */
};

struct rig {
    struct session *s;
    struct exchange ex;   /* the one under test */
    unsigned events;      /* all that were noted for ex */
    unsigned n_done;      /* how often DONE was */
    struct pfs_error err; /* of the last feed that failed */
};

/* A session for "files.test:8080" and an exchange GET /x with reply_max 1000. */
void rig_init(struct rig *r);
void rig_fini(struct rig *r);
/* Submits r->ex; it must be taken. */
void rig_submit(struct rig *r);
/* Forgets r->ex, which is DONE, and makes a new one like rig_init's. */
void rig_renew(struct rig *r);
/* Drains all in pieces of `cap` bytes; the result stays valid until the next call. */
const char *rig_drain(struct rig *r, size_t cap);
/* Feeds n bytes, at most `step` at a time; stops when the session refuses. Collects events. */
enum pfs_class rig_feed_n(struct rig *r, const char *data, size_t n, size_t step);
enum pfs_class rig_feed(struct rig *r, const char *text);
void rig_end(struct rig *r, enum rig_end end);
/* Takes the noted events over. */
void rig_collect(struct rig *r);

#endif
