/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* A reply as the operation's result; listings are read in decode_list.c, errors in status.c. */
#include "base/alloc.h"
#include "base/err.h"
#include "base/reply.h"
#include "wire/json.h"
#include "wire/route.h"
#include "wire/time.h"
#include <string.h>

/* A reply under decoding; `root` for replies that are one small object. */
struct decoding {
    const struct pfs_request *req;
    struct json_value root;
    struct pfs_reply *reply;
    struct pfs_error *err;
};

static enum pfs_class bad(struct decoding *d, const char *what)
{
    return pfs_fail(d->err, PFS_PAYLOAD, PFS_OUTCOME_UN, PFS_PHASE_REPLY, "JSON: bad or no %s",
                    what);
}

static enum pfs_class copy(struct decoding *d, const char *s, char **ret)
{
    *ret = pfs_strdup(s);
    return *ret ? PFS_OK : pfs_nomem(d->err, "a reply");
}

/* A string that must be there. */
static enum pfs_class get_text(struct decoding *d, struct json_value obj, const char *key,
                               char **ret)
{
    const char *s;

    return json_get_str(obj, key, &s) == JSON_FOUND ? copy(d, s, ret) : bad(d, key);
}

/* A string that may be missing or null. */
static enum pfs_class get_optional(struct decoding *d, const char *key, char **ret)
{
    const char *s;

    switch (json_get_str(d->root, key, &s)) {
    case JSON_FOUND:
        return copy(d, s, ret);
    case JSON_MISSING:
    case JSON_IS_NULL:
        return PFS_OK;
    case JSON_WRONG:
        break;
    }
    return bad(d, key);
}

/* ---- results of one kind each ---- */

static enum pfs_class decode_message(struct decoding *d)
{
    return get_optional(d, "message", &d->reply->text);
}

/* "Written N bytes": nobody may claim that all was written when the server does not say so. */
static bool parse_written(const char *s, int64_t *ret)
{
    int64_t n = 0;

    s += strlen("Written ");
    size_t digits = strspn(s, "0123456789");

    for (size_t i = 0; i < digits; i++) {
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, s[i] - '0', &n)) {
            return false;
        }
    }
    *ret = n;
    return digits > 0 && strcmp(s + digits, " bytes") == 0;
}

static enum pfs_class decode_written(struct decoding *d)
{
    enum pfs_class cls = get_text(d, d->root, "message", &d->reply->text);

    if (cls != PFS_OK) {
        return cls;
    }
    if (strncmp(d->reply->text, "Written ", 8) != 0) { /* a control file's own words: it took all */
        d->reply->count = d->req->op == PFS_OP_WRITE ? (int64_t)d->req->len : -1;
        return PFS_OK;
    }
    if (!parse_written(d->reply->text, &d->reply->count) ||
        (d->req->op == PFS_OP_WRITE && (uint64_t)d->reply->count > d->req->len)) {
        return bad(d, "number of bytes written");
    }
    return PFS_OK;
}

static enum pfs_class decode_handle_write(struct decoding *d)
{
    if (json_get_int64(d->root, "bytes_written", &d->reply->count) != JSON_FOUND ||
        d->reply->count < 0 || (uint64_t)d->reply->count > d->req->len) {
        return bad(d, "bytes_written");
    }
    return PFS_OK;
}

static enum pfs_class decode_seek(struct decoding *d)
{
    if (json_get_int64(d->root, "position", &d->reply->count) != JSON_FOUND ||
        d->reply->count < 0) {
        return bad(d, "position");
    }
    return PFS_OK;
}

static enum pfs_class decode_readlink(struct decoding *d)
{
    return get_text(d, d->root, "target", &d->reply->text);
}

static enum pfs_class decode_digest(struct decoding *d)
{
    return get_text(d, d->root, "digest", &d->reply->text);
}

static int64_t get_time(struct decoding *d, const char *key)
{
    const char *s;

    return json_get_str(d->root, key, &s) == JSON_FOUND ? wire_time_parse(s, strlen(s))
                                                        : PFS_TIME_UNKNOWN;
}

/* Only the number of a newly opened handle must be there; servers differ in the rest. */
static enum pfs_class decode_handle(struct decoding *d)
{
    bool is_new = d->req->op == PFS_OP_HANDLE_OPEN || d->req->op == PFS_OP_HANDLE_REPLACE;
    struct pfs_handle_info *h = &d->reply->handle;
    enum json_found found = json_get_uint64(d->root, "handle_id", &h->id);

    if (found == JSON_MISSING) {
        found = json_get_uint64(d->root, "id", &h->id);
    }
    if (found == JSON_MISSING && !is_new) {
        h->id = d->req->handle;
        found = JSON_FOUND;
    }
    if (found != JSON_FOUND) {
        return bad(d, "handle_id");
    }
    if (json_get_uint32(d->root, "flags", &h->flags) == JSON_WRONG) {
        return bad(d, "flags");
    }
    if (json_get_int64(d->root, "lease", &h->lease_s) == JSON_WRONG || h->lease_s < 0) {
        return bad(d, "lease");
    }
    h->expires_ns = get_time(d, "expires_at");
    h->created_ns = get_time(d, "created_at");
    h->access_ns = get_time(d, "last_access");
    return get_optional(d, "path", &h->path);
}

/* ---- results with an array ---- */

/* Makes room for the elements of `key`; *ret_array is null and nothing allocated when empty. */
static enum pfs_class begin_matches(struct decoding *d, const char *key,
                                    struct json_value *ret_array)
{
    if (json_get_array(d->root, key, ret_array) == JSON_WRONG) {
        return bad(d, key);
    }
    size_t n = json_length(*ret_array);

    if (n == 0) {
        return PFS_OK;
    }
    if (n > WIRE_ENTRIES_MAX) {
        return pfs_fail(d->err, PFS_LIMIT, PFS_OUTCOME_UN, PFS_PHASE_REPLY, "more than %d %s",
                        WIRE_ENTRIES_MAX, key);
    }
    d->reply->matches = pfs_calloc(n, sizeof *d->reply->matches);
    if (!d->reply->matches) {
        return pfs_nomem(d->err, key);
    }
    d->reply->n_matches = n;
    return PFS_OK;
}

/* A line of a binary file may hold NUL bytes, which a C string cannot: they become U+FFFD. */
static enum pfs_class get_line(struct decoding *d, struct json_value match, char **ret)
{
    const char *s;
    size_t n;
    struct pfs_buf b = {0};

    if (json_get_bytes(match, "content", &s, &n) != JSON_FOUND) {
        return bad(d, "content");
    }
    bool ok = true;

    while (ok && n > 0) {
        size_t run = strnlen(s, n);

        ok = pfs_buf_add(&b, s, run) && (run == n || pfs_buf_add_str(&b, "\xef\xbf\xbd"));
        s += run < n ? run + 1 : run;
        n -= run < n ? run + 1 : run;
    }
    *ret = ok ? pfs_buf_take(&b, NULL) : NULL;
    pfs_buf_fini(&b);
    return *ret ? PFS_OK : pfs_nomem(d->err, "a match");
}

static enum pfs_class decode_grep(struct decoding *d)
{
    struct json_value array = {0};
    enum pfs_class cls = begin_matches(d, "matches", &array);

    for (size_t i = 0; cls == PFS_OK && i < d->reply->n_matches; i++) {
        struct pfs_match *m = &d->reply->matches[i];
        struct json_value match = json_at(array, i);

        if (json_get_int64(match, "line", &m->line) != JSON_FOUND || m->line < 0) {
            return bad(d, "line");
        }
        cls = get_text(d, match, "file", &m->file);
        if (cls == PFS_OK) {
            cls = get_line(d, match, &m->content);
        }
    }
    return cls;
}

static enum pfs_class decode_capabilities(struct decoding *d)
{
    struct json_value array = {0};
    enum pfs_class cls = get_optional(d, "version", &d->reply->text);

    if (cls == PFS_OK && !d->reply->text) {
        cls = copy(d, "", &d->reply->text);
    }
    if (cls == PFS_OK) {
        cls = begin_matches(d, "features", &array);
    }
    for (size_t i = 0; cls == PFS_OK && i < d->reply->n_matches; i++) {
        const char *s = json_str(json_at(array, i));

        cls = s ? copy(d, s, &d->reply->matches[i].file) : bad(d, "feature");
    }
    return cls;
}

/* ---- the whole ---- */

/* Decodes a reply that is one object with the function for its result. */
static enum pfs_class decode_object(struct decoding *d, const char *body, size_t len,
                                    enum pfs_class (*decode)(struct decoding *d))
{
    enum pfs_class cls = json_parse(body, len, JSON_REPLY, &d->root, d->err);

    if (cls != PFS_OK) {
        return cls;
    }
    cls = json_kind(d->root) == JSON_OBJECT ? decode(d) : bad(d, "object");
    json_fini(&d->root);
    return cls;
}

/* An object whose text is the result. */
static enum pfs_class decode_json(struct decoding *d, const char *body, size_t len)
{
    enum pfs_class cls = json_check(body, len, d->err);

    if (cls != PFS_OK) {
        return cls;
    }
    return body[strspn(body, " \t\r\n")] == '{' ? PFS_OK : bad(d, "object");
}

static enum pfs_class decode_result(struct decoding *d, enum wire_result result, const char *body,
                                    size_t len)
{
    switch (result) {
    case RESULT_DATA:
    case RESULT_STREAM:
        return PFS_OK;
    case RESULT_MESSAGE:
        return decode_object(d, body, len, decode_message);
    case RESULT_WRITTEN:
        return decode_object(d, body, len, decode_written);
    case RESULT_JSON:
        return decode_json(d, body, len);
    case RESULT_LIST:
        return wire_list_decode(body, len, &d->reply->list, &d->reply->n_list, d->err);
    case RESULT_STAT:
        return wire_stat_decode(body, len, &d->reply->stat, d->err);
    case RESULT_READLINK:
        return decode_object(d, body, len, decode_readlink);
    case RESULT_DIGEST:
        return decode_object(d, body, len, decode_digest);
    case RESULT_GREP:
        return decode_object(d, body, len, decode_grep);
    case RESULT_CAPABILITIES:
        return decode_object(d, body, len, decode_capabilities);
    case RESULT_HANDLE:
        return decode_object(d, body, len, decode_handle);
    case RESULT_HANDLE_WRITE:
        return decode_object(d, body, len, decode_handle_write);
    case RESULT_SEEK:
        return decode_object(d, body, len, decode_seek);
    }
    return PFS_OK;
}

/* Decodes an accepted 2xx reply. Takes *body (sets it to NULL) where the bytes are the result. */
static enum pfs_class decode_success(const struct pfs_request *req, int status, char **body,
                                     size_t len, struct pfs_reply *reply)
{
    enum wire_result result = wire_route_of(req->op)->result;
    struct pfs_error err;
    struct decoding d = {.req = req, .reply = reply, .err = &err};
    enum pfs_class cls = PFS_OK;

    pfs_error_init(&err);
    if (wire_result_is_json(result) && len > WIRE_JSON_MAX) {
        cls = pfs_fail(&err, PFS_LIMIT, PFS_OUTCOME_UN, PFS_PHASE_REPLY, "more than %u bytes",
                       WIRE_JSON_MAX);
    } else {
        cls = decode_result(&d, result, *body ? *body : "", *body ? len : 0);
    }
    if (cls != PFS_OK) {
        pfs_reply_fini(reply);
        reply->err = err;
        return wire_unreadable(req, status, &reply->err);
    }
    if ((result == RESULT_DATA || result == RESULT_JSON) && *body && len > 0) {
        bool too_much = result == RESULT_DATA && req->size >= 0 && len > (uint64_t)req->size;

        reply->len = too_much ? (size_t)req->size : len; /* never more than was asked for */
        if (reply->len > 0) {
            reply->data = *body;
            *body = NULL;
        }
    }
    return PFS_OK;
}

enum pfs_class wire_decode(const struct pfs_request *req, const struct wire_head *head, char *body,
                           size_t len, const char *origin, struct pfs_reply *reply)
{
    if (head->status < 200 || head->status > 299) {
        wire_decode_error(head, body, body ? len : 0, origin, &reply->err);
    } else if (wire_check_head(req, head, &reply->err) == PFS_OK) {
        decode_success(req, head->status, &body, len, reply);
    }
    pfs_free(body);
    return reply->err.cls;
}
