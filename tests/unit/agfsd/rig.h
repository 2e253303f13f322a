/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef TESTS_AGFSD_RIG_H
#define TESTS_AGFSD_RIG_H

/* A server of one loop with the fake API, and clients on blocking sockets with a deadline. */
#include "fake_api.h"
#include "server.h"
#include <nghttp2/nghttp2.h>
#include <stddef.h>

struct rig {
    struct server_options options; /* may be changed before rig_start */
    struct server *server;
    unsigned port;
};

#define RIG_INIT                                                                                   \
    {                                                                                              \
        .options = {.loops = 1, .stream_workers = 2, .limits = SERVER_LIMITS_INIT }                \
    }

/* tls NULL: clear text. */
void rig_start(struct rig *r, struct tls_ctx *tls);
/* Graceful; returns server_join's answer. */
bool rig_stop(struct rig *r);
/* Waits for the end after server_stop, and checks that no stream has been forgotten. */
bool rig_join(struct rig *r);

int peer_connect(const struct rig *r);
void peer_send(int fd, const void *p, size_t n);
void peer_say(int fd, const char *text);
/* Each byte in a segment of its own. */
void peer_drip(int fd, const void *p, size_t n);
/* Reads to the end of the connection; the text is NUL-terminated and to be freed. NULL: no end
 * within 10 s. *ret_n may be NULL. */
char *peer_read_all(int fd, size_t *ret_n);
/* Reads until the text has `mark`. */
char *peer_read_until(int fd, const char *mark);
/* Sends text, reads to the end of the connection. */
char *peer_talk(const struct rig *r, const char *text);
/* How often `what` is in text. */
unsigned count_of(const char *text, const char *what);

/* The server's end of the connection that fd is of: it is in this process too. */
int rig_other_end(int fd);

/* ---- an HTTP/2 client ---- */

#define PEER_STREAMS 300

struct h2_result {
    int status;
    bool closed;
    uint32_t code; /* of the close */
    size_t n;      /* body bytes */
    bool pattern;  /* all of them were the pattern's */
    char head[64]; /* the first of them */
    size_t sent, to_send;
};

struct h2_peer {
    int fd;
    nghttp2_session *s;
    struct h2_result results[PEER_STREAMS]; /* by (stream id - 1) / 2 */
    bool drip;
    bool ended;
    bool ponged;          /* the last PING came back */
    uint32_t goaway;      /* code of the last GOAWAY, */
    unsigned n_goaway;    /* and how many */
    int32_t goaway_last;  /* stream id in it */
    uint32_t max_streams; /* told by the server */
};

/* Connects; window 0: the default for streams. */
void h2_peer_open(struct h2_peer *p, const struct rig *r, uint32_t window);
void h2_peer_close(struct h2_peer *p);
/* Submits a request; returns its index in results. body NULL: none; -1 in `declare`: no length. */
int h2_peer_get(struct h2_peer *p, const char *path);
int h2_peer_put(struct h2_peer *p, const char *path, size_t len, int64_t declare);
/* Writes and reads until *flag (or a stop of the connection, or 10 s). */
bool h2_peer_until(struct h2_peer *p, const bool *flag);
/* ... until that stream is closed. */
bool h2_peer_finish(struct h2_peer *p, int index);
/* Sends all that is queued. */
void h2_peer_flush(struct h2_peer *p);
/* ... and waits until the server has taken it: a PING comes back after it. */
bool h2_peer_settle(struct h2_peer *p);
/* Reads once, if anything comes within ms. False: nothing did, or the end. */
bool h2_peer_read(struct h2_peer *p, int ms);

#endif
