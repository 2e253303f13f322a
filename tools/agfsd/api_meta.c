/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Directories and what files are called and look like: agfs-http-api.md 4.6 to 4.12, 4.16. */
#include "api.h"
#include "jsonout.h"
#include "query.h"
#include <string.h>

/* ---- directories ---- */

static void write_list(struct api_call *c, const struct pfs_reply *reply)
{
    struct jout j = {0};

    jo_begin(&j, '{');
    jo_key(&j, "files");
    if (reply->n_list == 0) {
        jo_null(&j); /* as the stock server: a nil slice */
    } else {
        jo_begin(&j, '[');
        for (size_t i = 0; i < reply->n_list; i++) {
            jo_stat(&j, &reply->list[i]);
        }
        jo_end(&j, ']');
    }
    jo_end(&j, '}');
    api_work_result(c, &j);
}

static void answer_list(struct api_call *c, struct pfs_reply *reply)
{
    api_write_answer(c, reply, write_list);
}

void api_dirs_get(struct api_call *c)
{
    if (api_need_path(c, "/")) {
        api_submit(c, PFS_OP_READDIR, answer_list);
    }
}

void api_dirs_post(struct api_call *c)
{
    int64_t mode = 0755;

    if (!api_need_path(c, NULL)) {
        return;
    }
    if (!api_query_int(c, "mode", 8, &mode, "invalid mode")) {
        return;
    }
    if (mode < 0 || mode > UINT32_MAX) {
        api_refuse(c, PFS_BADARG, "invalid mode");
        return;
    }
    c->req.mode = (uint32_t)mode;
    api_submit_message(c, PFS_OP_MKDIR, 201, "directory created");
}

/* ---- one file ---- */

void api_stat(struct api_call *c)
{
    if (api_need_path(c, NULL)) {
        api_submit(c, PFS_OP_STAT, api_answer_stat);
    }
}

bool api_take_new_path(struct api_call *c)
{
    if (!api_json_str(c, "newPath", &c->path2)) {
        return false;
    }
    if (!c->path2) {
        api_refuse(c, PFS_BADARG, "newPath is required");
        return false;
    }
    c->req.path2 = c->path2;
    return true;
}

static void rename_parsed(struct api_call *c)
{
    if (api_take_new_path(c)) {
        api_submit_message(c, PFS_OP_RENAME, 200, "renamed");
    }
}

void api_rename(struct api_call *c)
{
    if (api_need_path(c, NULL)) {
        api_with_json(c, rename_parsed);
    }
}

static void chmod_parsed(struct api_call *c)
{
    if (json_get_uint32(c->json, "mode", &c->req.mode) == JSON_WRONG) {
        api_refuse(c, PFS_BADARG, "invalid request body");
        return;
    }
    api_submit_message(c, PFS_OP_CHMOD, 200, "permissions changed");
}

void api_chmod(struct api_call *c)
{
    if (api_need_path(c, NULL)) {
        api_with_json(c, chmod_parsed);
    }
}

void api_truncate(struct api_call *c)
{
    if (!api_need_path(c, NULL)) {
        return;
    }
    switch (query_int(http_query(c->http), "size", 10, &c->req.size)) {
    case QUERY_ABSENT:
        api_refuse(c, PFS_BADARG, "size parameter is required");
        return;
    case QUERY_BAD:
        api_refuse(c, PFS_BADARG, "invalid size parameter");
        return;
    case QUERY_OK:
        break;
    }
    if (c->req.size < 0) {
        api_refuse(c, PFS_BADARG, "size must be non-negative");
        return;
    }
    api_submit_message(c, PFS_OP_TRUNCATE, 200, "truncated");
}

void api_touch(struct api_call *c)
{
    if (api_need_path(c, NULL)) {
        api_submit_message(c, PFS_OP_TOUCH, 200, "touched");
    }
}

/* ---- links ---- */

static void symlink_parsed(struct api_call *c)
{
    if (!api_json_str(c, "target", &c->path2)) {
        return;
    }
    if (!c->path2) {
        api_refuse(c, PFS_BADARG, "target is required");
        return;
    }
    c->req.path2 = c->path2;
    api_submit_message(c, PFS_OP_SYMLINK, 201, "symlink created");
}

void api_symlink(struct api_call *c)
{
    if (api_need_path(c, NULL)) {
        api_with_json(c, symlink_parsed);
    }
}

static void answer_readlink(struct api_call *c, struct pfs_reply *reply)
{
    struct jout j = {0};

    jo_begin(&j, '{');
    jo_member(&j, "target", reply->text);
    jo_end(&j, '}');
    api_respond_json(c, 200, &j);
}

void api_readlink(struct api_call *c)
{
    if (api_need_path(c, NULL)) {
        api_submit(c, PFS_OP_READLINK, answer_readlink);
    }
}
