/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "jsonout.h"
#include "wire/json_out.h"
#include <string.h>

static void add(struct jout *j, const char *s, size_t n)
{
    if (!pfs_buf_add(&j->buf, s, n)) {
        j->failed = true;
    }
}

static void separate(struct jout *j)
{
    if (j->comma) {
        add(j, ",", 1);
    }
}

void jo_begin(struct jout *j, char open)
{
    separate(j);
    add(j, &open, 1);
    j->comma = false;
}

void jo_end(struct jout *j, char close)
{
    add(j, &close, 1);
    j->comma = true;
}

void jo_key_n(struct jout *j, const char *key, size_t n)
{
    char *to = pfs_buf_room(&j->buf, n + 4), *p = to; /* one look for room, not five */

    if (!to) {
        j->failed = true;
        return;
    }
    if (j->comma) {
        *p++ = ',';
    }
    *p++ = '"';
    p = mempcpy(p, key, n);
    *p++ = '"';
    *p++ = ':';
    pfs_buf_added(&j->buf, (size_t)(p - to));
    j->comma = false;
}

void jo_strn(struct jout *j, const char *s, size_t n)
{
    separate(j);
    j->failed |= !json_out_bytes(&j->buf, s, n);
    j->comma = true;
}

void jo_name(struct jout *j, const char *key)
{
    jo_str(j, key);
    add(j, ":", 1);
    j->comma = false;
}

void jo_str(struct jout *j, const char *s)
{
    jo_strn(j, s ? s : "", s ? strlen(s) : 0);
}

void jo_raw(struct jout *j, const char *json)
{
    separate(j);
    add(j, json, strlen(json));
    j->comma = true;
}

void jo_int(struct jout *j, int64_t v)
{
    separate(j);
    j->failed |= !json_out_int(&j->buf, v);
    j->comma = true;
}

void jo_bool(struct jout *j, bool v)
{
    jo_raw(j, v ? "true" : "false");
}

void jo_null(struct jout *j)
{
    jo_raw(j, "null");
}

void jo_time(struct jout *j, int64_t ns)
{
    separate(j);
    j->failed |= !json_out_time(&j->buf, ns);
    j->comma = true;
}

void jo_member(struct jout *j, const char *key, const char *value)
{
    jo_key(j, key);
    jo_str(j, value);
}

static void put_meta(struct jout *j, const struct pfs_stat *st)
{
    jo_begin(j, '{');
    jo_member(j, "Name", st->meta_name);
    jo_member(j, "Type", st->meta_type);
    jo_key(j, "Content");
    if (!st->meta) {
        jo_null(j);
    } else {
        jo_begin(j, '{');
        for (size_t i = 0; i < st->n_meta; i++) {
            jo_name(j, st->meta[i].key);
            jo_str(j, st->meta[i].value);
        }
        jo_end(j, '}');
    }
    jo_end(j, '}');
}

void jo_stat(struct jout *j, const struct pfs_stat *st)
{
    jo_begin(j, '{');
    jo_member(j, "name", st->name);
    jo_key(j, "size");
    jo_int(j, st->size);
    jo_key(j, "mode");
    jo_int(j, st->mode);
    jo_key(j, "modTime");
    jo_time(j, st->mtime_ns);
    jo_key(j, "isDir");
    jo_bool(j, st->is_dir);
    jo_key(j, "meta");
    put_meta(j, st);
    jo_end(j, '}');
}

void jo_match(struct jout *j, const struct pfs_match *m)
{
    jo_begin(j, '{');
    jo_member(j, "file", m->file);
    jo_key(j, "line");
    jo_int(j, m->line);
    jo_member(j, "content", m->content);
    jo_end(j, '}');
}

char *jo_take(struct jout *j, size_t *ret_len)
{
    add(j, "\n", 1);
    return jo_take_bare(j, ret_len);
}

char *jo_take_bare(struct jout *j, size_t *ret_len)
{
    if (j->failed) {
        jo_fini(j);
        return NULL;
    }
    return pfs_buf_take(&j->buf, ret_len);
}

void jo_fini(struct jout *j)
{
    pfs_buf_fini(&j->buf);
    *j = (struct jout){0};
}
