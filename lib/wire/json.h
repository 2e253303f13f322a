/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_WIRE_JSON_H
#define PFS_WIRE_JSON_H

/*
 * JSON texts as trees of values. Two sets of rules, fixed when a text is parsed and kept by every
 * value taken from it: replies of a remote, where anything doubtful is refused (reliability bar
 * A5), and bodies of requests, read as Go's encoding/json reads them (agfs-http-api.md 1.10), which
 * is what stock clients were tested against. Pure functions, no threads; a tree belongs to one
 * thread at a time. Names of this room only: json.c alone knows json-c.
 */
#include "base/buf.h"
#include <proxyfs/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_DEPTH_MAX 32 /* nested arrays and objects: recursion depth of every reader */
/* Bytes of a text: the largest body of a request that the API allows. Replies: WIRE_JSON_MAX. */
#define JSON_TEXT_MAX (64u << 20)
/* Values in a tree. One costs up to ~150 bytes, so a text of a few bytes per value is no bomb. */
#define JSON_VALUES_MAX 1000000

enum json_rules {
    /* RFC 8259 and nothing else; no duplicate keys, no lone surrogates, keys match exactly. */
    JSON_REPLY,
    /*
     * Keys match case-insensitively, the last duplicate wins, what follows the first value is
     * ignored, invalid UTF-8 and lone surrogates become U+FFFD.
     */
    JSON_REQUEST
};

enum json_kind { JSON_NULL, JSON_BOOL, JSON_INT, JSON_REAL, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/* What a getter found. Only FOUND sets *ret; Go's zero value for MISSING and IS_NULL is the
 * caller's to put there before. */
enum json_found { JSON_FOUND, JSON_MISSING, JSON_IS_NULL, JSON_WRONG };

struct json_object; /* json-c's */

/* A value of a tree: small, passed by value, borrowed from the root. {0} is null. */
struct json_value {
    struct json_object *tree;
    enum json_rules rules;
};

/*
 * Parses len bytes. *ret is the root; free it with json_fini, which ends all values taken from it.
 * Errors (phase reply, outcome UN; the caller knows better): PAYLOAD with the reason and the byte
 * offset (Go says 400 for it), LIMIT (depth, values or length), NOMEM. An empty text is PAYLOAD.
 */
PFS_MUST_CHECK enum pfs_class json_parse(const char *text, size_t len, enum json_rules rules,
                                         struct json_value *ret, struct pfs_error *err);
/* Version of json-c in this process. Static string. */
const char *json_library_version(void);
/* Frees a root and zeroes it. A zero value is allowed. */
void json_fini(struct json_value *root);

enum json_kind json_kind(struct json_value v);

/*
 * The member `key` of obj. MISSING also when obj is null (Go: a null object has only zero values),
 * WRONG when obj is something else than an object. json_get: never IS_NULL, any kind is FOUND.
 * The typed ones answer WRONG for any other kind: an integer is a number without fraction and
 * exponent that fits the type; a string for json_get_str holds no NUL byte. Strings are borrowed
 * from the tree and end in NUL. Nothing is converted: "12" is no integer, 1 is no boolean.
 */
enum json_found json_get(struct json_value obj, const char *key, struct json_value *ret);
enum json_found json_get_str(struct json_value obj, const char *key, const char **ret);
enum json_found json_get_bytes(struct json_value obj, const char *key, const char **ret,
                               size_t *ret_len);
enum json_found json_get_int64(struct json_value obj, const char *key, int64_t *ret);
enum json_found json_get_uint64(struct json_value obj, const char *key, uint64_t *ret);
enum json_found json_get_uint32(struct json_value obj, const char *key, uint32_t *ret);
enum json_found json_get_bool(struct json_value obj, const char *key, bool *ret);
/* The member when it is an object (or array). */
enum json_found json_get_object(struct json_value obj, const char *key, struct json_value *ret);
enum json_found json_get_array(struct json_value obj, const char *key, struct json_value *ret);

/* Elements of an array, members of an object, 0 for anything else. */
size_t json_length(struct json_value v);
/* Element i < json_length of an array. */
struct json_value json_at(struct json_value array, size_t i);
/* The text of a string, borrowed; NULL when v is no string or holds a NUL byte. */
const char *json_str(struct json_value v);

/* One member of an object. Zero it before the first call. */
struct json_member {
    const char *key; /* borrowed; keys with NUL bytes do not pass json_parse */
    struct json_value value;
    const void *entry; /* of json_next */
};

/* Steps to the first or next member in the order of the text; false: no more, or not an object. */
bool json_next(struct json_value obj, struct json_member *m);

/*
 * Appends v as the text of an option: a string's content, "true"/"false", a number as it was
 * written (integers in decimal), "" for null, and compact JSON for arrays and objects. A NUL byte
 * in a string is kept: json_str tells. False: out of memory.
 */
bool json_option_text(struct json_value v, struct pfs_buf *b);
/* Appends v as compact JSON. False: out of memory. */
bool json_to_text(struct json_value v, struct pfs_buf *b);

/* Checks a text by the rules of replies without building a tree. Errors as json_parse. */
PFS_MUST_CHECK enum pfs_class json_check(const char *text, size_t len, struct pfs_error *err);

#endif
