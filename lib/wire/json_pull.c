/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "wire/json_pull.h"
#include "base/err.h"
#include "base/utf8.h"
#include <endian.h>
#include <stdlib.h>
#include <string.h>

void json_pull_init(struct json_pull *j, const char *text, size_t len, enum json_rules rules)
{
    *j = (struct json_pull){
        .start = text, .p = text, .end = text + len, .rules = rules, .max_values = JSON_VALUES_MAX};
}

void json_pull_fini(struct json_pull *j)
{
    pfs_buf_fini(&j->keys);
    pfs_buf_fini(&j->text);
}

bool json_pull_fail(struct json_pull *j, enum pfs_class cls, const char *why)
{
    if (j->cls == PFS_OK) {
        j->cls = cls;
        j->why = why;
    }
    return false;
}

enum pfs_class json_pull_error(const struct json_pull *j, struct pfs_error *err)
{
    if (j->cls == PFS_OK) {
        return PFS_OK;
    }
    return pfs_fail(err, j->cls, PFS_OUTCOME_UN, PFS_PHASE_REPLY, "JSON: %s at byte %zu", j->why,
                    (size_t)(j->p - j->start));
}

static bool syntax(struct json_pull *j, const char *why)
{
    return json_pull_fail(j, PFS_PAYLOAD, why);
}

static bool no_memory(struct json_pull *j)
{
    return json_pull_fail(j, PFS_NOMEM, "out of memory");
}

char json_pull_peek(struct json_pull *j)
{
    while (j->p < j->end) {
        char c = *j->p;

        if (c != ' ' && c != '\n' && c != '\t' && c != '\r') {
            return c;
        }
        j->p++;
    }
    return '\0';
}

bool json_pull_end(struct json_pull *j)
{
    json_pull_peek(j);
    return j->p == j->end || syntax(j, "something follows the value");
}

/* ---- arrays and objects ---- */

static bool count_value(struct json_pull *j)
{
    return ++j->n_values <= j->max_values || json_pull_fail(j, PFS_LIMIT, "too many values");
}

bool json_pull_open(struct json_pull *j, char bracket, struct json_scope *ret)
{
    if (json_pull_peek(j) != bracket) {
        return syntax(j, bracket == '[' ? "array expected" : "object expected");
    }
    if (j->depth == JSON_DEPTH_MAX) {
        return syntax(j, "nested too deep");
    }
    *ret = (struct json_scope){.first_key = pfs_buf_len(&j->keys)};
    j->depth++;
    j->p++;
    return count_value(j);
}

/* After a bracket or a value: true when another element is to come, false at `close`. */
static bool step(struct json_pull *j, struct json_scope *scope, char close)
{
    if (j->cls != PFS_OK) {
        return false;
    }
    char c = json_pull_peek(j);

    if (c == close) {
        j->p++;
        j->depth--;
        return false;
    }
    if (scope->is_started) {
        if (c != ',') {
            return syntax(j, "comma or closing bracket expected");
        }
        j->p++;
    }
    scope->is_started = true;
    return true;
}

bool json_pull_element(struct json_pull *j, struct json_scope *scope)
{
    return step(j, scope, ']');
}

/*
 * A hash, not the bytes, stands for a key: equal keys are always found, whatever an attacker
 * chooses, and different keys of one length up to 8 never collide; a collision of others (about
 * 2^-64 a pair) refuses a reply. Up to `end` may be read.
 */
static uint64_t key_hash(const struct json_span *key, const char *end)
{
    uint64_t h = key->n * 0x9e3779b97f4a7c15u;

    for (size_t i = 0; i < key->n; i += 8) {
        size_t left = key->n - i;
        uint64_t word = 0;

        if (left >= 8) {
            memcpy(&word, key->s + i, 8);
        } else if (end - (key->s + i) >= 8) { /* one load, and off with what is behind the key */
            memcpy(&word, key->s + i, 8);
            word &= htole64(((uint64_t)1 << 8 * left) - 1);
        } else {
            memcpy(&word, key->s + i, left);
        }
        h = (h ^ word) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
    }
    return h;
}

static int compare_hashes(const void *a, const void *b)
{
    uint64_t x, y;

    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x < y ? -1 : x > y;
}

/* Forgets the keys of the object that ends; false: two of them were equal. */
static bool leave_keys(struct json_pull *j, size_t first)
{
    uint64_t *keys = (uint64_t *)(void *)(pfs_buf_data(&j->keys) + first);
    size_t n = (pfs_buf_len(&j->keys) - first) / sizeof *keys;
    bool is_sorted = n > 16;

    j->keys.end -= n * sizeof *keys;
    if (is_sorted) {
        qsort(keys, n, sizeof *keys, compare_hashes);
    }
    for (size_t i = 1; i < n; i++) {
        for (size_t k = is_sorted ? i - 1 : 0; k < i; k++) {
            if (keys[k] == keys[i]) {
                return false;
            }
        }
    }
    return true;
}

bool json_pull_key(struct json_pull *j, struct json_scope *scope, struct json_span *ret_key)
{
    if (!step(j, scope, '}')) {
        if (j->cls == PFS_OK && pfs_buf_len(&j->keys) > scope->first_key &&
            !leave_keys(j, scope->first_key)) {
            return syntax(j, "duplicate key");
        }
        return false;
    }
    if (json_pull_peek(j) != '"') {
        return syntax(j, "key expected");
    }
    j->n_values--; /* a key is no value */
    if (!json_pull_string(j, ret_key)) {
        return false;
    }
    bool has_escapes = ret_key->s == pfs_buf_data(&j->text);

    if (has_escapes && memchr(ret_key->s, '\0', ret_key->n)) { /* no NUL stands for itself */
        return syntax(j, "NUL in a key");
    }
    if (j->rules == JSON_REPLY) {
        uint64_t h = key_hash(ret_key, has_escapes ? ret_key->s + ret_key->n : j->end);

        if (!pfs_buf_add(&j->keys, &h, sizeof h)) {
            return no_memory(j);
        }
    }
    if (json_pull_peek(j) != ':') {
        return syntax(j, "colon expected");
    }
    j->p++;
    return true;
}

/* ---- strings ---- */

static int hex4(const char *s)
{
    int v = 0;

    for (int i = 0; i < 4; i++) {
        char c = s[i], lower = (char)(c | 0x20);

        if (c >= '0' && c <= '9') {
            v = v * 16 + (c - '0');
        } else if (lower >= 'a' && lower <= 'f') {
            v = v * 16 + (lower - 'a' + 10);
        } else {
            return -1;
        }
    }
    return v;
}

/* The code point of the \uXXXX at p (after the u), a pair of surrogates as one. -1: error noted. */
static int32_t code_point(struct json_pull *j)
{
    int first = j->end - j->p >= 4 ? hex4(j->p) : -1;

    if (first < 0) {
        syntax(j, "bad \\u escape");
        return -1;
    }
    j->p += 4;
    if (first < 0xd800 || first > 0xdfff) {
        return first;
    }
    if (first < 0xdc00 && j->end - j->p >= 6 && j->p[0] == '\\' && j->p[1] == 'u') {
        int second = hex4(j->p + 2);

        if (second >= 0xdc00 && second <= 0xdfff) {
            j->p += 6;
            return 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        }
    }
    if (j->rules == JSON_REPLY) {
        syntax(j, "lone surrogate");
        return -1;
    }
    return 0xfffd;
}

static size_t utf8_encode(int32_t cp, char dst[4])
{
    if (cp < 0x80) {
        dst[0] = (char)cp;
        return 1;
    }
    size_t n = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;

    for (size_t i = n - 1; i > 0; i--, cp >>= 6) {
        dst[i] = (char)(0x80 | (cp & 0x3f));
    }
    dst[0] = (char)((0xf00 >> n) | cp);
    return n;
}

/* Decodes the escape at p (a backslash) to the end of j->text. */
static bool unescape(struct json_pull *j)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = j->end - j->p > 1 ? j->p[1] : '\0', utf8[4];
    const char *simple = c ? strchr(from, c) : NULL;
    size_t n = 1;

    if (simple) {
        utf8[0] = to[simple - from];
        j->p += 2;
    } else if (c == 'u') {
        j->p += 2;
        int32_t cp = code_point(j);

        if (cp < 0) {
            return false;
        }
        n = utf8_encode(cp, utf8);
    } else {
        return syntax(j, "bad escape");
    }
    return pfs_buf_add(&j->text, utf8, n) || no_memory(j);
}

/* Bytes that do not simply stand for themselves in a string. */
static const bool needs_look[256] = {
    [0 ... 0x1f] = true, ['"'] = true, ['\\'] = true, [0x80 ... 0xff] = true};

/* Moves over characters that stand for themselves, up to a quote or backslash. */
static bool plain_run(struct json_pull *j)
{
    const char *p = j->p, *end = j->end;

    for (;;) {
        while (p < end && !needs_look[(unsigned char)*p]) {
            p++;
        }
        if (p == end || *p == '"' || *p == '\\') {
            break;
        }
        unsigned char c = (unsigned char)*p;
        size_t len = c < 0x80 ? 1 : pfs_utf8_len(p, (size_t)(end - p));

        if (c < 0x20 || len == 0) {
            j->p = p;
            return syntax(j, c < 0x20 ? "control character in a string" : "invalid UTF-8");
        }
        p += len;
    }
    j->p = p;
    return p < end || syntax(j, "string does not end");
}

bool json_pull_string(struct json_pull *j, struct json_span *ret)
{
    bool is_direct = true;

    if (json_pull_peek(j) != '"') {
        return syntax(j, "string expected");
    }
    if (!count_value(j)) {
        return false;
    }
    j->p++;
    for (;;) {
        const char *run = j->p;

        if (!plain_run(j)) {
            return false;
        }
        size_t n = (size_t)(j->p - run);

        if (*j->p == '"' && is_direct) {
            *ret = (struct json_span){run, n};
            break;
        }
        if (is_direct) {
            j->text.start = j->text.end = 0;
            is_direct = false;
        }
        if (n && !pfs_buf_add(&j->text, run, n)) {
            return no_memory(j);
        }
        if (*j->p == '"') {
            *ret = (struct json_span){pfs_buf_data(&j->text), pfs_buf_len(&j->text)};
            break;
        }
        if (!unescape(j)) {
            return false;
        }
    }
    j->p++;
    return true;
}

/* ---- numbers and words ---- */

/* One digit or more; their value goes to *ret. False: none, or too large for 64 bits. */
static bool digits(struct json_pull *j, uint64_t *ret, bool *ret_overflow)
{
    const char *first = j->p;

    *ret = 0;
    *ret_overflow = false;
    for (; j->p < j->end && *j->p >= '0' && *j->p <= '9'; j->p++) {
        if (__builtin_mul_overflow(*ret, 10, ret) ||
            __builtin_add_overflow(*ret, (uint64_t)(*j->p - '0'), ret)) {
            *ret_overflow = true;
        }
    }
    return j->p > first || syntax(j, "digit expected");
}

static bool at(const struct json_pull *j, char c)
{
    return j->p < j->end && *j->p == c;
}

bool json_pull_number(struct json_pull *j, struct json_number *ret)
{
    uint64_t v, ignored;
    bool overflow, any;

    json_pull_peek(j);
    *ret = (struct json_number){.is_int = true, .is_negative = at(j, '-')};
    j->p += ret->is_negative;
    const char *first = j->p;

    if (!count_value(j) || !digits(j, &v, &overflow)) {
        return false;
    }
    if (*first == '0' && j->p - first > 1) {
        return syntax(j, "number with a leading zero");
    }
    if (at(j, '.')) {
        ret->is_int = false;
        j->p++;
        if (!digits(j, &ignored, &any)) {
            return false;
        }
    }
    if (at(j, 'e') || at(j, 'E')) {
        ret->is_int = false;
        j->p++;
        j->p += at(j, '+') || at(j, '-');
        if (!digits(j, &ignored, &any)) {
            return false;
        }
    }
    if (ret->is_int && (overflow || (ret->is_negative && v > (uint64_t)INT64_MAX + 1))) {
        return syntax(j, "integer out of range");
    }
    ret->absolute = v;
    return true;
}

static bool word(struct json_pull *j, const char *text)
{
    size_t n = strlen(text);

    json_pull_peek(j);
    if ((size_t)(j->end - j->p) < n || memcmp(j->p, text, n) != 0) {
        return syntax(j, "value expected");
    }
    j->p += n;
    return count_value(j);
}

bool json_pull_bool(struct json_pull *j, bool *ret)
{
    *ret = json_pull_peek(j) == 't';
    return word(j, *ret ? "true" : "false");
}

bool json_pull_null(struct json_pull *j)
{
    return word(j, "null");
}

bool json_pull_skip(struct json_pull *j)
{
    struct json_scope scope;
    struct json_span span;
    struct json_number number;
    bool truth;

    switch (json_pull_peek(j)) {
    case '{':
        if (!json_pull_open(j, '{', &scope)) {
            return false;
        }
        while (json_pull_key(j, &scope, &span) && json_pull_skip(j)) {
        }
        return j->cls == PFS_OK;
    case '[':
        if (!json_pull_open(j, '[', &scope)) {
            return false;
        }
        while (json_pull_element(j, &scope) && json_pull_skip(j)) {
        }
        return j->cls == PFS_OK;
    case '"':
        return json_pull_string(j, &span);
    case 't':
    case 'f':
        return json_pull_bool(j, &truth);
    case 'n':
        return json_pull_null(j);
    default:
        return json_pull_number(j, &number);
    }
}
