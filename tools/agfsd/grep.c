/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "grep.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/path.h"
#include "content.h"
#include <pcre2.h>
#include <string.h>

/* A pattern may cost exponential time; these end it after some milliseconds per line. */
#define MATCH_LIMIT 100000
#define DEPTH_LIMIT 1000
#define HEAP_LIMIT_KIB 4096
#define LINES_PER_LOOK 64 /* then it is looked whether anybody still wants to know */

struct pending {
    char *path;
    bool is_dir;
};

struct grep {
    struct vfs *vfs;
    pcre2_code *code;
    pcre2_match_data *match;
    pcre2_match_context *limits;
    struct pfs_request req; /* strings are in the two below */
    char *root, *pattern;
    bool needs_recursive; /* the root is a directory */
    struct pending *todo; /* a stack */
    size_t n_todo, cap_todo;
    size_t n_matches, n_bytes;

    struct pfs_reply *out; /* while a file is searched, as is: */
    size_t cap_out;
    const char *path;
    struct pfs_buf line; /* begin of a line whose end has not come yet */
    int64_t line_no;
    struct pfs_error err;
};

static enum pfs_class compile(struct grep *g, struct pfs_error *err)
{
    uint32_t options = PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C |
                       (g->req.flags & PFS_GREP_ICASE ? PCRE2_CASELESS : 0);
    int code;
    PCRE2_SIZE at;

    if (strlen(g->pattern) > GREP_PATTERN_MAX) {
        return pfs_refuse(err, PFS_BADARG, "invalid regex pattern: longer than %d bytes",
                          GREP_PATTERN_MAX);
    }
    g->code =
        pcre2_compile((PCRE2_SPTR)g->pattern, PCRE2_ZERO_TERMINATED, options, &code, &at, NULL);
    if (!g->code) {
        char text[256] = "";

        pcre2_get_error_message(code, (PCRE2_UCHAR *)text, sizeof text);
        return pfs_refuse(err, PFS_BADARG,
                          "invalid regex pattern: error parsing regexp: %s at offset %zu", text,
                          at);
    }
    g->match = pcre2_match_data_create_from_pattern(g->code, NULL);
    g->limits = pcre2_match_context_create(NULL);
    if (!g->match || !g->limits) {
        return pfs_nomem(err, "a search");
    }
    pcre2_set_match_limit(g->limits, MATCH_LIMIT);
    pcre2_set_depth_limit(g->limits, DEPTH_LIMIT);
    pcre2_set_heap_limit(g->limits, HEAP_LIMIT_KIB);
    return PFS_OK;
}

/* Takes path (malloc'ed). */
static enum pfs_class push(struct grep *g, char *path, bool is_dir, struct pfs_error *err)
{
    if (path && g->n_todo >= GREP_PENDING_MAX) {
        pfs_free(path);
        return pfs_refuse(err, PFS_TOOBIG,
                          "more than %d files and directories to search at once below %s: search "
                          "its directories one by one",
                          GREP_PENDING_MAX, g->root);
    }
    struct pending *grown =
        path ? pfs_grown(g->todo, g->n_todo, &g->cap_todo, sizeof *grown) : NULL;

    if (!grown) {
        pfs_free(path);
        return pfs_nomem(err, "a search");
    }
    g->todo = grown;
    g->todo[g->n_todo++] = (struct pending){path, is_dir};
    return PFS_OK;
}

/* Looks at the path itself: the only one whose errors end the search. */
static enum pfs_class push_root(struct grep *g, struct pfs_error *err)
{
    struct pfs_request req = g->req;
    struct pfs_reply reply = {0};

    req.op = PFS_OP_STAT;
    vfs_run(g->vfs, &req, &reply);
    enum pfs_class cls = reply.err.cls;
    bool is_dir = reply.stat.is_dir;

    if (cls != PFS_OK) {
        *err = reply.err;
        pfs_err_prefix(err, "failed to stat path");
    } else {
        g->needs_recursive = is_dir && !(g->req.flags & PFS_GREP_RECURSIVE);
        cls = push(g, pfs_strdup(g->root), is_dir, err);
    }
    pfs_reply_fini(&reply);
    return cls;
}

enum pfs_class grep_new(struct vfs *v, const struct pfs_request *req, struct grep **ret,
                        struct pfs_error *err)
{
    struct grep *g = pfs_calloc(1, sizeof *g);
    enum pfs_class cls;

    if (!g) {
        return pfs_nomem(err, "a search");
    }
    g->vfs = v;
    g->req = *req;
    g->root = pfs_strdup(req->path);
    g->pattern = pfs_strdup(req->text);
    g->req.path = g->root;
    g->req.text = NULL;
    g->req.req_id = g->req.client = NULL;
    cls = g->root && g->pattern ? compile(g, err) : pfs_nomem(err, "a search");
    if (cls == PFS_OK) {
        cls = push_root(g, err);
    }
    if (cls != PFS_OK) {
        grep_free(g);
        return cls;
    }
    *ret = g;
    return PFS_OK;
}

bool grep_needs_recursive(const struct grep *g)
{
    return g->needs_recursive;
}

void grep_set_fate(struct grep *g, struct vfs_fate *f)
{
    g->req.host = f;
}

void grep_free(struct grep *g)
{
    for (size_t i = 0; i < g->n_todo; i++) {
        pfs_free(g->todo[i].path);
    }
    pcre2_match_context_free(g->limits);
    pcre2_match_data_free(g->match);
    pcre2_code_free(g->code);
    pfs_buf_fini(&g->line);
    pfs_free(g->todo);
    pfs_free(g->root);
    pfs_free(g->pattern);
    pfs_free(g);
}

/* ---- one file ---- */

static bool add_match(struct grep *g, const char *line, size_t n)
{
    if (g->n_matches >= GREP_MATCHES_MAX || g->n_bytes + n > GREP_BYTES_MAX) {
        pfs_refuse(&g->err, PFS_LIMIT, "too many matches: at most %d lines and %u bytes",
                   GREP_MATCHES_MAX, GREP_BYTES_MAX);
        return false;
    }
    struct pfs_match *grown =
        pfs_grown(g->out->matches, g->out->n_matches, &g->cap_out, sizeof *grown);

    if (!grown) {
        pfs_nomem(&g->err, "matches");
        return false;
    }
    g->out->matches = grown;
    struct pfs_match *m = &g->out->matches[g->out->n_matches++];

    *m = (struct pfs_match){pfs_strdup(g->path), g->line_no, pfs_strndup(line, n)};
    g->n_matches++;
    g->n_bytes += n;
    if (!m->file || !m->content) {
        pfs_nomem(&g->err, "matches");
        return false;
    }
    return true;
}

/* One line without its LF. */
static bool search_line(struct grep *g, const char *line, size_t n)
{
    g->line_no++;
    if (g->line_no % LINES_PER_LOOK == 0 && vfs_is_over(g->vfs, &g->req, &g->err)) {
        pfs_err_prefix(&g->err, "grep failed");
        return false;
    }
    if (n > GREP_LINE_MAX) {
        pfs_refuse(&g->err, PFS_TOOBIG, "grep failed: bufio.Scanner: token too long");
        return false;
    }
    n -= n > 0 && line[n - 1] == '\r';
    int rc = pcre2_match(g->code, (PCRE2_SPTR)(n ? line : ""), n, 0, 0, g->match, g->limits);

    if (rc == PCRE2_ERROR_NOMATCH) {
        return true;
    }
    if (rc < 0) {
        pfs_refuse(&g->err, PFS_BADARG, "grep failed: the pattern is too expensive for %s:%lld",
                   g->path, (long long)g->line_no);
        return false;
    }
    return add_match(g, line, n);
}

static bool search_piece(void *arg, const char *data, size_t n)
{
    struct grep *g = arg;

    while (n > 0) {
        const char *lf = memchr(data, '\n', n);
        size_t part = lf ? (size_t)(lf - data) : n;
        bool whole = lf && pfs_buf_len(&g->line) == 0;

        if (!whole && pfs_buf_len(&g->line) + part > GREP_LINE_MAX) {
            return search_line(g, data, GREP_LINE_MAX + 1); /* which refuses it */
        }
        if (!whole && !pfs_buf_add(&g->line, data, part)) {
            pfs_nomem(&g->err, "a line");
            return false;
        }
        if (lf) {
            bool good = whole ? search_line(g, data, part)
                              : search_line(g, pfs_buf_data(&g->line), pfs_buf_len(&g->line));

            pfs_buf_consume(&g->line, pfs_buf_len(&g->line));
            if (!good) {
                return false;
            }
        }
        n -= part + (lf != NULL);
        data += part + (lf != NULL);
    }
    return true;
}

static void search_file(struct grep *g, const char *path)
{
    struct pfs_request req = g->req;
    struct pfs_error err = {0};

    req.path = g->path = path;
    g->line_no = 0;
    g->err = (struct pfs_error){0};
    pfs_buf_consume(&g->line, pfs_buf_len(&g->line));
    enum pfs_class cls = content_read(g->vfs, &req, search_piece, g, &err);

    if (cls == PFS_OK && g->err.cls == PFS_OK && pfs_buf_len(&g->line) > 0) {
        search_line(g, pfs_buf_data(&g->line), pfs_buf_len(&g->line));
    }
    bool recursive = g->req.flags & PFS_GREP_RECURSIVE;

    if (g->err.cls == PFS_TOOBIG && recursive) {
        log_debug("grep: %s is passed over: line %lld is too long", path, (long long)g->line_no);
    } else if (g->err.cls != PFS_OK) {
        g->out->err = g->err;
    } else if (cls != PFS_OK && (!recursive || vfs_is_over(g->vfs, &g->req, &err))) {
        g->out->err = err;
        pfs_err_prefix(&g->out->err, "grep failed");
    }
}

/*
 * Reading a control file does something: a queue would lose a message to every search above it. A
 * live stream has no end. A plugin that lists "" or ".." would send us round for ever.
 */
static bool is_searched(const struct pfs_stat *st)
{
    if (!st->name || !*st->name || strchr(st->name, '/') || strcmp(st->name, ".") == 0 ||
        strcmp(st->name, "..") == 0) {
        return false;
    }
    return st->is_dir || !st->meta_type ||
           (strcmp(st->meta_type, "control") != 0 && strcmp(st->meta_type, "stream") != 0);
}

/* Puts what is in the directory on the stack, the first entry on top. */
static void search_dir(struct grep *g, const char *path)
{
    struct pfs_request req = g->req;
    struct pfs_reply reply = {0};

    req.op = PFS_OP_READDIR;
    req.path = path;
    vfs_run(g->vfs, &req, &reply);
    for (size_t i = reply.n_list; i > 0 && g->out->err.cls == PFS_OK; i--) {
        const struct pfs_stat *st = &reply.list[i - 1];
        char below[PFS_PATH_MAX + 1];

        if (is_searched(st) && pfs_path_join(below, path, st->name)) {
            push(g, pfs_strdup(below), st->is_dir, &g->out->err);
        }
    }
    pfs_reply_fini(&reply);
}

bool grep_next(struct grep *g, struct pfs_reply *out)
{
    if (g->n_todo == 0 || out->err.cls != PFS_OK) {
        return false;
    }
    struct pending next = g->todo[--g->n_todo];

    g->out = out;
    g->cap_out = out->n_matches;
    if (g->needs_recursive) {
        pfs_refuse(&out->err, PFS_BADARG, "path is a directory, use recursive=true to search");
    } else if (vfs_is_over(g->vfs, &g->req, &out->err)) {
        pfs_err_prefix(&out->err, "grep failed");
    } else if (next.is_dir) {
        search_dir(g, next.path);
    } else {
        search_file(g, next.path);
    }
    g->out = NULL;
    pfs_free(next.path);
    return out->err.cls == PFS_OK;
}
