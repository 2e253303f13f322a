/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Digests and searching: agfs-http-api.md 4.13, 4.14. */
#include "api.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include "grep.h"
#include "jsonout.h"
#include <string.h>

/* ---- digest ---- */

static void answer_digest(struct api_call *c, struct pfs_reply *reply)
{
    struct jout j = {0};

    jo_begin(&j, '{');
    jo_member(&j, "algorithm", c->text);
    jo_member(&j, "path", c->path);
    jo_member(&j, "digest", reply->text);
    jo_end(&j, '}');
    api_respond_json(c, 200, &j);
}

static void digest_body(struct api_call *c)
{
    if (!api_parse_json(c, true) || !api_json_str(c, "algorithm", &c->text) ||
        !api_json_str(c, "path", &c->path)) {
        return;
    }
    if (!c->text || (strcmp(c->text, "xxh3") != 0 && strcmp(c->text, "md5") != 0)) {
        api_refuse(c, PFS_BADARG, "unsupported algorithm: %s (supported: xxh3, md5)",
                   c->text ? c->text : "");
        return;
    }
    if (!c->path) {
        api_refuse(c, PFS_BADARG, "path is required");
        return;
    }
    c->req.path = c->path;
    c->req.text = c->text;
    api_submit(c, PFS_OP_DIGEST, answer_digest);
}

void api_digest(struct api_call *c)
{
    api_with_arguments(c, digest_body);
}

/* ---- grep ---- */

static void write_matches(struct api_call *c, const struct pfs_reply *reply)
{
    struct jout j = {0};

    jo_begin(&j, '{');
    jo_key(&j, "matches");
    if (reply->n_matches == 0) {
        jo_null(&j);
    } else {
        jo_begin(&j, '[');
        for (size_t i = 0; i < reply->n_matches; i++) {
            jo_match(&j, &reply->matches[i]);
        }
        jo_end(&j, ']');
    }
    jo_key(&j, "count");
    jo_int(&j, (int64_t)reply->n_matches);
    jo_end(&j, '}');
    api_work_result(c, &j);
}

static void answer_matches(struct api_call *c, struct pfs_reply *reply)
{
    api_write_answer(c, reply, write_matches);
}

/* A driver's own search, as lines. */
static void write_lines(struct api_call *c, const struct pfs_reply *reply)
{
    struct pfs_buf lines = {0};
    bool good = true;

    for (size_t i = 0; i <= reply->n_matches && good; i++) {
        struct jout j = {0};
        size_t n;

        if (i < reply->n_matches) {
            jo_match(&j, &reply->matches[i]);
        } else {
            jo_begin(&j, '{');
            jo_key(&j, "count");
            jo_int(&j, (int64_t)reply->n_matches);
            jo_member(&j, "type", "summary");
            jo_end(&j, '}');
        }
        char *line = jo_take(&j, &n);

        good = line && pfs_buf_add(&lines, line, n);
        pfs_free(line);
    }
    c->out = good ? pfs_buf_take(&lines, &c->out_len) : NULL;
    c->out_type = "application/x-ndjson";
    if (!c->out) {
        pfs_nomem(&c->err, "a reply");
    }
    pfs_buf_fini(&lines);
}

static void answer_lines(struct api_call *c, struct pfs_reply *reply)
{
    api_write_answer(c, reply, write_lines);
}

/* Starting a search looks at files, so it is done on a worker; then back to the loop. */
static void stream_begun(struct post *p)
{
    struct api_call *c = container_of(p, struct api_call, post);

    if (c->stream) {
        api_respond_stream(c, "application/x-ndjson", c->stream);
    } else {
        api_respond_error(c, &c->err);
    }
}

static void stream_begin(void *arg)
{
    struct api_call *c = arg;
    struct grep *g;

    if (grep_new(c->api->vfs, &c->req, &g, &c->err) == PFS_OK) {
        c->stream = grep_stream(c->api->vfs, g);
        if (!c->stream) {
            pfs_nomem(&c->err, "a search");
        }
    }
    c->post.fn = stream_begun;
    http_post(http_loop(c->http), &c->post);
}

static void grep_body(struct api_call *c)
{
    bool recursive = false, icase = false, stream = false;

    if (!api_parse_json(c, true) || !api_json_str(c, "path", &c->path) ||
        !api_json_str(c, "pattern", &c->text)) {
        return;
    }
    if (json_get_bool(c->json, "recursive", &recursive) == JSON_WRONG ||
        json_get_bool(c->json, "case_insensitive", &icase) == JSON_WRONG ||
        json_get_bool(c->json, "stream", &stream) == JSON_WRONG) {
        api_refuse(c, PFS_BADARG, "invalid request body: a switch is no boolean");
        return;
    }
    if (!c->path || !c->text) {
        api_refuse(c, PFS_BADARG, "%s is required", c->path ? "pattern" : "path");
        return;
    }
    c->req.path = c->path;
    c->req.text = c->text;
    c->req.flags = (recursive ? PFS_GREP_RECURSIVE : 0) | (icase ? PFS_GREP_ICASE : 0);
    if (!stream || vfs_has_op(c->api->vfs, c->path, PFS_OP_GREP)) {
        api_submit(c, PFS_OP_GREP, stream ? answer_lines : answer_matches);
        return;
    }
    c->req.deadline_ns = pfs_after(pfs_now(), OP_DEADLINE_MS * PFS_MS);
    c->fate.reads = true;
    c->req.host = &c->fate;
    http_on_gone(c->http, api_on_gone, c);
    if (vfs_work(c->api->vfs, stream_begin, c, &c->err) != PFS_OK) {
        api_respond_error(c, &c->err);
    }
}

void api_grep(struct api_call *c)
{
    api_with_arguments(c, grep_body);
}
