/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_TESTS_H2PEER_H
#define PFS_TESTS_H2PEER_H

/*
 * A scripted HTTP/2 peer: the server's end of one connection, frame by frame. It keeps no rules of
 * its own, so a script may break any. Bytes go through a transport: a socket (h2server.h) or a
 * client session in memory (h2mem_open). Reads wait for at most H2PEER_WAIT_NS; when nothing comes
 * they fail, never hang. One thread at a time.
 */
#include "base/buf.h"
#include "base/clock.h"
#include "http/session.h"
#include <sys/types.h>

#define H2PEER_WAIT_NS (30 * PFS_SEC)

enum h2_type {
    H2_DATA,
    H2_HEADERS,
    H2_PRIORITY,
    H2_RST_STREAM,
    H2_SETTINGS,
    H2_PUSH_PROMISE,
    H2_PING,
    H2_GOAWAY,
    H2_WINDOW_UPDATE,
    H2_CONTINUATION
};
#define H2_END_STREAM 1u
#define H2_ACK 1u
#define H2_END_HEADERS 4u

/* Error codes and settings, as far as scripts use them (RFC 9113 sections 7 and 6.5.2). */
#define H2_NO_ERROR 0u
#define H2_PROTOCOL_ERROR 1u
#define H2_INTERNAL_ERROR 2u
#define H2_REFUSED_STREAM 7u
#define H2_CANCEL 8u
#define H2_ENHANCE_YOUR_CALM 11u
#define H2_SET_MAX_STREAMS 3u
#define H2_SET_WINDOW 4u

struct h2frame {
    unsigned type, flags;
    uint32_t stream;
    size_t len;
    const unsigned char *payload; /* valid until the next read */
};

/* A request as far as it came. */
struct h2req {
    uint32_t stream; /* 0: a free slot */
    char method[8], path[1024], req_id[40], attempt[8], authorization[64];
    struct pfs_buf body;
    bool ended;
};
#define H2PEER_STREAMS 512

struct h2peer;
/* > 0: bytes; 0: the other side ended; -1: nothing until the deadline. */
typedef ssize_t h2peer_read_fn(struct h2peer *p, void *buf, size_t cap, int64_t deadline_ns);
/* False: the other side is gone. */
typedef bool h2peer_write_fn(struct h2peer *p, const void *buf, size_t n);

struct h2peer {
    h2peer_read_fn *read;
    h2peer_write_fn *write;
    void *transport;
    unsigned index;     /* of the connection, from 0 */
    bool answers_pings; /* default true */
    bool gives_credit;  /* default true: window for every DATA received */
    unsigned n_pings;   /* received, without ACK */
    unsigned n_rst;     /* RST_STREAM received */
    uint32_t rst_code;  /* of the last one */
    bool goaway;        /* received */
    uint32_t goaway_code;
    bool eof;
    struct pfs_buf in; /* received, not parsed */
    size_t frame_len;  /* of the frame handed out last, to be dropped */
    void *inflater;
    struct h2req streams[H2PEER_STREAMS];
};

void h2peer_init(struct h2peer *p);
void h2peer_fini(struct h2peer *p);

/* ---- writing; false: the other side is gone ---- */
bool h2peer_raw(struct h2peer *p, const void *bytes, size_t n);
bool h2peer_frame(struct h2peer *p, unsigned type, unsigned flags, uint32_t stream,
                  const void *payload, size_t n);
/* Pairs of identifier and value; n_pairs 0: an empty SETTINGS. */
bool h2peer_settings(struct h2peer *p, unsigned n_pairs, const uint32_t *pairs);
/* fields: name, value, ..., NULL; not indexed. flags: END_HEADERS is added. */
bool h2peer_headers(struct h2peer *p, unsigned flags, uint32_t stream, const char *const *fields);
bool h2peer_data(struct h2peer *p, unsigned flags, uint32_t stream, const char *text);
bool h2peer_rst(struct h2peer *p, uint32_t stream, uint32_t code);
bool h2peer_goaway(struct h2peer *p, uint32_t last, uint32_t code, const char *debug);
bool h2peer_ping(struct h2peer *p);
bool h2peer_window(struct h2peer *p, uint32_t stream, uint32_t n);
/* A whole reply: status, content-type json, body. extra: one more field or NULL, NULL. */
bool h2peer_reply(struct h2peer *p, uint32_t stream, const char *status, const char *body);
bool h2peer_reply_with(struct h2peer *p, uint32_t stream, const char *status, const char *name,
                       const char *value, const char *body);
/* The literal form of fields (name, value, ..., NULL) into b. */
void h2peer_encode(struct pfs_buf *b, const char *const *fields);

/* ---- reading; false: end or nothing in time ---- */
/*
 * The next frame. SETTINGS are acknowledged and PINGs answered (answers_pings) on the way, requests
 * are taken into `streams`; all frames are handed out nevertheless.
 */
bool h2peer_next(struct h2peer *p, struct h2frame *ret);
/* The next frame of that type without ACK; others are passed over. */
bool h2peer_wait(struct h2peer *p, unsigned type, struct h2frame *ret);
/* Reads the preface, sends SETTINGS. */
bool h2peer_hello(struct h2peer *p, unsigned n_pairs, const uint32_t *pairs);
/* The next request header (body perhaps still to come), or the next request that is complete. */
struct h2req *h2peer_head(struct h2peer *p);
struct h2req *h2peer_request(struct h2peer *p);
/* The request was answered: its slot is free. */
void h2peer_forget(struct h2req *r);
/* Reads until the other side ends. False: it did not in time. */
bool h2peer_drain(struct h2peer *p);

/* Answers requests until the end. reply NULL: 200 "{}". */
typedef void h2peer_reply_fn(struct h2peer *p, struct h2req *r, void *arg);
void h2peer_serve(struct h2peer *p, h2peer_reply_fn *reply, void *arg);

/* ---- in memory ---- */

/* A client session and its peer; time stands still unless a test moves it. */
struct h2mem {
    struct h2peer peer;
    struct session *s;
    int64_t now_ns;
    size_t slice;           /* bytes fed at once; 0: all */
    enum pfs_class fed;     /* of the first feed that failed, else OK */
    struct pfs_error error; /* of that feed */
};
/* Makes both and lets them shake hands (SETTINGS of the peer: pairs). */
void h2mem_open(struct h2mem *m, unsigned max_streams, unsigned n_pairs, const uint32_t *pairs);
void h2mem_close(struct h2mem *m);
/* Submits GET /x as ex (initialised here, reply_max 1000); false: not taken. */
bool h2mem_get(struct h2mem *m, struct exchange *ex);
/* Takes over the noted events; true: DONE is among them. */
bool h2mem_done(struct h2mem *m, struct exchange *ex);

#endif
