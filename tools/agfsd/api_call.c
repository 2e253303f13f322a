/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* What the handlers of the API share: arguments in, and the operation or work that is asked for. */
#include "api.h"
#include "base/alloc.h"
#include "base/err.h"
#include "base/reply.h"
#include "jsonout.h"
#include "query.h"
#include <stdio.h>
#include <string.h>

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

    if (reply->err.cls != PFS_OK) {
        api_respond_error(c, &reply->err);
    } else {
        c->receipt = reply->receipt;
        reply->receipt = NULL;
        c->plain = reply->plain;
        c->answer(c, reply);
    }
    pfs_reply_drop(reply);
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

static void respond_work(struct api_call *c)
{
    char *out = c->out;

    c->out = NULL;
    if (c->err.cls != PFS_OK) {
        pfs_free(out);
        api_respond_error(c, &c->err);
    } else {
        api_respond_bytes(c, c->out_type ? c->out_type : "application/json", out, c->out_len);
    }
}

static void work_done(struct post *p)
{
    respond_work(container_of(p, struct api_call, post));
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

/* ---- long answers ---- */

/* So many take a third of a millisecond to write; a directory may have a hundred times as many. */
#define LONG_ANSWER 1000

static void write_kept(struct api_call *c)
{
    c->write(c, c->kept);
    pfs_reply_drop(c->kept); /* takes as long as the writing */
    pfs_free(c->kept);
    c->kept = NULL;
}

/* True: a writer has the reply. */
static bool write_aside(struct api_call *c, struct pfs_reply *reply)
{
    struct pfs_error err;

    c->kept = pfs_malloc(sizeof *c->kept);
    if (!c->kept) {
        return false;
    }
    *c->kept = *reply;
    c->next = write_kept;
    if (pfs_pool_submit(c->api->writers, work_run, c, &err) != PFS_OK) {
        pfs_free(c->kept);
        c->kept = NULL;
        return false;
    }
    pfs_reply_init(reply);
    return true;
}

void api_write_answer(struct api_call *c, struct pfs_reply *reply, api_write_fn *write)
{
    c->write = write;
    if (reply->n_list + reply->n_matches > LONG_ANSWER && write_aside(c, reply)) {
        return;
    }
    write(c, reply);
    respond_work(c);
}
