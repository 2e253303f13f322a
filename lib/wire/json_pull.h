/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_WIRE_JSON_PULL_H
#define PFS_WIRE_JSON_PULL_H

/*
 * A reader over one JSON text that builds nothing: its caller pulls brackets, keys and values. It
 * defines what JSON is for this project: json_parse runs it before json-c, which takes more than
 * RFC 8259 (single quotes, NaN, an early NUL) and hides clamped numbers and duplicate keys; the
 * decoder of listings uses it alone, for speed.
 *
 * Every function returns false after an error, which is kept in the reader (the first one counts);
 * so callers only return false and the owner asks json_pull_error in the end.
 */
#include "wire/json.h"

/* Decoded bytes: in the text itself, or in the reader until the next string is read. */
struct json_span {
    const char *s;
    size_t n;
};

struct json_number {
    bool is_int;       /* neither fraction nor exponent */
    bool is_negative;  /* has a minus sign */
    uint64_t absolute; /* when is_int */
};

struct json_pull {
    const char *start, *p, *end;
    enum json_rules rules;
    unsigned depth;
    size_t n_values, max_values; /* JSON_VALUES_MAX unless the owner keeps no values */
    enum pfs_class cls;          /* of the first error, PFS_OK: none */
    const char *why;             /* static */
    struct pfs_buf keys;         /* hashes of the keys of all open objects that have many */
    struct pfs_buf text;         /* the last string that had escapes */
};

#define JSON_KEYS_FEW 8

/* An open array or object, on its reader's stack. */
struct json_scope {
    size_t n_keys;
    uint64_t keys[JSON_KEYS_FEW]; /* hashes; of more than these all are the last of the reader's */
    bool is_started;
};

/* Borrows text until json_pull_fini. The text must be valid UTF-8 where rules are JSON_REQUEST. */
void json_pull_init(struct json_pull *j, const char *text, size_t len, enum json_rules rules);
void json_pull_fini(struct json_pull *j);

/* Notes an error unless there is one; why is static. Returns false. */
bool json_pull_fail(struct json_pull *j, enum pfs_class cls, const char *why);
/* The same: what is no JSON, or not the JSON that is wanted; memory. */
static inline bool json_pull_refuse(struct json_pull *j, const char *why)
{
    return json_pull_fail(j, PFS_PAYLOAD, why);
}
static inline bool json_pull_lack(struct json_pull *j)
{
    return json_pull_fail(j, PFS_NOMEM, "out of memory");
}
/* Fills *err (phase reply, outcome UN) from the noted error, PFS_OK and untouched when none. */
enum pfs_class json_pull_error(const struct json_pull *j, struct pfs_error *err);

/* Counts one more value, which may be one too many. */
static inline bool json_pull_count(struct json_pull *j)
{
    return ++j->n_values <= j->max_values || json_pull_fail(j, PFS_LIMIT, "too many values");
}

/* Skips white space; the next byte, '\0' at the end (and for a NUL, which no value begins with). */
static inline char json_pull_peek(struct json_pull *j)
{
    for (; j->p < j->end; j->p++) {
        unsigned char c = (unsigned char)*j->p;

        if (c > ' ' || (c != ' ' && c != '\n' && c != '\t' && c != '\r')) {
            return (char)c;
        }
    }
    return '\0';
}
/* True when only white space follows; otherwise an error. */
bool json_pull_end(struct json_pull *j);

/* Enters the array or object that must begin here ('[' or '{'). */
bool json_pull_open(struct json_pull *j, char bracket, struct json_scope *ret);
/* True: an element follows, read or skip it. False: the array was left, or an error. */
bool json_pull_element(struct json_pull *j, struct json_scope *scope);
/* True: the member *ret_key follows, read or skip its value. False: object left, or an error. */
bool json_pull_key(struct json_pull *j, struct json_scope *scope, struct json_span *ret_key);

/* True: the string just read had escapes, and lies in the reader. */
static inline bool json_pull_is_decoded(const struct json_pull *j, const struct json_span *s)
{
    return s->s == pfs_buf_data(&j->text);
}
/* True: it has a NUL, which no C string can. Only an escape can bring one in. */
static inline bool json_pull_has_nul(const struct json_pull *j, const struct json_span *s)
{
    return json_pull_is_decoded(j, s) && memchr(s->s, '\0', s->n) != NULL;
}

/* The value that must be here. */
bool json_pull_string(struct json_pull *j, struct json_span *ret);
bool json_pull_number(struct json_pull *j, struct json_number *ret);
bool json_pull_bool(struct json_pull *j, bool *ret);
bool json_pull_null(struct json_pull *j);
/* Any value, checked in full. */
bool json_pull_skip(struct json_pull *j);

#endif
