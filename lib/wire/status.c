/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * What a reply that says no means (reliability bar A4, B2). Three voices speak here: our own
 * servers, whose error bodies carry class, outcome and origin; stock servers, which answer 500 for
 * nearly everything and mean what their text says; and proxies or strangers, who are believed only
 * as far as their status goes.
 */
#include "base/clock.h"
#include "base/err.h"
#include "wire/json.h"
#include "wire/json_out.h"
#include "wire/route.h"
#include "wire/time.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct meaning {
    enum pfs_class cls;
    enum pfs_outcome outcome;
};

static struct meaning meaning_of_status(int status)
{
    static const struct {
        int status;
        struct meaning meaning;
    } rows[] = {
        {304, {PFS_PROTOCOL, PFS_OUTCOME_UN}}, /* we never ask conditionally */
        {400, {PFS_BADARG, PFS_OUTCOME_NA}},
        {401, {PFS_DENIED, PFS_OUTCOME_NA}},
        {403, {PFS_DENIED, PFS_OUTCOME_NA}},
        {404, {PFS_NOTFOUND, PFS_OUTCOME_NA}},
        {405, {PFS_UNSUPPORTED, PFS_OUTCOME_NA}},
        {408, {PFS_IO, PFS_OUTCOME_UN}},
        {409, {PFS_EXISTS, PFS_OUTCOME_NA}},
        {410, {PFS_NOTFOUND, PFS_OUTCOME_NA}},
        {413, {PFS_TOOBIG, PFS_OUTCOME_NA}},
        {421, {PFS_REFUSED, PFS_OUTCOME_NA}}, /* RFC 9110 15.5.20: not for this connection */
        {425, {PFS_REFUSED, PFS_OUTCOME_NA}}, /* RFC 8470 5.2: before the handshake's end */
        {429, {PFS_BUSY, PFS_OUTCOME_NA}},
        {501, {PFS_UNSUPPORTED, PFS_OUTCOME_NA}},
        {503,
         {PFS_BUSY, PFS_OUTCOME_UN}}, /* a hop may have run it, unless our server denies that */
        {507, {PFS_NOSPC, PFS_OUTCOME_NA}},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].status == status) {
            return rows[i].meaning;
        }
    }
    if (status >= 300 && status < 400) {
        return (struct meaning){PFS_REDIRECT, PFS_OUTCOME_NA};
    }
    if (status >= 400 && status < 500) {
        return (struct meaning){PFS_BADARG, PFS_OUTCOME_NA};
    }
    if (status >= 500 && status < 600) {
        return (struct meaning){PFS_IO, PFS_OUTCOME_UN};
    }
    return (struct meaning){PFS_PROTOCOL, PFS_OUTCOME_UN};
}

enum pfs_class wire_class_of_text(const char *text)
{
    static const struct {
        const char *words;
        enum pfs_class cls;
    } rows[] = {
        {"no such file", PFS_NOTFOUND},
        {"not found", PFS_NOTFOUND},
        {"already exists", PFS_EXISTS},
        {"not empty", PFS_EXISTS},
        {"permission denied", PFS_DENIED},
        {"not permitted", PFS_DENIED},
        {"read-only", PFS_DENIED},
        {"is a directory", PFS_BADARG},
        {"not a directory", PFS_BADARG},
        {"not supported", PFS_UNSUPPORTED},
        {"does not support", PFS_UNSUPPORTED},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcasestr(text, rows[i].words)) {
            return rows[i].cls;
        }
    }
    return PFS_IO;
}

/* The status in front of a text "HTTP 404: ...", 0 when there is none. */
static int status_in_text(const char *text)
{
    int status = 0;

    if (strncmp(text, "HTTP ", 5) != 0) {
        return 0;
    }
    for (int i = 5; i < 8; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return 0;
        }
        status = status * 10 + (text[i] - '0');
    }
    return strncmp(text + 8, ": ", 2) == 0 ? status : 0;
}

/*
 * The stock proxy turns every error of its remote into a 500 "HTTP 404: ..."; where the words say
 * nothing, that inner status does.
 */
static enum pfs_class class_of_500(const char *text)
{
    enum pfs_class cls = wire_class_of_text(text);
    int inner = status_in_text(text);

    if (cls != PFS_IO || inner < 400 || inner > 599) {
        return cls;
    }
    return meaning_of_status(inner).cls;
}

/* Seconds or a date, to milliseconds; 0: absent or garbled. */
static unsigned parse_retry_after(const char *value)
{
    int64_t seconds = 0, date;

    if (!value || !*value) {
        return 0;
    }
    if (strspn(value, "0123456789") == strlen(value)) {
        for (const char *p = value; *p && seconds < WIRE_RETRY_AFTER_MAX_MS; p++) {
            seconds = seconds * 10 + (*p - '0');
        }
    } else if (wire_http_date_parse(value, &date)) {
        seconds = date - pfs_wall_now() / PFS_SEC;
    }
    if (seconds <= 0) {
        return 0;
    }
    return seconds > WIRE_RETRY_AFTER_MAX_MS / 1000 ? WIRE_RETRY_AFTER_MAX_MS
                                                    : (unsigned)seconds * 1000;
}

/* ---- the body of an error ---- */

/* Escapes the first line or so of n bytes of any kind into text. */
static void put_text(char text[PFS_ERROR_TEXT_MAX], const char *s, size_t n)
{
    while (n > 0 && strchr("\r\n\t ", s[n - 1]) && s[n - 1]) {
        n--;
    }
    pfs_escape_line(text, PFS_ERROR_TEXT_MAX, s, n);
}

static bool outcome_by_name(const char *name, enum pfs_outcome *ret)
{
    for (int o = PFS_OUTCOME_UN; o <= PFS_OUTCOME_AP; o++) {
        if (strcmp(name, pfs_outcome_name((enum pfs_outcome)o)) == 0) {
            *ret = (enum pfs_outcome)o;
            return true;
        }
    }
    return false;
}

/*
 * Takes what our own servers add to an error; their mark is a known class with a known outcome.
 * False: it is some other server's body.
 */
static bool take_own_members(struct json_value body, struct pfs_error *err)
{
    const char *name, *outcome_name, *origin = "";
    enum pfs_outcome outcome;
    uint32_t hop = 0;
    int64_t status = 0;

    if (json_get_str(body, "class", &name) != JSON_FOUND ||
        json_get_str(body, "outcome", &outcome_name) != JSON_FOUND) {
        return false;
    }
    enum pfs_class cls = pfs_class_by_name(name);

    if (cls == PFS_OK || strcmp(pfs_class_name(cls), name) != 0 ||
        !outcome_by_name(outcome_name, &outcome)) {
        return false;
    }
    err->cls = cls;
    err->outcome = outcome;
    json_get_uint32(body, "hop", &hop);
    err->hop = hop < UINT32_MAX ? hop + 1 : hop;
    json_get_int64(body, "status", &status);
    if (status >= 300 && status <= 599) {
        err->http_status = (int)status;
    }
    json_get_str(body, "origin", &origin);
    if (*origin) {
        pfs_escape_line(err->origin, sizeof err->origin, origin, strlen(origin));
    }
    return true;
}

/* Reads an error body into *err and text (may stay empty). True: it is our own server's. */
static bool read_body(const char *body, size_t len, struct pfs_error *err,
                      char text[PFS_ERROR_TEXT_MAX])
{
    struct json_value root;
    const char *s;
    size_t n;
    bool is_own = false;

    if (len > WIRE_ERROR_BODY_MAX) {
        len = WIRE_ERROR_BODY_MAX;
    }
    if (len == 0) {
        return false;
    }
    if (json_parse(body, len, JSON_REPLY, &root, NULL) != PFS_OK) {
        put_text(text, body, len);
        return false;
    }
    if (json_get_bytes(root, "error", &s, &n) == JSON_FOUND) {
        put_text(text, s, n);
        is_own = take_own_members(root, err);
    } else {
        put_text(text, body, len);
    }
    json_fini(&root);
    return is_own;
}

static bool is_identity(const char *encoding)
{
    return !encoding || !*encoding || strcasecmp(encoding, "identity") == 0;
}

/* True when the media type, without its parameters, is `type`. */
static bool is_type(const char *content_type, const char *type)
{
    size_t n = strlen(type);

    return strncasecmp(content_type, type, n) == 0 &&
           (content_type[n] == '\0' || strchr("; \t", content_type[n]));
}

enum pfs_class wire_decode_error(const struct wire_head *head, const char *body, size_t len,
                                 const char *origin, struct pfs_error *err)
{
    struct meaning m = meaning_of_status(head->status);
    char text[PFS_ERROR_TEXT_MAX] = "", line[PFS_ERROR_TEXT_MAX + 16];
    /* Pages for browsers and compressed bytes explain nothing. */
    bool readable = is_identity(head->content_encoding) &&
                    !(head->content_type && is_type(head->content_type, "text/html"));

    *err = (struct pfs_error){.cls = m.cls,
                              .outcome = m.outcome,
                              .phase = PFS_PHASE_REPLY,
                              .http_status = head->status,
                              .hop = 1};
    if (origin) {
        pfs_escape_line(err->origin, sizeof err->origin, origin, strlen(origin));
    }
    bool is_own = readable && head->status >= 400 && read_body(body, len, err, text);

    if (!is_own && head->status == 500) {
        err->cls = class_of_500(text);
    }
    if (head->status == 429 || head->status == 503) {
        err->retry_after_ms = parse_retry_after(head->retry_after);
    }
    if (!*text) {
        snprintf(text, sizeof text, "%s", pfs_class_text(err->cls));
    }
    int n = status_in_text(text) ? snprintf(line, sizeof line, "%s", text)
                                 : snprintf(line, sizeof line, "HTTP %d: %s", head->status, text);

    pfs_escape_line(err->text, sizeof err->text, line, n < 0 ? 0 : strlen(line));
    return err->cls;
}

char *wire_error_json(const struct pfs_error *err, size_t *ret_len)
{
    struct pfs_buf b = {0};
    char *text = NULL;
    int status = err->http_status ? err->http_status : pfs_class_http(err->cls);

    if (pfs_buf_add(&b, "{", 1) && json_out_key(&b, "error") && json_out_str(&b, err->text) &&
        json_out_key(&b, "class") && json_out_str(&b, pfs_class_name(err->cls)) &&
        json_out_key(&b, "outcome") && json_out_str(&b, pfs_outcome_name(err->outcome)) &&
        json_out_key(&b, "phase") && json_out_str(&b, pfs_phase_name(err->phase)) &&
        json_out_key(&b, "status") && json_out_int(&b, status) && json_out_key(&b, "origin") &&
        json_out_str(&b, err->origin) && json_out_key(&b, "hop") && json_out_uint(&b, err->hop) &&
        pfs_buf_add(&b, "}\n", 2)) {
        text = pfs_buf_take(&b, ret_len);
    }
    pfs_buf_fini(&b);
    return text;
}

/* ---- the header of a reply that says yes ---- */

static enum pfs_class refuse_head(const struct wire_head *head, enum pfs_class cls,
                                  const char *what, const char *value, struct pfs_error *err)
{
    pfs_fail(err, cls, PFS_OUTCOME_UN, PFS_PHASE_REPLY, "HTTP %d: %s%s%.64s", head->status, what,
             value ? " " : "", value ? value : "");
    if (err) {
        err->http_status = head->status;
    }
    return cls;
}

enum pfs_class wire_check_head(const struct pfs_request *req, const struct wire_head *head,
                               struct pfs_error *err)
{
    const struct wire_route *r = wire_route_of(req->op);
    bool is_json = r && wire_result_is_json(r->result);
    const char *type = is_json ? "application/json" : "application/octet-stream";
    bool is_success = head->status == 200 || (head->status == 201 && r && r->may_be_created) ||
                      (head->status == 206 && head->is_part);

    if (!r || !is_success) {
        return refuse_head(head, PFS_PROTOCOL, "unexpected status", NULL, err);
    }
    if (!is_identity(head->content_encoding)) {
        return refuse_head(head, PFS_PAYLOAD, "unexpected content encoding", head->content_encoding,
                           err);
    }
    if (head->content_type && *head->content_type && !is_type(head->content_type, type)) {
        return refuse_head(head, PFS_PAYLOAD, "unexpected content type", head->content_type, err);
    }
    return PFS_OK;
}

enum pfs_class wire_unreadable(const struct pfs_request *req, int status, struct pfs_error *err)
{
    const struct wire_route *r = wire_route_of(req->op);

    err->outcome = r && !r->is_read ? PFS_OUTCOME_AP : PFS_OUTCOME_UN;
    err->phase = PFS_PHASE_REPLY;
    err->http_status = status;
    pfs_err_prefix(err, "reply to %s", pfs_op_name(req->op));
    return err->cls;
}
