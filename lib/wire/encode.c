/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/cold.h"
#include "base/decimal.h"
#include "base/err.h"
#include "base/utf8.h"
#include "wire/json_out.h"
#include "wire/json_pull.h"
#include "wire/route.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- the target ---- */

/* "&recursive=false", and any other with a number. */
#define MEMBER_MAX 32

/* Where there is room, without the NUL; returns the end. A loop: all of it is a few bytes long. */
static char *put(char *to, const char *s)
{
    while (*s) {
        *to++ = *s++;
    }
    return to;
}

/* RFC 3986 unreserved and '/': everything else is encoded, so no reader can take it otherwise. */
static const bool is_raw[256] = {
    ['a' ... 'z'] = true, ['A' ... 'Z'] = true, ['0' ... '9'] = true, ['-'] = true,
    ['.'] = true,         ['_'] = true,         ['~'] = true,         ['/'] = true,
};

static char *put_encoded(char *to, const char *s)
{
    static const char hex[] = "0123456789ABCDEF";

    for (;;) {
        size_t n = 0;

        while (is_raw[(unsigned char)s[n]]) {
            n++;
        }
        unsigned char c = (unsigned char)s[n];

        to = mempcpy(to, s, n);
        if (c == '\0') {
            return to;
        }
        *to++ = '%';
        *to++ = hex[c >> 4];
        *to++ = hex[c & 15];
        s += n + 1;
    }
}

static char *put_path(char *to, const char *base_path, const char *path, uint64_t handle)
{
    char digits[PFS_DECIMAL_MAX];

    to = put(to, base_path);
    for (; *path; path++) {
        if (*path == '#') {
            to = put(to, pfs_decimal(digits, handle));
        } else {
            *to++ = *path;
        }
    }
    return to;
}

/* The query under construction; there is room for all that may come. */
struct query {
    char *to;
    bool is_started;
};

static void add_name(struct query *q, const char *name)
{
    *q->to++ = q->is_started ? '&' : '?';
    q->to = put(q->to, name);
    *q->to++ = '=';
    q->is_started = true;
}

static void add_text(struct query *q, const char *name, const char *value)
{
    add_name(q, name);
    q->to = put_encoded(q->to, value);
}

static void add_int(struct query *q, const char *name, int64_t value)
{
    char digits[PFS_DECIMAL_MAX];

    add_name(q, name);
    q->to = put(q->to, pfs_decimal_signed(digits, value));
}

static char *put_query(char *to, const struct pfs_request *req, unsigned members, bool extended)
{
    struct query q = {.to = to};
    bool follows = (members & QUERY_OFFSET_OVER_0) && (req->flags & PFS_READ_STREAM);

    if ((members & QUERY_OFFSET_OVER_0) && (req->flags & PFS_READ_RANGE)) {
        add_text(&q, "path", req->path); /* the part stands in a header field */
        return q.to;
    }
    if (follows) { /* no place in what has no end */
        add_text(&q, "path", req->path);
        add_text(&q, "stream", "true");
        return q.to;
    }
    bool has_offset = (members & QUERY_OFFSET) ||
                      (members & QUERY_OFFSET_OVER_0 && req->offset > 0) ||
                      (members & QUERY_OFFSET_GIVEN && req->offset >= 0) ||
                      (members & QUERY_EXTENDED && extended && req->offset >= 0);

    if (members & QUERY_PATH) {
        add_text(&q, "path", req->path);
    }
    if (members & (QUERY_RECURSIVE_NO | QUERY_RECURSIVE_YES)) {
        add_text(&q, "recursive", members & QUERY_RECURSIVE_YES ? "true" : "false");
    }
    if (has_offset) {
        add_int(&q, "offset", req->offset);
    }
    if (members & (QUERY_SIZE | QUERY_SIZE_CHECKED) ||
        (members & QUERY_SIZE_GIVEN && req->size >= 0)) {
        add_int(&q, "size", req->size);
    }
    if (members & QUERY_LEASE_GIVEN && req->size >= 0) {
        add_int(&q, "lease", req->size);
    }
    if (members & QUERY_WHENCE) {
        add_int(&q, "whence", req->whence);
    }
    if (members & QUERY_FLAGS || (members & QUERY_EXTENDED && extended)) {
        add_int(&q, "flags", req->flags);
    }
    if (members & QUERY_MODE) {
        add_name(&q, "mode");
        q.to += snprintf(q.to, MEMBER_MAX, "%" PRIo32, req->mode);
    }
    return q.to;
}

/* Makes the target; its length, 0: no memory. */
static size_t make_target(const struct pfs_request *req, const struct wire_route *r,
                          const char *base_path, bool extended, struct wire_message *m)
{
    size_t n_path = r->query & QUERY_PATH ? 3 * strlen(req->path) : 0;
    size_t most = strlen(base_path) + strlen(r->path) + PFS_DECIMAL_MAX + n_path +
                  QUERY_MEMBERS_MAX * MEMBER_MAX + 1;

    m->target = most <= sizeof m->target_room ? m->target_room : pfs_malloc(most);
    if (!m->target) {
        return 0;
    }
    char *end = put_path(m->target, base_path, r->path, req->handle);

    end = put_query(end, req, r->query, extended);
    *end = '\0';
    return (size_t)(end - m->target);
}

/* ---- the body ---- */

static bool add_member(struct pfs_buf *b, const char *key, const char *value)
{
    return json_out_key(b, key) && json_out_str(b, value);
}

static bool add_flag(struct pfs_buf *b, const char *key, bool value)
{
    return json_out_key(b, key) && json_out_bool(b, value);
}

static bool add_mount(struct pfs_buf *b, const struct pfs_request *req)
{
    return add_member(b, "fstype", req->text) && add_member(b, "path", req->path) &&
           json_out_key(b, "config") &&
           (req->len ? pfs_buf_add(b, req->data, req->len) : pfs_buf_add_str(b, "{}"));
}

/* The members between the braces; false: out of memory. */
static bool add_members(struct pfs_buf *b, enum wire_body body, const struct pfs_request *req)
{
    switch (body) {
    case BODY_NONE:
    case BODY_DATA:
    case BODY_STREAM:
        return true;
    case BODY_RENAME:
        return add_member(b, "newPath", req->path2);
    case BODY_CHMOD:
        return json_out_key(b, "mode") && json_out_uint(b, req->mode);
    case BODY_SYMLINK:
        return add_member(b, "target", req->path2);
    case BODY_DIGEST:
        return add_member(b, "algorithm", req->text) && add_member(b, "path", req->path);
    case BODY_GREP:
        return add_member(b, "path", req->path) && add_member(b, "pattern", req->text) &&
               add_flag(b, "recursive", req->flags & PFS_GREP_RECURSIVE) &&
               add_flag(b, "case_insensitive", req->flags & PFS_GREP_ICASE) &&
               add_flag(b, "stream", false);
    case BODY_MOUNT:
        return add_mount(b, req);
    case BODY_UNMOUNT:
        return add_member(b, "path", req->path);
    case BODY_LIBRARY:
        return add_member(b, "library_path", req->path);
    }
    return true;
}

static enum pfs_class encode_body(const struct pfs_request *req, enum wire_body body,
                                  struct wire_message *m, struct pfs_error *err)
{
    struct pfs_buf b = {0};

    if (body == BODY_NONE) {
        return PFS_OK;
    }
    if (body == BODY_DATA || body == BODY_STREAM) {
        m->content_type = "application/octet-stream";
        m->body = body == BODY_DATA ? req->data : NULL;
        m->body_len = body == BODY_DATA ? req->len : 0;
        return PFS_OK;
    }
    if (pfs_buf_add(&b, "{", 1) && add_members(&b, body, req) && pfs_buf_add(&b, "}", 1)) {
        m->owned_body = pfs_buf_take(&b, &m->body_len);
    }
    pfs_buf_fini(&b);
    if (!m->owned_body) {
        return pfs_nomem(err, "a request body");
    }
    m->body = m->owned_body;
    m->content_type = "application/json";
    return PFS_OK;
}

/* ---- checks ---- */

/* A string that the request must have; JSON can carry UTF-8 only. */
static enum pfs_class check_text(const char *what, const char *s, struct pfs_error *err)
{
    if (!s || !*s) {
        return pfs_refuse(err, PFS_INVALID, "%s is missing", what);
    }
    if (!pfs_utf8_valid(s, strlen(s))) {
        return pfs_refuse(err, PFS_INVALID, "%s is not valid UTF-8", what);
    }
    return PFS_OK;
}

/* Stock servers replace the whole content and create the file, whatever flags and offset say. */
static bool is_plain_write(const struct pfs_request *req)
{
    bool whole = req->offset < 0 || (req->offset == 0 && req->flags & PFS_WRITE_TRUNCATE);

    return whole && (req->flags & ~(PFS_WRITE_CREATE | PFS_WRITE_TRUNCATE)) == 0;
}

/* As many options as a mount may have, and longer than any name of one: only for a message. */
#define KEYS_COMPARED 64
#define KEY_TEXT_MAX 64

/* The first key that one of the first KEYS_COMPARED is again, as text; false: none. */
static PFS_APART bool find_twin(const struct pfs_request *req, char name[KEY_TEXT_MAX])
{
    char seen[KEYS_COMPARED][KEY_TEXT_MAX];
    struct json_pull j;
    struct json_scope scope;
    struct json_span key;
    bool found = false;

    json_pull_init(&j, req->data, req->len, JSON_REQUEST);
    bool is_object = json_pull_open(&j, '{', &scope);

    for (size_t n = 0; is_object && !found && json_pull_key(&j, &scope, &key); n++) {
        snprintf(name, KEY_TEXT_MAX, "%.*s", (int)(key.n < KEY_TEXT_MAX ? key.n : KEY_TEXT_MAX),
                 key.s);
        for (size_t i = 0; i < n && i < KEYS_COMPARED && !found; i++) {
            found = key.n < KEY_TEXT_MAX && strcmp(seen[i], name) == 0;
        }
        if (n < KEYS_COMPARED) {
            memcpy(seen[n], name, KEY_TEXT_MAX);
        }
        if (!json_pull_skip(&j)) {
            break;
        }
    }
    json_pull_fini(&j);
    return found;
}

static enum pfs_class check_config(const struct pfs_request *req, struct pfs_error *err)
{
    char name[KEY_TEXT_MAX];
    struct json_pull j;
    struct json_scope scope;
    struct pfs_error why;
    bool is_object;

    if (req->len == 0) {
        return PFS_OK;
    }
    json_pull_init(&j, req->data, req->len, JSON_REPLY);
    is_object = json_pull_open(&j, '{', &scope);
    json_pull_fini(&j);
    if (!is_object) {
        return pfs_refuse(err, PFS_INVALID, "the configuration is no JSON object");
    }
    if (json_check(req->data, req->len, &why) == PFS_OK) {
        return PFS_OK;
    }
    return pfs_utf8_valid(req->data, req->len) && find_twin(req, name)
               ? pfs_refuse(err, PFS_INVALID, "%s is given twice", name)
               : pfs_refuse(err, PFS_INVALID, "the configuration: %s", why.text);
}

static enum pfs_class check_body(const struct pfs_request *req, enum wire_body body,
                                 struct pfs_error *err)
{
    enum pfs_class cls = PFS_OK;

    switch (body) {
    case BODY_RENAME:
        return check_text("the new path", req->path2, err);
    case BODY_SYMLINK:
        return check_text("the link's target", req->path2, err);
    case BODY_DIGEST:
        cls = check_text("the algorithm", req->text, err);
        break;
    case BODY_GREP:
        cls = check_text("the pattern", req->text, err);
        break;
    case BODY_MOUNT:
        cls = check_text("the type", req->text, err);
        cls = cls == PFS_OK ? check_config(req, err) : cls;
        break;
    case BODY_UNMOUNT:
    case BODY_LIBRARY:
        break;
    case BODY_NONE:
    case BODY_DATA:
    case BODY_STREAM:
    case BODY_CHMOD:
        return PFS_OK;
    }
    return cls == PFS_OK ? check_text("the path", req->path, err) : cls;
}

static enum pfs_class check(const struct pfs_request *req, const struct wire_route *r,
                            bool extended, struct pfs_error *err)
{
    if (!r) {
        return pfs_refuse(err, PFS_UNSUPPORTED, "%s: operation not supported",
                          pfs_op_name(req->op));
    }
    if (r->query & QUERY_PATH && (!req->path || *req->path != '/')) {
        return pfs_refuse(err, PFS_INVALID, "the path does not begin with '/'");
    }
    if (r->query & QUERY_SIZE_CHECKED && req->size < 0) {
        return pfs_refuse(err, PFS_INVALID, "the size is negative");
    }
    if (r->query & QUERY_EXTENDED && !extended && !is_plain_write(req)) {
        return pfs_refuse(err, PFS_UNSUPPORTED,
                          "write at an offset or with flags: not supported by the remote");
    }
    return check_body(req, r->body, err);
}

static size_t reply_max(enum wire_result result)
{
    switch (result) {
    case RESULT_DATA:
        return WIRE_REPLY_MAX;
    case RESULT_STREAM:
        return SIZE_MAX;
    case RESULT_LIST:
    case RESULT_GREP:
    case RESULT_JSON:
        return WIRE_JSON_MAX;
    case RESULT_MESSAGE:
    case RESULT_WRITTEN:
    case RESULT_STAT:
    case RESULT_READLINK:
    case RESULT_DIGEST:
    case RESULT_CAPABILITIES:
    case RESULT_HANDLE:
    case RESULT_HANDLE_WRITE:
    case RESULT_SEEK:
        break;
    }
    return WIRE_SMALL_MAX;
}

enum pfs_class wire_encode(const struct pfs_request *req, const char *base_path, bool extended,
                           struct wire_message *ret, struct pfs_error *err)
{
    const struct wire_route *r = wire_route_of(req->op);
    enum pfs_class cls = check(req, r, extended, err);

    if (cls != PFS_OK) {
        return cls;
    }
    memset(ret, 0, offsetof(struct wire_message, target_room));
    ret->method = r->method;
    ret->reply_max = reply_max(r->result);
    size_t len = make_target(req, r, base_path, extended, ret);
    if (len == 0) {
        return pfs_nomem(err, "a request target");
    }
    if (len > WIRE_TARGET_MAX) {
        cls = pfs_refuse(err, PFS_INVALID, "the path takes more than %u bytes encoded",
                         WIRE_TARGET_MAX);
    } else {
        cls = encode_body(req, r->body, ret, err);
    }
    if (cls != PFS_OK) {
        wire_message_fini(ret);
    }
    return cls;
}

void wire_message_fini(struct wire_message *m)
{
    if (m->target != m->target_room) {
        pfs_free(m->target);
    }
    pfs_free(m->owned_body);
    m->target = m->owned_body = NULL;
}
