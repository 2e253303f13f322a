/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Requests that carry x-req-id and may change something run once (reliability bar B5). A client
 * that repeats one whose reply it has lost sends the header
 *
 *     x-first-attempt: BOOT;age=MS
 *
 * with the id of the server process that the first attempt went to and how long ago that can be at
 * most (from its start to the deadline of the whole call), so that a server that cannot know the
 * first attempt says so, rather than run it again.
 */
#include "api.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include "base/op.h"
#include "query.h"
#include <string.h>
#include <xxhash.h>

#define GONE 410         /* it was carried out; its result is not here any more */
#define PRECONDITION 412 /* it may have been carried out */
#define LOOP 508

/* Repeating it harms nobody, so it is not remembered. */
static bool is_harmless(const struct api_call *c)
{
    enum pfs_op op = c->req.op;

    if (op == PFS_OP_READ || op == PFS_OP_OPEN_READ) {
        return vfs_has_plain_reads(c->api->vfs, c->path);
    }
    return op_safety(op) == SAFETY_R || op == PFS_OP_HANDLE_STREAM ||
           (op == PFS_OP_HANDLE_READ && c->req.offset >= 0);
}

/* With more hops it is no repetition: it came through a ring. */
static uint64_t what_is_asked(const struct api_call *c)
{
    const char *path = http_path(c->http), *query = http_query(c->http);
    uint64_t h = XXH3_64bits_withSeed(path, strlen(path), (unsigned)http_method(c->http));

    return XXH3_64bits_withSeed(query, strlen(query), h) ^ c->req.hops;
}

/* Reads x-first-attempt; false: the first attempt went to another process. */
static bool read_first_attempt(const struct api_call *c, int64_t *ret_age_ms)
{
    const char *s = http_field(c->http, "x-first-attempt");
    const char *age = s ? strstr(s, ";age=") : NULL;

    *ret_age_ms = -1;
    if (!s) {
        return true;
    }
    if (!age || !query_parse_int(age + 5, strlen(age + 5), 10, ret_age_ms) || *ret_age_ms < 0) {
        *ret_age_ms = DEDUPE_LIFE_MS; /* unreadable: as if long ago */
    }
    return strncmp(s, c->api->boot, strcspn(s, ";")) == 0 && c->api->boot[strcspn(s, ";")] == ';';
}

static void refuse_lost(struct api_call *c)
{
    struct pfs_error err;

    pfs_fail(&err, PFS_IO, PFS_OUTCOME_UN, PFS_PHASE_LOCAL,
             "this server does not know whether the first attempt was carried out");
    err.http_status = PRECONDITION;
    api_respond_error(c, &err);
}

/* Servers take the id along to the next one, so the same in another form has come round a ring. */
static void refuse_other(struct api_call *c)
{
    if (c->req.hops > 1) {
        api_refuse_status(c, LOOP, PFS_INVALID,
                          "loop detected: the request has been here before; do mounts lead back to "
                          "where they came from?");
    } else {
        api_refuse_status(c, 409, PFS_BADARG, "x-req-id belongs to another request");
    }
}

/* Ends the call with the response of the entry, which is given up. */
static void respond_from(struct api_call *c, struct dedupe_entry *e)
{
    struct dedupe_response r;
    struct pfs_error err;
    bool ok = dedupe_response(c->api->dedupe, e, &r);

    dedupe_unref(c->api->dedupe, e);
    if (!ok) {
        pfs_nomem(&err, "a response");
        api_respond_error(c, &err); /* nothing is lost: the response is still there */
    } else if (!r.body) {
        pfs_fail(&err, PFS_TRUNCATED, PFS_OUTCOME_AP, PFS_PHASE_LOCAL,
                 "the request was carried out; its response was too large to be kept");
        err.http_status = GONE;
        api_respond_error(c, &err);
    } else {
        api_respond_again(c, &r);
    }
}

static void wait_ended(struct post *p)
{
    struct api_call *c = container_of(p, struct api_call, post);
    struct dedupe_entry *e = c->once;

    c->once = NULL; /* it was another call's */
    respond_from(c, e);
}

static void on_wait(struct dedupe_wait *w)
{
    struct api_call *c = container_of(w, struct api_call, wait);

    c->post.fn = wait_ended;
    http_post(http_loop(c->http), &c->post);
}

bool api_once(struct api_call *c)
{
    struct dedupe *d = c->api->dedupe;
    struct dedupe_key key = {.client = c->req.client, .id = c->req.req_id};

    if (!d || !key.id || c->once || is_harmless(c)) {
        return true;
    }
    if (!read_first_attempt(c, &key.age_ms)) {
        refuse_lost(c);
        return false;
    }
    key.what = what_is_asked(c);
    c->wait.fn = on_wait;
    struct dedupe_entry *e = NULL;

    switch (dedupe_enter(d, &key, pfs_now() / PFS_MS, &c->wait, &c->once)) {
    case DEDUPE_NEW:
        return true;
    case DEDUPE_WAIT: /* c may be gone already */
        return false;
    case DEDUPE_DONE:
        e = c->once;
        c->once = NULL;
        respond_from(c, e);
        return false;
    case DEDUPE_OTHER:
        refuse_other(c);
        return false;
    case DEDUPE_LOST:
        refuse_lost(c);
        return false;
    case DEDUPE_FULL:
        api_refuse(c, PFS_OVERLOAD, "too many requests with an id are running");
        return false;
    }
    return true;
}

void api_on_gone(void *arg)
{
    struct api_call *c = arg;

    /* Who lost its connection may repeat a request with an id, and is to get this one's result. */
    if (!c->fate.reads || !c->once || http_was_reset(c->http)) {
        vfs_give_up(c->api->vfs, &c->fate);
    }
}

void api_on_doubt(void *arg)
{
    struct api_call *c = arg;

    vfs_doubt(c->api->vfs, &c->fate);
}

bool api_once_settle(struct api_call *c, const struct dedupe_response *r)
{
    struct dedupe_entry *e = c->once;

    c->once = NULL;
    if (c->not_applied || c->plain) {
        dedupe_forget(c->api->dedupe, e, r);
        return true;
    }
    return dedupe_finish(c->api->dedupe, e, r, pfs_now() / PFS_MS);
}

/* ---- small streams ---- */

/* One being read; every piece goes through the loop, whatever thread it comes from. */
struct collection {
    struct post post;
    struct api_call *call;
    const char *type;
    struct pfs_stream *stream;
    char *body;
    size_t len, size, n;
    struct pfs_error err;
};

static void collect_more(struct collection *k);

static void collected(struct post *p)
{
    struct collection *k = container_of(p, struct collection, post);

    k->len += k->n;
    if (k->err.cls == PFS_OK && k->n > 0 && k->len < k->size) {
        collect_more(k);
        return;
    }
    if (k->err.cls == PFS_OK && k->len < k->size) {
        pfs_fail(&k->err, PFS_TRUNCATED, PFS_OUTCOME_AP, PFS_PHASE_BODY,
                 "the content ended after %zu of %zu bytes", k->len, k->size);
    }
    k->stream->ops->close(k->stream);
    if (k->err.cls == PFS_OK) {
        api_respond_bytes(k->call, k->type, k->body, k->len);
    } else {
        pfs_free(k->body);
        api_respond_error(k->call, &k->err);
    }
    pfs_free(k);
}

static void on_piece(void *arg, size_t n, const struct pfs_error *err)
{
    struct collection *k = arg;

    k->n = n;
    k->err = *err;
    k->post.fn = collected;
    http_complete(http_loop(k->call->http), &k->post);
}

static void collect_more(struct collection *k)
{
    k->stream->ops->read(k->stream, k->body + k->len, k->size - k->len, on_piece, k);
}

bool api_once_collect(struct api_call *c, const char *type, struct pfs_stream *s)
{
    if (s->size < 0 || s->size > DEDUPE_BODY_MAX || s->ops->blocking) {
        return false;
    }
    struct collection *k = pfs_calloc(1, sizeof *k);
    char *body = pfs_malloc((size_t)s->size + 1);

    if (!k || !body) {
        pfs_free(k);
        pfs_free(body);
        return false;
    }
    *k = (struct collection){
        .call = c, .type = type, .stream = s, .body = body, .size = (size_t)s->size};
    if (k->size == 0) {
        collected(&k->post);
    } else {
        collect_more(k);
    }
    return true;
}
