/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "wire/json_pull.h"
#include "base/err.h"
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

bool json_pull_end(struct json_pull *j)
{
    json_pull_peek(j);
    return j->p == j->end || json_pull_refuse(j, "something follows the value");
}

/* ---- arrays and objects ---- */

bool json_pull_open(struct json_pull *j, char bracket, struct json_scope *ret)
{
    if (json_pull_peek(j) != bracket) {
        return json_pull_refuse(j, bracket == '[' ? "array expected" : "object expected");
    }
    if (j->depth == JSON_DEPTH_MAX) {
        return json_pull_refuse(j, "nested too deep");
    }
    ret->n_keys = 0;
    ret->is_started = false;
    j->depth++;
    j->p++;
    return json_pull_count(j);
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
            return json_pull_refuse(j, "comma or closing bracket expected");
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

static bool note_key(struct json_pull *j, struct json_scope *scope, uint64_t hash)
{
    if (scope->n_keys < JSON_KEYS_FEW) {
        scope->keys[scope->n_keys++] = hash;
        return true;
    }
    if (scope->n_keys == JSON_KEYS_FEW && !pfs_buf_add(&j->keys, scope->keys, sizeof scope->keys)) {
        return json_pull_lack(j);
    }
    scope->n_keys++;
    return pfs_buf_add(&j->keys, &hash, sizeof hash) || json_pull_lack(j);
}

/* Forgets the keys of the object that ends; false: two of them were equal. */
static bool leave_keys(struct json_pull *j, struct json_scope *scope)
{
    uint64_t *keys = scope->keys;
    size_t n = scope->n_keys;
    bool is_sorted = n > 16;

    if (n > JSON_KEYS_FEW) {
        j->keys.end -= n * sizeof *keys;
        keys = (uint64_t *)(void *)(j->keys.mem + j->keys.end);
    }
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
        if (j->cls == PFS_OK && !leave_keys(j, scope)) {
            return json_pull_refuse(j, "duplicate key");
        }
        return false;
    }
    if (json_pull_peek(j) != '"') {
        return json_pull_refuse(j, "key expected");
    }
    j->n_values--; /* a key is no value */
    if (!json_pull_string(j, ret_key)) {
        return false;
    }
    if (json_pull_has_nul(j, ret_key)) {
        return json_pull_refuse(j, "NUL in a key");
    }
    const char *end = json_pull_is_decoded(j, ret_key) ? ret_key->s + ret_key->n : j->end;

    if (j->rules == JSON_REPLY && !note_key(j, scope, key_hash(ret_key, end))) {
        return false;
    }
    if (json_pull_peek(j) != ':') {
        return json_pull_refuse(j, "colon expected");
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
    return j->p > first || json_pull_refuse(j, "digit expected");
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

    if (!json_pull_count(j) || !digits(j, &v, &overflow)) {
        return false;
    }
    if (*first == '0' && j->p - first > 1) {
        return json_pull_refuse(j, "number with a leading zero");
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
        return json_pull_refuse(j, "integer out of range");
    }
    ret->absolute = v;
    return true;
}

static bool word(struct json_pull *j, const char *text, size_t n)
{
    json_pull_peek(j);
    if ((size_t)(j->end - j->p) < n || memcmp(j->p, text, n) != 0) {
        return json_pull_refuse(j, "value expected");
    }
    j->p += n;
    return json_pull_count(j);
}

bool json_pull_bool(struct json_pull *j, bool *ret)
{
    *ret = json_pull_peek(j) == 't';
    return *ret ? word(j, "true", 4) : word(j, "false", 5);
}

bool json_pull_null(struct json_pull *j)
{
    return word(j, "null", 4);
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
