/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Trees of values over json-c; nothing else in the project knows that library. What is accepted is
 * decided by json_pull, since json-c clamps, truncates and overlooks (reliability bar A5).
 */
#include "wire/json.h"
#include "base/err.h"
#include "base/utf8.h"
#include "wire/json_pull.h"
#include <json-c/json_c_version.h>
#include <json-c/json_object.h>
#include <json-c/json_tokener.h>
#include <json-c/linkhash.h>
#include <string.h>
#include <strings.h>

static enum pfs_class broken(struct pfs_error *err, const char *why)
{
    return pfs_fail(err, PFS_PAYLOAD, PFS_OUTCOME_UN, PFS_PHASE_REPLY, "JSON: %s", why);
}

static enum pfs_class no_memory(struct pfs_error *err)
{
    return pfs_fail(err, PFS_NOMEM, PFS_OUTCOME_UN, PFS_PHASE_REPLY, "JSON: out of memory");
}

/* Checks the text; *ret_len is where its first value ends. */
static enum pfs_class scan(const char *text, size_t len, enum json_rules rules, size_t *ret_len,
                           struct pfs_error *err)
{
    struct json_pull j;

    if (len > JSON_TEXT_MAX) {
        return pfs_fail(err, PFS_LIMIT, PFS_OUTCOME_UN, PFS_PHASE_REPLY, "JSON: more than %u bytes",
                        JSON_TEXT_MAX);
    }
    json_pull_init(&j, text, len, rules);
    if (json_pull_skip(&j)) {
        *ret_len = (size_t)(j.p - j.start);
        if (rules == JSON_REPLY) {
            json_pull_end(&j);
        }
    }
    enum pfs_class cls = json_pull_error(&j, err);

    json_pull_fini(&j);
    return cls;
}

enum pfs_class json_check(const char *text, size_t len, struct pfs_error *err)
{
    size_t ignored;

    return scan(text, len, JSON_REPLY, &ignored, err);
}

/* Builds the tree of a text that scan accepted. */
static enum pfs_class build(const char *text, size_t len, struct json_object **ret,
                            struct pfs_error *err)
{
    /* json-c counts the level of scalars too; the scan knows the true limit. */
    struct json_tokener *tok = json_tokener_new_ex(JSON_DEPTH_MAX + 2);
    enum pfs_class cls = PFS_OK;

    if (!tok) {
        return no_memory(err);
    }
    json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    struct json_object *tree = json_tokener_parse_ex(tok, text, (int)len);
    enum json_tokener_error e = json_tokener_get_error(tok);

    if (e == json_tokener_continue) { /* a number at the top ends where the text does */
        tree = json_tokener_parse_ex(tok, "", 1);
        e = json_tokener_get_error(tok);
    } else if (e == json_tokener_success && json_tokener_get_parse_end(tok) != len) {
        e = json_tokener_error_parse_unexpected;
    }
    if (e == json_tokener_success) {
        *ret = tree;
    } else {
        json_object_put(tree);
        cls = broken(err, json_tokener_error_desc(e));
    }
    json_tokener_free(tok);
    return cls;
}

/* A copy in which every byte that is no UTF-8 is U+FFFD, as Go reads it. */
static bool repair(const char *text, size_t len, struct pfs_buf *ret)
{
    for (size_t i = 0; i < len;) {
        size_t n = pfs_utf8_len(text + i, len - i);

        if (!(n ? pfs_buf_add(ret, text + i, n) : pfs_buf_add_str(ret, "\xef\xbf\xbd"))) {
            return false;
        }
        i += n ? n : 1;
    }
    return true;
}

enum pfs_class json_parse(const char *text, size_t len, enum json_rules rules,
                          struct json_value *ret, struct pfs_error *err)
{
    struct pfs_buf repaired = {0};
    struct json_object *tree = NULL;
    enum pfs_class cls = PFS_OK;
    size_t end = 0;

    if (rules == JSON_REQUEST && len <= JSON_TEXT_MAX && !pfs_utf8_valid(text, len)) {
        cls = repair(text, len, &repaired) ? PFS_OK : no_memory(err);
        text = pfs_buf_data(&repaired);
        len = pfs_buf_len(&repaired);
    }
    if (cls == PFS_OK) {
        cls = scan(text, len, rules, &end, err);
    }
    if (cls == PFS_OK) {
        cls = build(text, end, &tree, err);
    }
    if (cls == PFS_OK) {
        *ret = (struct json_value){.tree = tree, .rules = rules};
    }
    pfs_buf_fini(&repaired);
    return cls;
}

void json_fini(struct json_value *root)
{
    json_object_put(root->tree);
    root->tree = NULL;
}

enum json_kind json_kind(struct json_value v)
{
    switch (json_object_get_type(v.tree)) {
    case json_type_boolean:
        return JSON_BOOL;
    case json_type_double:
        return JSON_REAL;
    case json_type_int:
        return JSON_INT;
    case json_type_object:
        return JSON_OBJECT;
    case json_type_array:
        return JSON_ARRAY;
    case json_type_string:
        return JSON_STRING;
    case json_type_null:
        break;
    }
    return JSON_NULL;
}

/* ---- members ---- */

enum json_found json_get(struct json_value obj, const char *key, struct json_value *ret)
{
    struct json_member m = {0};
    enum json_found found = JSON_MISSING;

    if (json_kind(obj) != JSON_OBJECT) {
        return obj.tree ? JSON_WRONG : JSON_MISSING;
    }
    ret->rules = obj.rules;
    if (obj.rules == JSON_REPLY) {
        return json_object_object_get_ex(obj.tree, key, &ret->tree) ? JSON_FOUND : JSON_MISSING;
    }
    while (json_next(obj, &m)) {
        if (strcasecmp(m.key, key) == 0) {
            *ret = m.value;
            found = JSON_FOUND;
        }
    }
    return found;
}

/* The member when it is of one kind. */
static enum json_found get_kind(struct json_value obj, const char *key, enum json_kind kind,
                                struct json_value *ret)
{
    struct json_value v = {0};
    enum json_found found = json_get(obj, key, &v);

    if (found != JSON_FOUND) {
        return found;
    }
    if (json_kind(v) == JSON_NULL) {
        return JSON_IS_NULL;
    }
    if (json_kind(v) != kind) {
        return JSON_WRONG;
    }
    *ret = v;
    return JSON_FOUND;
}

enum json_found json_get_object(struct json_value obj, const char *key, struct json_value *ret)
{
    return get_kind(obj, key, JSON_OBJECT, ret);
}

enum json_found json_get_array(struct json_value obj, const char *key, struct json_value *ret)
{
    return get_kind(obj, key, JSON_ARRAY, ret);
}

enum json_found json_get_bytes(struct json_value obj, const char *key, const char **ret,
                               size_t *ret_len)
{
    struct json_value v;
    enum json_found found = get_kind(obj, key, JSON_STRING, &v);

    if (found == JSON_FOUND) {
        *ret = json_object_get_string(v.tree);
        *ret_len = (size_t)json_object_get_string_len(v.tree);
    }
    return found;
}

enum json_found json_get_str(struct json_value obj, const char *key, const char **ret)
{
    const char *s;
    size_t len;
    enum json_found found = json_get_bytes(obj, key, &s, &len);

    if (found == JSON_FOUND) {
        if (memchr(s, '\0', len)) {
            return JSON_WRONG;
        }
        *ret = s;
    }
    return found;
}

enum json_found json_get_int64(struct json_value obj, const char *key, int64_t *ret)
{
    struct json_value v;
    enum json_found found = get_kind(obj, key, JSON_INT, &v);

    if (found == JSON_FOUND) {
        int64_t n = json_object_get_int64(v.tree);

        if (n == INT64_MAX && json_object_get_uint64(v.tree) > INT64_MAX) {
            return JSON_WRONG;
        }
        *ret = n;
    }
    return found;
}

enum json_found json_get_uint64(struct json_value obj, const char *key, uint64_t *ret)
{
    struct json_value v;
    enum json_found found = get_kind(obj, key, JSON_INT, &v);

    if (found == JSON_FOUND) {
        if (json_object_get_int64(v.tree) < 0) {
            return JSON_WRONG;
        }
        *ret = json_object_get_uint64(v.tree);
    }
    return found;
}

enum json_found json_get_uint32(struct json_value obj, const char *key, uint32_t *ret)
{
    uint64_t n;
    enum json_found found = json_get_uint64(obj, key, &n);

    if (found == JSON_FOUND) {
        if (n > UINT32_MAX) {
            return JSON_WRONG;
        }
        *ret = (uint32_t)n;
    }
    return found;
}

enum json_found json_get_bool(struct json_value obj, const char *key, bool *ret)
{
    struct json_value v;
    enum json_found found = get_kind(obj, key, JSON_BOOL, &v);

    if (found == JSON_FOUND) {
        *ret = json_object_get_boolean(v.tree);
    }
    return found;
}

/* ---- elements, iteration, text ---- */

size_t json_length(struct json_value v)
{
    switch (json_kind(v)) {
    case JSON_ARRAY:
        return json_object_array_length(v.tree);
    case JSON_OBJECT:
        return (size_t)json_object_object_length(v.tree);
    case JSON_NULL:
    case JSON_BOOL:
    case JSON_INT:
    case JSON_REAL:
    case JSON_STRING:
        break;
    }
    return 0;
}

struct json_value json_at(struct json_value array, size_t i)
{
    return (struct json_value){json_object_array_get_idx(array.tree, i), array.rules};
}

const char *json_str(struct json_value v)
{
    if (json_kind(v) != JSON_STRING) {
        return NULL;
    }
    const char *s = json_object_get_string(v.tree);

    return strlen(s) == (size_t)json_object_get_string_len(v.tree) ? s : NULL;
}

bool json_next(struct json_value obj, struct json_member *m)
{
    const struct lh_entry *e;

    if (json_kind(obj) != JSON_OBJECT) {
        return false;
    }
    if (m->entry) {
        e = ((const struct lh_entry *)m->entry)->next;
    } else {
        e = json_object_get_object(obj.tree)->head;
    }
    if (!e) {
        return false;
    }
    m->entry = e;
    m->key = lh_entry_k(e);
    m->value = (struct json_value){(struct json_object *)lh_entry_v(e), obj.rules};
    return true;
}

bool json_to_text(struct json_value v, struct pfs_buf *b)
{
    size_t len;
    const char *s = json_object_to_json_string_length(
        v.tree, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);

    return s && pfs_buf_add(b, s, len);
}

bool json_option_text(struct json_value v, struct pfs_buf *b)
{
    switch (json_kind(v)) {
    case JSON_NULL:
        return pfs_buf_add(b, "", 0);
    case JSON_STRING:
        return pfs_buf_add(b, json_object_get_string(v.tree),
                           (size_t)json_object_get_string_len(v.tree));
    case JSON_BOOL:
    case JSON_INT:
    case JSON_REAL:
    case JSON_ARRAY:
    case JSON_OBJECT:
        break;
    }
    return json_to_text(v, b);
}

const char *json_library_version(void)
{
    return json_c_version();
}
