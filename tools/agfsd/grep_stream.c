/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* A search as newline-delimited JSON, made while it is being read. */
#include "base/alloc.h"
#include "base/err.h"
#include "grep.h"
#include "jsonout.h"
#include <string.h>

struct gstream {
    struct pfs_stream base;
    struct grep *grep;
    struct pfs_buf out; /* lines not yet read */
    int64_t count;
    bool ended;
};

static bool add_line(struct gstream *s, struct jout *j)
{
    size_t n;
    char *line = jo_take(j, &n);
    bool good = line && pfs_buf_add(&s->out, line, n);

    pfs_free(line);
    return good;
}

static bool add_matches(struct gstream *s, const struct pfs_reply *r)
{
    for (size_t i = 0; i < r->n_matches; i++) {
        struct jout j = {0};

        jo_match(&j, &r->matches[i]);
        if (!add_line(s, &j)) {
            return false;
        }
        s->count++;
    }
    return true;
}

static bool add_summary(struct gstream *s, const struct pfs_error *err)
{
    struct jout j = {0};

    jo_begin(&j, '{');
    jo_key(&j, "count");
    jo_int(&j, s->count);
    if (err->cls != PFS_OK) {
        jo_member(&j, "error", err->text);
    }
    jo_member(&j, "type", "summary");
    jo_end(&j, '}');
    return add_line(s, &j);
}

static void stream_read(struct pfs_stream *base, void *buf, size_t cap, pfs_io_fn *done, void *arg)
{
    struct gstream *s = (struct gstream *)base;
    struct pfs_error err = {0};
    size_t n;

    while (pfs_buf_len(&s->out) == 0 && !s->ended && err.cls == PFS_OK) {
        struct pfs_reply found = {0};

        s->ended = !grep_next(s->grep, &found);
        if (!add_matches(s, &found) || (s->ended && !add_summary(s, &found.err))) {
            pfs_nomem(&err, "matches");
        }
        pfs_reply_fini(&found);
    }
    n = pfs_buf_len(&s->out);
    n = n < cap ? n : cap;
    if (n > 0) {
        memcpy(buf, pfs_buf_data(&s->out), n);
        pfs_buf_consume(&s->out, n);
    }
    done(arg, n, &err);
}

static void stream_close(struct pfs_stream *base)
{
    struct gstream *s = (struct gstream *)base;

    grep_free(s->grep);
    pfs_buf_fini(&s->out);
    pfs_free(s);
}

static const struct pfs_stream_ops stream_ops = {
    .blocking = true, .read = stream_read, .close = stream_close};

struct pfs_stream *grep_stream(struct grep *g)
{
    struct gstream *s = pfs_calloc(1, sizeof *s);

    if (!s) {
        grep_free(g);
        return NULL;
    }
    *s = (struct gstream){.base = {&stream_ops, -1}, .grep = g};
    return &s->base;
}
