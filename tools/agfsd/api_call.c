/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* What the handlers of the API share: arguments in, answers out. */
#include "api.h"
#include "base/alloc.h"
#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "jsonout.h"
#include "query.h"
#include "wire/wire.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void call_free(struct api_call *c)
{
    json_fini(&c->json);
    pfs_free(c->path);
    pfs_free(c->path2);
    pfs_free(c->text);
    pfs_free(c->clean);
    pfs_free(c->body);
    http_body_freed(c->body_len);
    pfs_free(c->out);
    /* The request, given back or not, is there until the turn ends. */
    http_free(http_loop(c->http), c);
}

/* ---- answers ---- */

/* The response of a call whose content is nowhere else any more, on its way. */
struct delivery {
    struct http_sent sent;
    struct pfs_receipt *receipt;
    struct dedupe *dedupe;
    struct dedupe_entry *once; /* NULL: nobody can ask again */
};

static void on_sent(struct http_sent *s, bool sent)
{
    struct delivery *d = list_entry(s, struct delivery, sent);
    bool lost = !sent && (!d->once || dedupe_take_back(d->dedupe, d->once));

    d->receipt->end(d->receipt, lost);
    if (d->once) {
        dedupe_unref(d->dedupe, d->once);
    }
    pfs_free(d);
}

/* Watches over the response that is about to be given. */
static void deliver(struct api_call *c)
{
    struct delivery *d = pfs_calloc(1, sizeof *d);

    if (!d) {
        c->receipt->end(c->receipt, false);
    } else {
        list_init(&d->sent.node);
        d->sent.fn = on_sent;
        d->receipt = c->receipt;
        d->dedupe = c->api->dedupe;
        d->once = c->once;
        if (d->once) {
            dedupe_ref(d->dedupe, d->once);
        }
        http_on_sent(c->http, &d->sent);
    }
    c->receipt = NULL;
}

/* Every response but a stream goes through here. `counted`: with x-bytes-read. */
static void respond_counted(struct api_call *c, int status, const char *type, char *body,
                            size_t len, bool counted)
{
    const struct dedupe_response r = {status, counted, type, body, len};
    struct http_header extra[6] = {{"agfs-boot", c->api->boot}};
    size_t n = 1;
    char count[24], id[HTTP_ID_MAX];

    if (c->receipt) {
        deliver(c);
    }
    if (c->once && !api_once_settle(c, &r)) {
        extra[n++] = (struct http_header){"agfs-dedupe", "no"};
    }
    if (status == 503) {
        extra[n++] = (struct http_header){"retry-after", "1"};
    }
    if (status >= 400) {
        http_request_id(c->http, id);
        extra[n++] = (struct http_header){"x-request-id", id};
    }
    if (c->not_applied) {
        extra[n++] = (struct http_header){"not-applied", "1"};
    }
    if (counted) {
        snprintf(count, sizeof count, "%zu", len);
        extra[n++] = (struct http_header){"x-bytes-read", count};
    }
    api_count(c, status);
    http_respond(c->http, status, type, body, len, extra, n);
    call_free(c);
}

static void respond(struct api_call *c, int status, const char *type, char *body, size_t len)
{
    respond_counted(c, status, type, body, len, false);
}

void api_respond_again(struct api_call *c, const struct dedupe_response *r)
{
    respond_counted(c, r->status, r->type, (char *)(uintptr_t)r->body, r->len, r->counted);
}

void api_respond_bytes(struct api_call *c, const char *type, char *body, size_t len)
{
    respond(c, 200, type, body, len);
}

void api_respond_data(struct api_call *c, char *body, size_t len)
{
    respond_counted(c, 200, "application/octet-stream", body, len, true);
}

/* extra[0..n): all but what every stream has. */
static void respond_stream(struct api_call *c, int status, const char *type, struct pfs_stream *s,
                           const struct http_header *extra, size_t n)
{
    const struct dedupe_response not_kept = {.status = status, .type = type, .len = SIZE_MAX};
    struct http_header all[6] = {{"agfs-boot", c->api->boot}};

    memcpy(all + 1, extra, n++ * sizeof *extra);
    if (c->once) {
        api_once_settle(c, &not_kept);
        all[n++] = (struct http_header){"agfs-dedupe", "no"};
    }
    api_count(c, status);
    http_respond_stream(c->http, status, type, s, all, n);
    call_free(c);
}

void api_respond_range(struct api_call *c, const char *type, struct pfs_stream *s)
{
    char range[80], tag[PFS_CONTENT_VERSION_MAX + 2];
    const struct http_header extra[] = {{"content-range", range}, {"etag", tag}};
    int64_t first = c->req.offset, last = first + s->size - 1;

    if (s->size <= 0) {
        s->ops->close(s);
        api_refuse_status(c, 416, PFS_BADARG, "the range begins behind the end of the content");
        return;
    }
    snprintf(range, sizeof range, "bytes %" PRId64 "-%" PRId64 "/%" PRId64, first, last, s->total);
    snprintf(tag, sizeof tag, "\"%s\"", s->version);
    respond_stream(c, 206, type, s, extra, 2);
}

void api_respond_stream(struct api_call *c, const char *type, struct pfs_stream *s)
{
    const struct http_header extra = {"x-content-type-options", "nosniff"};

    if (!c->once || !api_once_collect(c, type, s)) {
        respond_stream(c, 200, type, s, &extra, 1);
    }
}

static void log_failure(const struct api_call *c, int status, const struct pfs_error *err)
{
    char id[HTTP_ID_MAX];

    if (!pfs_log_wants(PFS_LOG_DEBUG)) {
        return;
    }
    http_request_id(c->http, id);
    log_debug("%s %s %s: %d %s %s: %s", id, pfs_op_name(c->req.op), c->path ? c->path : "", status,
              pfs_class_name(err->cls), pfs_outcome_name(err->outcome), err->text);
}

void api_respond_error(struct api_call *c, const struct pfs_error *err)
{
    size_t len = 0;
    char *body = wire_error_json(err, &len);
    /* The status is what the class says here; what another server said travels in the body. */
    int status = err->hop == 0 && err->origin[0] == '\0' && err->http_status >= 400
                     ? err->http_status
                     : pfs_class_http(err->cls);

    c->not_applied |= err->outcome == PFS_OUTCOME_NA && status == 503;
    log_failure(c, status, err);
    respond(c, status, "application/json", body, len);
}

void api_refuse(struct api_call *c, enum pfs_class cls, const char *format, ...)
{
    char text[PFS_ERROR_TEXT_MAX];
    struct pfs_error err;
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    pfs_refuse(&err, cls, "%s", text);
    api_respond_error(c, &err);
}

void api_refuse_status(struct api_call *c, int status, enum pfs_class cls, const char *text)
{
    struct pfs_error err;

    pfs_refuse(&err, cls, "%s", text);
    err.http_status = status;
    api_respond_error(c, &err);
}

void api_respond_json(struct api_call *c, int status, struct jout *j)
{
    size_t len = 0;
    char *body = jo_take(j, &len);

    if (!body) {
        api_refuse(c, PFS_NOMEM, "out of memory for a reply");
        return;
    }
    respond(c, status, "application/json", body, len);
}

void api_respond_message(struct api_call *c, int status, const char *text)
{
    struct jout j = {0};

    jo_begin(&j, '{');
    jo_member(&j, "message", text);
    jo_end(&j, '}');
    api_respond_json(c, status, &j);
}

/* ---- arguments ---- */

bool api_need_path(struct api_call *c, const char *fallback)
{
    size_t len = 0;

    c->path = query_get(http_query(c->http), "path", &len);
    if (!c->path && len == 0 && fallback) {
        c->path = pfs_strdup(fallback);
        len = c->path ? strlen(fallback) : SIZE_MAX;
    }
    if (!c->path && len > 0) {
        api_refuse(c, PFS_NOMEM, "out of memory for a request");
        return false;
    }
    if (!c->path) {
        api_refuse(c, PFS_BADARG, "path parameter is required");
        return false;
    }
    if (strlen(c->path) != len) {
        api_refuse(c, PFS_BADARG, "path has a NUL byte");
        return false;
    }
    c->req.path = c->path;
    return true;
}

bool api_query_int(struct api_call *c, const char *key, int base, int64_t *io_value,
                   const char *wrong)
{
    if (query_int(http_query(c->http), key, base, io_value) == QUERY_BAD) {
        api_refuse(c, PFS_BADARG, "%s", wrong);
        return false;
    }
    return true;
}

static void body_done(void *arg, char *body, size_t len, const struct pfs_error *err)
{
    struct api_call *c = arg;

    if (err && err->cls != PFS_OK) {
        pfs_free(body);
        if (err->cls == PFS_TOOBIG) {
            api_refuse(c, PFS_TOOBIG, "request body exceeds maximum size of %zu bytes",
                       c->body_max);
        } else {
            api_respond_error(c, err);
        }
        return;
    }
    c->body = body;
    c->body_len = len;
    c->next(c);
}

static void collect(struct api_call *c, size_t max, api_handler_fn *next)
{
    c->next = next;
    c->body_max = max < c->api->max_body ? max : c->api->max_body;
    http_collect_body(c->http, c->body_max, body_done, c);
}

void api_with_body(struct api_call *c, api_handler_fn *next)
{
    collect(c, SIZE_MAX, next);
}

void api_with_arguments(struct api_call *c, api_handler_fn *next)
{
    collect(c, JSON_BODY_MAX, next);
}

bool api_parse_json(struct api_call *c, bool detail)
{
    struct pfs_error err;

    if (json_parse(c->body ? c->body : "", c->body_len, JSON_REQUEST, &c->json, &err) == PFS_OK) {
        enum json_kind kind = json_kind(c->json);

        if (kind == JSON_OBJECT || kind == JSON_NULL) {
            return true;
        }
        snprintf(err.text, sizeof err.text, "json: cannot unmarshal this into an object");
    }
    if (detail) {
        api_refuse(c, PFS_BADARG, "invalid request body: %s", c->body_len ? err.text : "EOF");
    } else {
        api_refuse(c, PFS_BADARG, "invalid request body");
    }
    return false;
}

static void parse_then_go_on(struct api_call *c)
{
    if (api_parse_json(c, false)) {
        c->with_json(c);
    }
}

void api_with_json(struct api_call *c, api_handler_fn *next)
{
    c->with_json = next;
    api_with_arguments(c, parse_then_go_on);
}

bool api_json_str(struct api_call *c, const char *key, char **ret)
{
    const char *s = NULL;

    if (json_get_str(c->json, key, &s) == JSON_WRONG) {
        api_refuse(c, PFS_BADARG, "invalid request body");
        return false;
    }
    *ret = NULL;
    if (s && *s) {
        *ret = pfs_strdup(s);
        if (!*ret) {
            api_refuse(c, PFS_NOMEM, "out of memory for a request");
            return false;
        }
    }
    return true;
}

/* ---- operations ---- */

static void on_reply(void *arg, struct pfs_reply *reply)
{
    struct api_call *c = arg;
    struct pfs_reply mine = *reply;

    if (mine.err.cls != PFS_OK) {
        api_respond_error(c, &mine.err);
    } else {
        c->receipt = mine.receipt;
        mine.receipt = NULL;
        c->answer(c, &mine);
    }
    pfs_reply_fini(&mine);
}

/* Its answer may be large. */
static bool brings_content(enum pfs_op op)
{
    return op == PFS_OP_READ || op == PFS_OP_OPEN_READ || op == PFS_OP_READDIR ||
           op == PFS_OP_GREP || op == PFS_OP_HANDLE_READ || op == PFS_OP_HANDLE_STREAM;
}

void api_submit(struct api_call *c, enum pfs_op op, api_answer_fn *answer)
{
    c->req.op = op;
    c->has_op = true;
    c->answer = answer;
    if (brings_content(op) && !http_body_room(c->http)) {
        api_refuse(c, PFS_OVERLOAD, "too many bodies are in memory; try again later");
        return;
    }
    if (!api_once(c)) {
        return;
    }
    c->fate.reads = !vfs_changes(op);
    c->fate.kept = c->once != NULL;
    c->fate.from = http_address(c->http);
    c->req.host = op == PFS_OP_OPEN_WRITE ? NULL : &c->fate; /* an upload changes at its end */
    http_on_gone(c->http, api_on_gone, c);
    http_on_doubt(c->http, api_on_doubt, c);
    vfs_submit(c->api->vfs, http_loop(c->http), &c->req, on_reply, c);
}

static void answer_message(struct api_call *c, struct pfs_reply *reply)
{
    api_respond_message(c, c->status, c->message);
}

void api_submit_message(struct api_call *c, enum pfs_op op, int status, const char *message)
{
    c->status = status;
    c->message = message;
    api_submit(c, op, answer_message);
}

void api_answer_stat(struct api_call *c, struct pfs_reply *reply)
{
    struct jout j = {0};

    jo_stat(&j, &reply->stat);
    api_respond_json(c, 200, &j);
}

/* ---- work that may take long ---- */

static void work_done(struct post *p)
{
    struct api_call *c = container_of(p, struct api_call, post);
    char *out = c->out;

    c->out = NULL;
    if (c->err.cls != PFS_OK) {
        pfs_free(out);
        api_respond_error(c, &c->err);
    } else {
        respond(c, 200, "application/json", out, c->out_len);
    }
}

static void work_run(void *arg)
{
    struct api_call *c = arg;

    c->next(c);
    c->post.fn = work_done;
    http_post(http_loop(c->http), &c->post);
}

/* False: refused. */
static bool may_administrate(struct api_call *c)
{
    const char *const *who = c->api->admins;

    if (!c->api->admin) {
        api_refuse(c, PFS_DENIED, "permission denied: administration is switched off here");
        return false;
    }
    while (who && *who && (!c->req.client || strcmp(*who, c->req.client) != 0)) {
        who++;
    }
    if (who && !*who) {
        api_refuse(c, PFS_DENIED, "permission denied: administration is for others");
        return false;
    }
    return true;
}

void api_work(struct api_call *c, bool admin, api_handler_fn *fn)
{
    struct pfs_error err;

    if (admin && !may_administrate(c)) {
        return;
    }
    c->next = fn;
    if (!api_once(c)) {
        return;
    }
    if (pfs_pool_submit(c->api->workers, work_run, c, &err) != PFS_OK) {
        api_respond_error(c, &err);
    }
}

void api_work_result(struct api_call *c, struct jout *j)
{
    c->out = jo_take(j, &c->out_len);
    if (!c->out) {
        pfs_nomem(&c->err, "a reply");
    }
}
