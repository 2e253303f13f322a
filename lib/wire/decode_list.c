/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * File infos and listings, read straight from the text: a listing of 10,000 entries as a tree of
 * json-c costs several times as much. An entry that lacks name, size, mode or isDir is refused,
 * since a made-up zero would be success with missing data; time and meta may be absent.
 */
#include "base/alloc.h"
#include "base/err.h"
#include "base/path.h"
#include "wire/json_pull.h"
#include "wire/time.h"
#include "wire/wire.h"
#include <string.h>

enum { SEEN_NAME = 1, SEEN_SIZE = 2, SEEN_MODE = 4, SEEN_IS_DIR = 8, SEEN_ALL = 15 };

struct reader {
    struct json_pull j;
    bool is_listing;
    size_t n_pairs; /* of all entries */
};

static bool span_is(const struct json_span *s, const char *text)
{
    return strlen(text) == s->n && memcmp(s->s, text, s->n) == 0;
}

/* Replaces *dst by a copy of the span: a repeated member is refused only where its object ends. */
static bool keep(struct json_pull *j, const struct json_span *s, char **dst)
{
    if (json_pull_has_nul(j, s)) {
        return json_pull_refuse(j, "NUL in a string");
    }
    char *copy = pfs_strndup(s->s, s->n);

    if (!copy) {
        return json_pull_lack(j);
    }
    pfs_free(*dst);
    *dst = copy;
    return true;
}

static bool read_name(struct reader *r, char **dst)
{
    struct json_span s;

    if (!json_pull_string(&r->j, &s)) {
        return false;
    }
    bool is_root = !r->is_listing && (s.n == 0 || span_is(&s, "/"));

    if (!is_root && (s.n == 0 || memchr(s.s, '/', s.n) || span_is(&s, ".") || span_is(&s, ".."))) {
        return json_pull_refuse(&r->j, "a name that is no name of a file");
    }
    if (s.n > PFS_COMPONENT_MAX) {
        return json_pull_refuse(&r->j, "a name of more than 255 bytes");
    }
    return keep(&r->j, &s, dst);
}

/* An integer from 0 to max. */
static bool read_unsigned(struct json_pull *j, uint64_t max, uint64_t *ret)
{
    struct json_number n;

    if (!json_pull_number(j, &n)) {
        return false;
    }
    if (!n.is_int || (n.is_negative && n.absolute) || n.absolute > max) {
        return json_pull_refuse(j, "integer with sign or fraction, or out of range");
    }
    *ret = n.absolute;
    return true;
}

static bool read_time(struct json_pull *j, int64_t *ret)
{
    struct json_span s;

    if (json_pull_peek(j) != '"') { /* garbled like any other text */
        return json_pull_skip(j);
    }
    if (!json_pull_string(j, &s)) {
        return false;
    }
    *ret = wire_time_parse(s.s, s.n);
    return true;
}

/* A string; null and "" leave *dst as it is. */
static bool read_optional(struct json_pull *j, char **dst)
{
    struct json_span s;

    if (json_pull_peek(j) == 'n') {
        return json_pull_null(j);
    }
    return json_pull_string(j, &s) && (s.n == 0 || keep(j, &s, dst));
}

/* Room for one more pair; capacities are 4, 8, 16 ... */
static struct pfs_pair *add_pair(struct reader *r, struct pfs_stat *st)
{
    size_t n = st->n_meta;

    if (++r->n_pairs > WIRE_META_MAX) {
        json_pull_fail(&r->j, PFS_LIMIT, "too many pairs of meta content");
        return NULL;
    }
    if (n == 0 || (n >= 4 && (n & (n - 1)) == 0)) {
        void *p = pfs_realloc(st->meta, (n ? 2 * n : 4) * sizeof *st->meta);

        if (!p) {
            json_pull_lack(&r->j);
            return NULL;
        }
        st->meta = p;
    }
    st->meta[n] = (struct pfs_pair){0};
    st->n_meta++;
    return &st->meta[n];
}

static bool read_content(struct reader *r, struct pfs_stat *st)
{
    struct json_scope scope;
    struct json_span key, value;

    if (json_pull_peek(&r->j) == 'n') {
        return json_pull_null(&r->j);
    }
    if (!json_pull_open(&r->j, '{', &scope)) {
        return false;
    }
    while (json_pull_key(&r->j, &scope, &key)) {
        struct pfs_pair *pair = add_pair(r, st);

        if (!pair || !keep(&r->j, &key, &pair->key) || !json_pull_string(&r->j, &value) ||
            !keep(&r->j, &value, &pair->value)) {
            return false;
        }
    }
    return r->j.cls == PFS_OK;
}

static bool read_meta(struct reader *r, struct pfs_stat *st)
{
    struct json_scope scope;
    struct json_span key;
    bool ok = true;

    if (json_pull_peek(&r->j) == 'n') {
        return json_pull_null(&r->j);
    }
    if (!json_pull_open(&r->j, '{', &scope)) {
        return false;
    }
    while (ok && json_pull_key(&r->j, &scope, &key)) {
        if (span_is(&key, "Name")) {
            ok = read_optional(&r->j, &st->meta_name);
        } else if (span_is(&key, "Type")) {
            ok = read_optional(&r->j, &st->meta_type);
        } else if (span_is(&key, "Content")) {
            ok = read_content(r, st);
        } else {
            ok = json_pull_skip(&r->j);
        }
    }
    return r->j.cls == PFS_OK;
}

static bool read_member(struct reader *r, const struct json_span *key, struct pfs_stat *st,
                        unsigned *seen)
{
    uint64_t n;

    if (span_is(key, "name")) {
        *seen |= SEEN_NAME;
        return read_name(r, &st->name);
    }
    if (span_is(key, "size")) {
        *seen |= SEEN_SIZE;
        if (!read_unsigned(&r->j, INT64_MAX, &n)) {
            return false;
        }
        st->size = (int64_t)n;
        return true;
    }
    if (span_is(key, "mode")) {
        *seen |= SEEN_MODE;
        if (!read_unsigned(&r->j, UINT32_MAX, &n)) {
            return false;
        }
        st->mode = (uint32_t)n;
        return true;
    }
    if (span_is(key, "isDir")) {
        *seen |= SEEN_IS_DIR;
        return json_pull_bool(&r->j, &st->is_dir);
    }
    if (span_is(key, "modTime")) {
        return read_time(&r->j, &st->mtime_ns);
    }
    return span_is(key, "meta") ? read_meta(r, st) : json_pull_skip(&r->j);
}

/* Fills *st; what it holds after a failure is for pfs_stat_fini. */
static bool read_info(struct reader *r, struct pfs_stat *st)
{
    struct json_scope scope;
    struct json_span key;
    unsigned seen = 0;

    *st = (struct pfs_stat){.mtime_ns = PFS_TIME_UNKNOWN};
    if (!json_pull_open(&r->j, '{', &scope)) {
        return false;
    }
    while (json_pull_key(&r->j, &scope, &key)) {
        if (!read_member(r, &key, st, &seen)) {
            return false;
        }
    }
    if (r->j.cls == PFS_OK && seen != SEEN_ALL) {
        json_pull_refuse(&r->j, "file info without name, size, mode or isDir");
    }
    return r->j.cls == PFS_OK;
}

struct listing {
    struct pfs_stat *all;
    size_t n, cap;
};

static void listing_fini(struct listing *l)
{
    while (l->n > 0) {
        pfs_stat_fini(&l->all[--l->n]);
    }
    pfs_free(l->all);
    *l = (struct listing){0};
}

/* The next entry to fill, NULL: error noted. */
static struct pfs_stat *add_entry(struct reader *r, struct listing *l)
{
    if (l->n == WIRE_ENTRIES_MAX) {
        _Static_assert(WIRE_ENTRIES_MAX == 100000, "as the text says");
        json_pull_fail(&r->j, PFS_LIMIT, "more than 100,000 entries");
        return NULL;
    }
    void *all = pfs_grown(l->all, l->n, &l->cap, sizeof *l->all);

    if (!all) {
        json_pull_lack(&r->j);
        return NULL;
    }
    l->all = all;
    return &l->all[l->n++];
}

static bool read_entries(struct reader *r, struct listing *l)
{
    struct json_scope scope;

    if (json_pull_peek(&r->j) == 'n') {
        return json_pull_null(&r->j);
    }
    if (!json_pull_open(&r->j, '[', &scope)) {
        return false;
    }
    while (json_pull_element(&r->j, &scope)) {
        struct pfs_stat *st = add_entry(r, l);

        if (!st || !read_info(r, st)) {
            return false;
        }
    }
    return r->j.cls == PFS_OK;
}

static bool read_listing(struct reader *r, struct listing *l)
{
    struct json_scope scope;
    struct json_span key;

    if (!json_pull_open(&r->j, '{', &scope)) {
        return false;
    }
    while (json_pull_key(&r->j, &scope, &key)) {
        if (!(span_is(&key, "files") ? read_entries(r, l) : json_pull_skip(&r->j))) {
            return false;
        }
    }
    return json_pull_end(&r->j);
}

static void reader_init(struct reader *r, const char *body, size_t len, bool is_listing)
{
    *r = (struct reader){.is_listing = is_listing};
    json_pull_init(&r->j, body, len, JSON_REPLY);
    r->j.max_values = SIZE_MAX; /* entries and pairs have limits of their own; no others are kept */
    if (len > WIRE_JSON_MAX) {
        json_pull_fail(&r->j, PFS_LIMIT, "text of more than 32 MiB");
    }
}

enum pfs_class wire_list_decode(const char *body, size_t len, struct pfs_stat **ret, size_t *ret_n,
                                struct pfs_error *err)
{
    struct listing l = {0};
    struct reader r;

    reader_init(&r, body, len, true);
    if (r.j.cls == PFS_OK) {
        read_listing(&r, &l);
    }
    enum pfs_class cls = json_pull_error(&r.j, err);

    json_pull_fini(&r.j);
    if (cls == PFS_OK) {
        *ret = l.all;
        *ret_n = l.n;
    } else {
        listing_fini(&l);
    }
    return cls;
}

enum pfs_class wire_stat_decode(const char *body, size_t len, struct pfs_stat *ret,
                                struct pfs_error *err)
{
    struct pfs_stat st = {0};
    struct reader r;

    reader_init(&r, body, len, false);
    if (r.j.cls == PFS_OK && read_info(&r, &st)) {
        json_pull_end(&r.j);
    }
    enum pfs_class cls = json_pull_error(&r.j, err);

    json_pull_fini(&r.j);
    if (cls == PFS_OK) {
        *ret = st;
    } else {
        pfs_stat_fini(&st);
    }
    return cls;
}
