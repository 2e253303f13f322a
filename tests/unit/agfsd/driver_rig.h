/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef DRIVER_RIG_H
#define DRIVER_RIG_H

/* Calls on a driver, with the checks that tests of drivers repeat. */
#include "body_share.h"
#include "drivers.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* Opens a driver with options given as "key=value" pairs, NULL at the end. */
static inline struct pfs_driver *rig_open(driver_open_fn *open, const char *const *pairs)
{
    struct pfs_option options[8] = {{NULL, NULL}};
    char keys[8][64];
    struct pfs_driver *d = NULL;
    struct pfs_error err = {0};
    size_t n = 0;

    for (; pairs && pairs[n]; n++) {
        size_t len = strcspn(pairs[n], "=");

        memcpy(keys[n], pairs[n], len);
        keys[n][len] = '\0';
        options[n] = (struct pfs_option){keys[n], pairs[n] + len + 1};
    }
    cr_assert_eq(open(options, n, &d, &err), PFS_OK, "%s", err.text);
    return d;
}

static inline struct pfs_reply rig_run(struct pfs_driver *d, struct pfs_request req)
{
    struct pfs_reply r = {0};
    size_t outer = share_begin();

    cr_assert_not_null(d->ops->op[req.op], "%s", pfs_op_name(req.op));
    d->ops->op[req.op](d, &req, &r);
    share_give(share_end(outer));
    return r;
}

static inline struct pfs_reply rig_call(struct pfs_driver *d, enum pfs_op op, const char *path)
{
    struct pfs_request req = PFS_REQUEST_INIT;

    req.op = op;
    req.path = path;
    return rig_run(d, req);
}

/* An operation without content that must succeed. */
static inline void rig_ok(struct pfs_driver *d, enum pfs_op op, const char *path)
{
    struct pfs_reply r = rig_call(d, op, path);

    cr_assert_eq(r.err.cls, PFS_OK, "%s %s: %s", pfs_op_name(op), path, r.err.text);
    pfs_reply_fini(&r);
}

/* One that must fail with that class and those words. */
static inline void rig_fails(struct pfs_driver *d, enum pfs_op op, const char *path,
                             enum pfs_class cls, const char *words)
{
    struct pfs_reply r = rig_call(d, op, path);

    cr_assert_eq(r.err.cls, cls, "%s %s: %s (%s)", pfs_op_name(op), path, pfs_class_name(r.err.cls),
                 r.err.text);
    cr_assert_not_null(strstr(r.err.text, words), "%s", r.err.text);
    cr_assert_eq(r.err.outcome, PFS_OUTCOME_NA);
    pfs_reply_fini(&r);
}

static inline struct pfs_reply rig_write(struct pfs_driver *d, const char *path, const char *data,
                                         size_t len)
{
    struct pfs_request req = PFS_REQUEST_INIT;

    req.op = PFS_OP_WRITE;
    req.path = path;
    req.data = data;
    req.len = len;
    req.flags = PFS_WRITE_CREATE | PFS_WRITE_TRUNCATE;
    return rig_run(d, req);
}

static inline void rig_put(struct pfs_driver *d, const char *path, const char *text)
{
    struct pfs_reply r = rig_write(d, path, text, strlen(text));

    cr_assert_eq(r.err.cls, PFS_OK, "%s: %s", path, r.err.text);
    pfs_reply_fini(&r);
}

/* The content of a small file, valid until the next call. */
static inline const char *rig_cat(struct pfs_driver *d, const char *path)
{
    static _Thread_local char text[65536];
    struct pfs_reply r = rig_call(d, PFS_OP_READ, path);

    cr_assert_eq(r.err.cls, PFS_OK, "%s: %s", path, r.err.text);
    cr_assert_lt(r.len, sizeof text);
    if (r.len > 0) {
        memcpy(text, r.data, r.len);
    }
    text[r.len] = '\0';
    pfs_reply_fini(&r);
    return text;
}

/* The names of a directory, each followed by a blank. */
static inline const char *rig_ls(struct pfs_driver *d, const char *path)
{
    static char text[65536];
    struct pfs_reply r = rig_call(d, PFS_OP_READDIR, path);
    size_t n = 0;

    cr_assert_eq(r.err.cls, PFS_OK, "%s: %s", path, r.err.text);
    text[0] = '\0';
    for (size_t i = 0; i < r.n_list; i++) {
        n += (size_t)snprintf(text + n, sizeof text - n, "%s ", r.list[i].name);
    }
    pfs_reply_fini(&r);
    return text;
}

static inline struct pfs_reply rig_handle(struct pfs_driver *d, enum pfs_op op, uint64_t handle)
{
    struct pfs_request req = PFS_REQUEST_INIT;

    req.op = op;
    req.handle = handle;
    return rig_run(d, req);
}

static inline uint64_t rig_hopen(struct pfs_driver *d, const char *path, uint32_t flags)
{
    struct pfs_request req = PFS_REQUEST_INIT;

    req.op = PFS_OP_HANDLE_OPEN;
    req.path = path;
    req.flags = flags;
    struct pfs_reply r = rig_run(d, req);

    cr_assert_eq(r.err.cls, PFS_OK, "%s: %s", path, r.err.text);
    uint64_t id = r.handle.id;

    pfs_reply_fini(&r);
    return id;
}

#endif
