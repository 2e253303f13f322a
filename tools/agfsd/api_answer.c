/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* What the handlers of the API share: the answer, with which a call ends. */
#include "api.h"
#include "base/alloc.h"
#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "jsonout.h"
#include "wire/wire.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
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

/*
 * The header agfs-boot. A server that has proxied a read cannot know by itself what that does: this
 * tells it that it need not remember the response. In a field that is there anyway: HPACK has both
 * values in its table, and neither costs more than the other.
 */
static struct http_header boot_field(const struct api_call *c)
{
    return (struct http_header){"agfs-boot", c->plain ? c->api->boot_plain : c->api->boot, true};
}

/* Every response but a stream goes through here. `counted`: with x-bytes-read. */
static void respond_counted(struct api_call *c, int status, const char *type, char *body,
                            size_t len, bool counted)
{
    const struct dedupe_response r = {status, counted, type, body, len};
    struct http_header extra[6] = {boot_field(c)};
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
    struct http_header all[6] = {boot_field(c)};

    memcpy(all + 1, extra, n++ * sizeof *extra);
    if (c->once && !api_once_settle(c, &not_kept)) {
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

    if (!c->once || c->plain || !api_once_collect(c, type, s)) {
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
