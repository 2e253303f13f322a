/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_HTTP_H
#define AGFSD_HTTP_H

/*
 * The face between the protocols (h1.c, h2.c: below) and the API (api_*.c: above): one request and
 * its response, whatever the protocol. Everything here happens on the loop thread that owns the
 * connection, except http_post. Streams whose ops say `blocking` are driven from the worker pool by
 * this layer; their callers see callbacks on the loop all the same.
 */
#include "base/list.h"
#include <proxyfs/driver.h>

struct http_req;
struct loop;

enum http_method {
    HTTP_GET,
    HTTP_PUT,
    HTTP_POST,
    HTTP_DELETE,
    HTTP_HEAD,
    HTTP_OPTIONS,
    HTTP_OTHER
};

/* ---- the request: valid until the response has been given ---- */

enum http_method http_method(const struct http_req *r);
/* Path without query, still percent-encoded, as sent. */
const char *http_path(const struct http_req *r);
/* The raw query after '?', "" when none. */
const char *http_query(const struct http_req *r);
/* First value of a header field, name in lower case; NULL: absent. */
const char *http_field(const struct http_req *r, const char *name);
/* Declared body length, -1 when unknown (chunked, HTTP/2 without content-length), 0: no body. */
int64_t http_content_length(const struct http_req *r);
/* Identity from the verified client certificate (tls_peer_identity), NULL: none. Valid as long as r
 * is, also when the client has gone. */
const char *http_client(const struct http_req *r);
/* The address that it came from, likewise. */
struct client_key;
const struct client_key *http_address(const struct http_req *r);
/* Names the request in the log and in the response to a failed one: "c12-3". */
#define HTTP_ID_MAX 24
void http_request_id(const struct http_req *r, char dst[HTTP_ID_MAX]);
struct loop *http_loop(const struct http_req *r);

/* ---- its body: exactly one of these, or none (the rest is then discarded) ---- */

/*
 * Collects the whole body, whose length must not exceed max. `done` gets a malloc'ed block that it
 * owns (NULL when len is 0), or NULL and *err: TOOBIG (over max: answer 413 and the connection
 * closes), TRUNCATED (client went away), OVERLOAD (too many bytes of all bodies are in memory),
 * NOMEM. The block counts among those bytes until http_body_freed.
 */
typedef void http_body_fn(void *arg, char *body, size_t len, const struct pfs_error *err);
void http_collect_body(struct http_req *r, size_t max, http_body_fn *done, void *arg);
/* A block of len bytes that `done` got has been freed. Any thread. */
void http_body_freed(size_t len);
/* Is there room for content in memory? Asked before an operation that brings some. */
bool http_body_room(struct http_req *r);
/*
 * Pumps the body into `sink` with back-pressure and calls done once: OK and n bytes when the whole
 * body arrived, verified against content-length, and was written; the sink is neither finished nor
 * closed. Error: the sink's, TOOBIG past max (-1: none), or TRUNCATED when the client stopped or
 * went away.
 */
void http_pump_body(struct http_req *r, struct pfs_stream *sink, int64_t max, pfs_io_fn *done,
                    void *arg);

/* ---- the response: exactly one, exactly once per request, also when the client is gone ---- */

struct http_header {
    const char *name, *value; /* name: a literal in lower case; value: copied */
    bool lasts;               /* the value is safe, and outlives all connections: not copied */
};

/* A complete response; body is taken (malloc'ed, may be NULL). content_type NULL: none. */
void http_respond(struct http_req *r, int status, const char *content_type, char *body, size_t len,
                  const struct http_header *extra, size_t n_extra);
/*
 * A response whose body is read from `body` (taken, closed here) with back-pressure; header sent at
 * once. body->size >= 0 gives content-length, else chunked / DATA until end. An error of the stream
 * resets the response (RST_STREAM INTERNAL_ERROR, or the connection is closed without a last
 * chunk).
 */
void http_respond_stream(struct http_req *r, int status, const char *content_type,
                         struct pfs_stream *body, const struct http_header *extra, size_t n_extra);

/* ---- what becomes of it ---- */

/*
 * Calls fn(arg) once, on the loop, if the client gives the request up (its stream is reset, its
 * connection ends) before the response has been given.
 */
void http_on_gone(struct http_req *r, void (*fn)(void *arg), void *arg);
/*
 * Calls fn(arg) on the loop when the client has said that nothing more will come, before the
 * response has been given: it may have gone, or wait for it. Perhaps more than once.
 */
void http_on_doubt(struct http_req *r, void (*fn)(void *arg), void *arg);
/* True when it gave up this request alone: the connection stands, so it means what it says. */
bool http_was_reset(const struct http_req *r);

/* Tells whether a response has gone anywhere. The owner's; the layer below has it until fn. */
struct http_sent {
    struct list node;
    size_t end; /* of the response, in what its connection puts out; the layer's below */
    /* Called once, on the loop. False: surely it has not left as a whole. */
    void (*fn)(struct http_sent *s, bool sent);
};
/* To be called before the response is given. */
void http_on_sent(struct http_req *r, struct http_sent *s);

/* ---- the loop ---- */

/* http_post has fn(p) run on the loop's thread soon. Any thread. *p is borrowed until then. */
struct post {
    struct post *next;
    void (*fn)(struct post *p);
};
void http_post(struct loop *l, struct post *p);
/*
 * The same for who completes something: at once when that happens on the loop itself, out of a
 * proxied mount's connection, where nothing of the loop's is in the middle of its work.
 */
void http_complete(struct loop *l, struct post *p);

/*
 * Memory for what lives about as long as a request: n bytes, not zeroed; NULL: out of memory.
 * Blocks are used again, without malloc's searches. On the loop's thread.
 */
void *http_alloc(struct loop *l, size_t n);
void http_free(struct loop *l, void *p);

/* What the layer below calls for each request whose header is complete: implemented in api.c. */
void api_on_request(struct http_req *r);
/*
 * And when a graceful end is over: what is in flight is cut off now, and work that has not changed
 * anything yet is to end. For each loop, on its thread.
 */
void api_on_cut(void);

#endif
