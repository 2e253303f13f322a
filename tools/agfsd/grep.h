/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_GREP_H
#define AGFSD_GREP_H

/*
 * Searching the tree for lines that match a pattern (agfs-http-api.md 4.14), one file at a time.
 * One thread at a time; everything may block.
 */
#include "vfs.h"

#define GREP_PATTERN_MAX 1024      /* a longer one is a program, not a question */
#define GREP_LINE_MAX 65535        /* as the stock server's scanner */
#define GREP_MATCHES_MAX 100000    /* of one search: the clients' own limit (WIRE_ENTRIES_MAX) */
#define GREP_BYTES_MAX (16u << 20) /* of the matching lines together, if they are collected */
#define GREP_PENDING_MAX 100000    /* files and directories still to be searched; beyond: TOOBIG */

struct grep;

/*
 * Begins a search as req says (path, text = pattern, flags PFS_GREP_*); strings are copied.
 * *ret: grep_free. Errors: BADARG "invalid regex pattern: ...", those of STAT with "failed to stat
 * path: " before them, NOMEM.
 */
enum pfs_class grep_new(struct vfs *v, const struct pfs_request *req, struct grep **ret,
                        struct pfs_error *err);
/*
 * Searches the next file and adds what it found to out->matches; false: nothing is left. An error
 * in out->err ends the search; files below a directory that cannot be read are passed over.
 */
bool grep_next(struct grep *g, struct pfs_reply *out);
/* The path is a directory and the search not recursive: the first grep_next says so (BADARG). */
bool grep_needs_recursive(const struct grep *g);
void grep_free(struct grep *g);
/* From now on it ends when f is given up, instead of req's. */
void grep_set_fate(struct grep *g, struct vfs_fate *f);

/*
 * A search as a stream of lines: one JSON object per match, at the end the summary. It does not
 * block: workers of v search, one per stream and only while it is read; closing it ends that. Takes
 * g. NULL: out of memory, g is freed.
 */
struct pfs_stream *grep_stream(struct vfs *v, struct grep *g);

#endif
