/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_CONN_H
#define AGFSD_CONN_H

/*
 * A connection: its socket, its TLS session if any, and which protocol it speaks. conn.c holds its
 * life, conn_io.c moves the bytes. Protocols are tables of functions over bytes: they have no fd.
 * All functions belong to the loop's thread.
 */
#include "base/buf.h"
#include "base/cold.h"
#include "clients.h"
#include "loop.h"
#include "meters.h"
#include "net/tls.h"

struct conn;
struct http_req;

enum conn_shut {
    CONN_SHUT_NOTICE, /* no new requests soon */
    CONN_SHUT_LAST,   /* none from now on; close when those in progress are done */
    CONN_SHUT_NOW
};

struct proto {
    const char *name;
    /* Makes c->session. False: out of memory. */
    bool (*open)(struct conn *c);
    /* Takes decrypted input; returns how much was used, the rest is offered again. */
    size_t (*input)(struct conn *c, const char *p, size_t n);
    /* Puts output into at most cap bytes at dst; 0: there is none, or cap is too small for it. */
    size_t (*drain)(struct conn *c, char *dst, size_t cap);
    bool (*wants_read)(const struct conn *c);
    /* Nothing more will be read or sent: close once the output has left. */
    bool (*is_finished)(const struct conn *c);
    /* The peer sends no more, and (c->eof) what it has sent has been offered. May be called again.
     */
    void (*on_eof)(struct conn *c);
    /* When tick must be called (loop_now_ms time). */
    int64_t (*deadline)(const struct conn *c);
    void (*tick)(struct conn *c, int64_t now_ms);
    void (*shut)(struct conn *c, enum conn_shut how);
    /* There has been no traffic for a while: gives memory back. NULL: there is none. */
    void (*cool)(struct conn *c);
    /* Gives all requests up and frees c->session. Never from inside another function of these. */
    void (*close)(struct conn *c);
};

extern const struct proto h1_proto, h2_proto;

enum conn_state {
    CONN_HELLO,  /* nothing has been received */
    CONN_TLS,    /* handshake */
    CONN_SNIFF,  /* clear bytes: which protocol? */
    CONN_OPEN,   /* proto is set */
    CONN_LINGER, /* everything is sent; let the peer read it before the socket goes */
    CONN_CLOSED
};

/* A connection that is old is told so, ends after what is in flight, and is cut in the end. */
enum conn_age { AGE_NEW, AGE_NOTICE, AGE_LAST };

struct conn {
    struct list node, touched; /* of the loop */
    struct loop *loop;
    struct wheel_timer timer;
    uv_poll_t poll;
    int fd, events;
    unsigned id; /* of the process; for messages */
    unsigned n_requests;
    enum conn_state state;
    bool broken;  /* to be closed at once */
    bool eof;     /* the peer has ended its side */
    bool ended;   /* the same, but not all has been read */
    bool in_turn; /* conn_turn is at work ... */
    bool again;   /* ... and was touched meanwhile */
    bool more;    /* the turn's budget was used up, there is more to send */
    bool bulk;    /* in its last turn it moved much */
    bool queued;  /* its handshake waits for others of its address */
    bool shaking; /* its handshake counts */
    bool tripped; /* a limit was hit, and the log says so */
    bool warm;    /* buffers are kept since there was traffic lately */
    struct client_key client;
    struct tls *tls;      /* NULL: clear text */
    const char *identity; /* of the client's certificate (identity.h); NULL: none */
    const struct proto *proto;
    void *session;          /* of the protocol */
    struct pfs_buf in, out; /* not yet used, not yet sent; empty while idle */
    int64_t since_ms;       /* begin of the state */
    int64_t wrote_ms;       /* last time the socket took something, or had nothing to take */
    int64_t active_ms;      /* last time something came in */
    int64_t old_ms;         /* when its age goes on to the next step */
    enum conn_age age;
    uint64_t sent;          /* bytes that the socket took */
    int64_t rate_ms;        /* start of the window for the least rate; 0: there is none */
    uint64_t rate_received; /* by the peer, then */
    struct list sending; /* of struct http_sent, as their ends follow: on their way to the socket */
    size_t taken;        /* by the socket, since nothing waited for it; encrypted, where that is */
    size_t lingered;
};

/* Takes fd and the count of `key` unless it fails (false: out of memory). Borrows ctx. */
bool conn_new(struct loop *l, int fd, const struct client_key *key, struct tls_ctx *ctx);
/* Of identity.h; NULL: none. */
const char *conn_client(const struct conn *c);
/* There is output, or input can be gone on with: conn_turn is called at the end of the turn. */
void conn_touch(struct conn *c);
/*
 * In the middle of input: sends what it has led to so far, requests to other servers and answers,
 * so that whoever gets them is at work while the rest is looked at. May set c->broken.
 */
void conn_pass_on(struct conn *c);
/* From a protocol: give up, without a word more. */
PFS_COLD void conn_break(struct conn *c);
/* The same with a TCP reset, where an ordinary end would look like that of a complete response. */
PFS_COLD void conn_reset(struct conn *c);
/* It has hit a limit: counts it, and writes the first one to the log. */
void conn_trip(struct conn *c, enum meter m);

/* r's response ends at `end` in the loop's buffer, which the protocol fills now. */
void conn_sending(struct conn *c, struct http_req *r, const char *end);

/* A line about what its peer did, unless there have been too many of that address. */
#define conn_log(c, format, ...)                                                                   \
    do {                                                                                           \
        if (meter_may_log(&(c)->client)) {                                                         \
            pfs_log(PFS_LOG_INFO, "c%u: " format, (c)->id, ##__VA_ARGS__);                         \
        }                                                                                          \
    } while (0)

/* From the loop. */
void conn_turn(struct conn *c);
void conn_due(struct conn *c);
void conn_shut(struct conn *c, enum conn_shut how);

/* Its handshake is over, if it has begun. */
void conn_end_handshake(struct conn *c);

/* What was on its way and ends within the first n bytes has left, or none of it ever will. */
void conn_report_sent(struct conn *c, size_t n, bool sent);

/* conn_io.c, for conn.c: each may set c->broken. */
void conn_read(struct conn *c);
/* Sends what there is, goes on with input that waits. */
void conn_work(struct conn *c);
/* Unsent bytes, TLS included. */
size_t conn_unsent(const struct conn *c);
/* Says goodbye: close_notify and FIN. */
void conn_say_end(struct conn *c);

#endif
