/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_BASE_REPLY_H
#define PFS_BASE_REPLY_H

/*
 * Errors and replies: empty ones, whose texts are two thirds of them and are ended, not zeroed, and
 * what every driver fills in that serves small files of its own.
 */
#include <proxyfs/driver.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static inline void pfs_error_init(struct pfs_error *err)
{
    memset(err, 0, offsetof(struct pfs_error, origin));
    err->origin[0] = err->text[0] = '\0';
}

static inline void pfs_reply_init(struct pfs_reply *reply)
{
    pfs_error_init(&reply->err);
    memset(&reply->data, 0, sizeof *reply - offsetof(struct pfs_reply, data));
}

/* As pfs_reply_fini, for one that is used no more: it is not made empty. */
void pfs_reply_drop(struct pfs_reply *reply);

/* Fills in copies of the strings; the rest stays. False: out of memory, *st is empty. */
bool pfs_stat_fill(struct pfs_stat *st, const char *name, const char *meta_name,
                   const char *meta_type);
/* meta.Content[key] = value; false: out of memory, *st is as before. */
bool pfs_stat_add_meta(struct pfs_stat *st, const char *key, const char *value);
/*
 * Makes the part of `text` (taken, len bytes; NULL: NOMEM) that a READ asks for the reply's data: a
 * negative offset is 0, a negative size is all, past the end is nothing.
 */
void pfs_reply_take_range(struct pfs_reply *reply, char *text, size_t len,
                          const struct pfs_request *req);

#endif
