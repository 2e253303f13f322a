/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Content of files: agfs-http-api.md 4.1 to 4.5 and 4.15. */
#include "api.h"
#include "base/path.h"
#include "query.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- reading ---- */

/*
 * The condition of If-Range (RFC 9110 13.1.5): a part is of use only of the content that the client
 * has the rest of. A date never matches: none is sent.
 */
static bool has_the_rest(const struct api_call *c, const struct pfs_stream *s)
{
    const char *tag = http_field(c->http, "if-range");
    size_t n = strlen(s->version);

    return !tag || (tag[0] == '"' && strncmp(tag + 1, s->version, n) == 0 &&
                    strcmp(tag + 1 + n, "\"") == 0);
}

static void part_closed(void *arg, size_t n, const struct pfs_error *err);

static void answer_read(struct api_call *c, struct pfs_reply *reply)
{
    if (reply->stream) {
        struct pfs_stream *s = reply->stream;
        bool part = c->req.flags & PFS_READ_RANGE && s->version[0];

        reply->stream = NULL;
        if (part && !has_the_rest(c, s)) {
            vfs_stream_end(s, http_loop(c->http), NULL, part_closed, c);
        } else if (part && s->total > 0) {
            api_respond_range(c, "application/octet-stream", s);
        } else {
            api_respond_stream(c, "application/octet-stream", s);
        }
        return;
    }
    char *data = reply->data;

    reply->data = NULL;
    api_respond_bytes(c, "application/octet-stream", data, reply->len);
}

/* Instead of the part all of it is read. */
static void part_closed(void *arg, size_t n, const struct pfs_error *err)
{
    struct api_call *c = arg;

    c->req.flags &= ~PFS_READ_RANGE;
    c->req.offset = 0;
    c->req.size = -1;
    c->fate = (struct vfs_fate){0};
    api_submit(c, PFS_OP_OPEN_READ, answer_read);
}

/*
 * A message is gone from its queue once it is read: it is fetched whole, which a proxied mount may
 * repeat when the reply is lost, before the first byte of it is passed on; also when it is asked
 * for as a stream. Where reading takes nothing away the name means nothing: there it is a file of
 * any size.
 */
static bool takes_message(const struct api_call *c)
{
    return strcmp(pfs_path_base(c->path), "dequeue") == 0 &&
           !vfs_has_plain_reads(c->api->vfs, c->path);
}

/*
 * Takes a header "range: bytes=FIRST-LAST" or "bytes=FIRST-", unless a part was asked for in the
 * stock way. Other forms are no error: HTTP lets a server ignore them.
 */
static void read_range(struct api_call *c)
{
    const char *s = http_field(c->http, "range");
    size_t n_first, n_last;
    int64_t first, last;

    if (!s || strncmp(s, "bytes=", 6) != 0 || c->req.offset > 0 || c->req.size >= 0) {
        return;
    }
    s += 6;
    n_first = strspn(s, "0123456789");
    n_last = s[n_first] == '-' ? strspn(s + n_first + 1, "0123456789") : 0;
    if (s[n_first] != '-' || s[n_first + 1 + n_last] || !query_parse_int(s, n_first, 10, &first) ||
        (n_last && (!query_parse_int(s + n_first + 1, n_last, 10, &last) || last < first ||
                    last == INT64_MAX))) {
        return;
    }
    c->req.flags |= PFS_READ_RANGE;
    c->req.offset = first;
    c->req.size = n_last ? last - first + 1 : -1;
}

void api_files_get(struct api_call *c)
{
    int64_t offset = 0, size = -1;
    bool takes;

    if (!api_need_path(c, NULL) ||
        !api_query_int(c, "offset", 10, &offset, "invalid offset parameter") ||
        !api_query_int(c, "size", 10, &size, "invalid size parameter")) {
        return;
    }
    c->req.offset = offset > 0 ? offset : 0;
    c->req.size = size >= 0 ? size : -1;
    if (query_is(http_query(c->http), "stream", "true")) {
        c->req.flags = PFS_READ_STREAM;
        c->req.offset = c->req.size = -1;
    }
    takes = takes_message(c);
    if (!takes && !(c->req.flags & PFS_READ_STREAM)) {
        read_range(c);
    }
    api_submit(c, takes ? PFS_OP_READ : PFS_OP_OPEN_READ, answer_read);
}

/* ---- writing ---- */

static void respond_written(struct api_call *c, int64_t n, const char *text)
{
    char message[64];

    snprintf(message, sizeof message, "Written %" PRId64 " bytes", n);
    api_respond_message(c, 200, text && *text ? text : message);
}

void api_answer_written(struct api_call *c, struct pfs_reply *reply)
{
    respond_written(c, reply->count, reply->text);
}

static void write_collected(struct api_call *c)
{
    c->req.data = c->body;
    c->req.len = c->body_len;
    api_submit(c, PFS_OP_WRITE, api_answer_written);
}

static void upload_finished(void *arg, size_t n, const struct pfs_error *err)
{
    struct api_call *c = arg;

    if (err->cls != PFS_OK) {
        api_respond_error(c, err);
    } else {
        respond_written(c, (int64_t)n, NULL);
    }
}

static void upload_given_up(void *arg, size_t n, const struct pfs_error *err)
{
    struct api_call *c = arg;

    api_respond_error(c, &c->err);
}

static void upload_pumped(void *arg, size_t n, const struct pfs_error *err)
{
    struct api_call *c = arg;
    bool whole = err->cls == PFS_OK;

    c->err = *err;
    c->not_applied = !whole; /* nothing is committed then */
    vfs_stream_end(c->stream, http_loop(c->http), whole ? &c->fate : NULL,
                   whole ? upload_finished : upload_given_up, c);
}

static void answer_open_write(struct api_call *c, struct pfs_reply *reply)
{
    c->stream = reply->stream;
    reply->stream = NULL;
    size_t max = c->api->max_upload;

    http_pump_body(c->http, c->stream, max > 0 && max < INT64_MAX ? (int64_t)max : -1,
                   upload_pumped, c);
}

bool api_take_write(struct api_call *c)
{
    int64_t offset = -1, flags = -1;

    if (!api_query_int(c, "offset", 10, &offset, "invalid offset parameter") ||
        !api_query_int(c, "flags", 10, &flags, "invalid flags parameter: must be a number")) {
        return false;
    }
    if (flags > PFS_WRITE_ALL_FLAGS || (flags < 0 && flags != -1) || offset < -1) {
        api_refuse(c, PFS_BADARG,
                   offset < -1 ? "invalid offset parameter"
                               : "invalid flags parameter: unknown bits");
        return false;
    }
    c->req.offset = offset;
    c->req.flags = flags >= 0     ? (uint32_t)flags
                   : offset == -1 ? PFS_WRITE_CREATE | PFS_WRITE_TRUNCATE
                                  : PFS_WRITE_CREATE;
    return true;
}

void api_files_put(struct api_call *c)
{
    int64_t len = http_content_length(c->http);

    if (!api_need_path(c, NULL) || !api_take_write(c)) {
        return;
    }
    bool replaces = c->req.offset == -1 && !(c->req.flags & PFS_WRITE_APPEND);

    if (replaces && (len < 0 || len > BODY_COLLECT_MAX) &&
        vfs_has_op(c->api->vfs, c->path, PFS_OP_OPEN_WRITE)) {
        c->req.size = len;
        api_submit(c, PFS_OP_OPEN_WRITE, answer_open_write);
    } else {
        api_with_body(c, write_collected);
    }
}

static void write_json(struct api_call *c)
{
    const char *data = NULL;
    size_t len = 0;
    struct pfs_error err;

    if (json_parse(c->body ? c->body : "", c->body_len, JSON_REQUEST, &c->json, &err) != PFS_OK ||
        json_get_bytes(c->json, "data", &data, &len) == JSON_WRONG) {
        api_refuse(c, PFS_BADARG, "invalid JSON body");
        return;
    }
    c->req.data = data;
    c->req.len = len;
    api_submit(c, PFS_OP_WRITE, api_answer_written);
}

void api_write(struct api_call *c)
{
    const char *type = http_field(c->http, "content-type");

    if (!api_need_path(c, NULL) || !api_take_write(c)) {
        return;
    }
    api_with_body(c, type && strstr(type, "application/json") ? write_json : write_collected);
}

/* Not of the stock API: the content stays where it is, at the far end of a chain of mounts. */
static void copy_parsed(struct api_call *c)
{
    if (api_take_new_path(c)) {
        api_submit(c, PFS_OP_COPY, api_answer_written);
    }
}

void api_copy(struct api_call *c)
{
    if (api_need_path(c, NULL)) {
        api_with_json(c, copy_parsed);
    }
}

/* ---- making and removing ---- */

void api_files_post(struct api_call *c)
{
    if (api_need_path(c, NULL)) {
        api_submit_message(c, PFS_OP_CREATE, 201, "file created");
    }
}

void api_files_delete(struct api_call *c)
{
    if (api_need_path(c, NULL)) {
        bool all = query_is(http_query(c->http), "recursive", "true");

        api_submit_message(c, all ? PFS_OP_REMOVE_ALL : PFS_OP_REMOVE, 200, "deleted");
    }
}
