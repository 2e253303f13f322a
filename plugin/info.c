/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Both results are made in two rounds over the same code: the first counts the bytes of strings,
 * the second copies them behind the structures. So a result is one block without any free().
 */
#include "info.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "results.h"
#include "wire/json_out.h"
#include <string.h>

/* Go's zero time, which stock clients know as "no time": 0001-01-01T00:00:00Z. */
#define GO_ZERO_TIME (-62135596800LL)

/* Where strings go; at == NULL: only counted. */
struct strings {
    char *at;
    size_t n;
};

static const char *add_bytes(struct strings *s, const char *text, size_t len)
{
    char *to = s->at ? s->at + s->n : NULL;

    if (to) {
        memcpy(to, text, len);
        to[len] = '\0';
    }
    s->n += len + 1;
    return to;
}

static const char *add_string(struct strings *s, const char *text)
{
    return text && text[0] ? add_bytes(s, text, strlen(text)) : NULL;
}

/* The pairs of *st as a JSON object; false: out of memory. */
static bool meta_json(const struct pfs_stat *st, struct pfs_buf *b)
{
    bool ok = pfs_buf_add_str(b, "{");

    for (size_t i = 0; ok && i < st->n_meta; i++) {
        ok = (i == 0 || pfs_buf_add_str(b, ",")) && json_out_str(b, st->meta[i].key) &&
             pfs_buf_add_str(b, ":") && json_out_str(b, st->meta[i].value);
    }
    return ok && pfs_buf_add_str(b, "}");
}

static int64_t seconds_of(int64_t ns)
{
    if (ns == PFS_TIME_UNKNOWN) {
        return GO_ZERO_TIME;
    }
    return ns / PFS_SEC - (ns % PFS_SEC < 0);
}

/* Fills *to (may be NULL in the counting round); false: out of memory. */
static bool fill(FileInfoC *to, const struct pfs_stat *st, const char *name, struct strings *s)
{
    struct pfs_buf content = {0};
    FileInfoC f = {.Size = st->size,
                   .Mode = st->mode,
                   .ModTime = seconds_of(st->mtime_ns),
                   .IsDir = st->is_dir};
    bool ok = st->n_meta == 0 || meta_json(st, &content);

    if (ok) {
        f.Name = add_string(s, name ? name : st->name);
        f.MetaName = add_string(s, st->meta_name);
        f.MetaType = add_string(s, st->meta_type);
        f.MetaContent =
            st->n_meta ? add_bytes(s, pfs_buf_data(&content), pfs_buf_len(&content)) : NULL;
    }
    if (to) {
        *to = f;
    }
    pfs_buf_fini(&content);
    return ok;
}

FileInfoC *info_of_stat(const struct pfs_stat *st, const char *name)
{
    struct strings s = {0};

    if (!fill(NULL, st, name, &s)) {
        return NULL;
    }
    size_t bytes = sizeof(FileInfoC) + s.n;
    FileInfoC *f = results_alloc(bytes);

    if (!f) {
        return NULL;
    }
    s = (struct strings){.at = (char *)(f + 1)};
    if (!fill(f, st, name, &s)) {
        pfs_free(f);
        return NULL;
    }
    results_publish(f, bytes);
    return f;
}

static bool is_listable(const struct pfs_stat *st)
{
    const char *n = st->name;

    return n && n[0] && strcmp(n, ".") != 0 && strcmp(n, "..") != 0 && !strchr(n, '/');
}

/* One round over the list; false: out of memory. */
static bool fill_list(FileInfoC *items, const struct pfs_stat *list, size_t n, struct strings *s,
                      size_t *ret_count)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++) {
        if (is_listable(&list[i])) {
            if (!fill(items ? &items[count] : NULL, &list[i], NULL, s)) {
                return false;
            }
            count++;
        }
    }
    *ret_count = count;
    return true;
}

FileInfoArray *info_of_list(const struct pfs_stat *list, size_t n, int64_t *ret_count)
{
    struct strings s = {0};
    size_t count;

    *ret_count = 0;
    if (!fill_list(NULL, list, n, &s, &count)) {
        return NULL;
    }
    size_t bytes = sizeof(FileInfoArray) + count * sizeof(FileInfoC) + s.n;
    FileInfoArray *a = results_alloc(bytes);

    if (!a) {
        return NULL;
    }
    FileInfoC *items = (void *)(a + 1);

    s = (struct strings){.at = (char *)(items + count)};
    if (!fill_list(items, list, n, &s, &count)) {
        pfs_free(a);
        return NULL;
    }
    a->Items = items;
    a->Count = (int64_t)count;
    results_publish(a, bytes);
    *ret_count = a->Count;
    return a;
}
