/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "yaml_json.h"
#include "base/err.h"
#include "config.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *yaml_text(const yaml_node_t *node)
{
    return node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : "";
}

static bool is_plain(const yaml_node_t *node)
{
    return node->type == YAML_SCALAR_NODE && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

static bool is_one_of(const char *s, const char *const *words)
{
    for (size_t i = 0; words[i]; i++) {
        if (strcmp(s, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

bool yaml_is_null(const yaml_node_t *node)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL", NULL};

    return is_plain(node) && is_one_of(yaml_text(node), words);
}

/* An integer as yaml.v3 reads it: sign, 0x 0o 0b and leading 0 for octal, '_' between digits. */
static bool parse_integer(const char *s, bool *ret_negative, uint64_t *ret)
{
    unsigned base = 10;
    uint64_t v = 0;
    size_t n_digits = 0;

    *ret_negative = *s == '-';
    s += *s == '-' || *s == '+';
    if (s[0] == '0' && s[1]) {
        char kind = s[1];

        base = kind == 'x' ? 16 : kind == 'b' ? 2 : 8;
        s += kind == 'x' || kind == 'b' || kind == 'o' ? 2 : 1;
    }
    for (; *s; s++) {
        const char *digits = "0123456789abcdef";
        const char *at = strchr(digits, *s | (*s >= 'A' ? 0x20 : 0));

        if (*s == '_') {
            continue;
        }
        if (!at || (unsigned)(at - digits) >= base || __builtin_mul_overflow(v, base, &v) ||
            __builtin_add_overflow(v, (uint64_t)(at - digits), &v)) {
            return false;
        }
        n_digits++;
    }
    *ret = v;
    return n_digits > 0 && (!*ret_negative || v <= (uint64_t)INT64_MAX + 1);
}

/* A float of YAML 1.2: no hex, no "inf" or "nan" without the dot. */
static bool parse_real(const char *s, double *ret)
{
    static const char *const infinities[] = {".inf",  ".Inf", ".INF", "+.inf", "-.inf", "+.Inf",
                                             "-.Inf", ".nan", ".NaN", ".NAN",  NULL};
    char *end = NULL;

    if (is_one_of(s, infinities)) {
        *ret = INFINITY;
        return true;
    }
    if (s[strspn(s, "0123456789.eE+-")] != '\0' || !strpbrk(s, "0123456789") || strchr("eE", *s)) {
        return false;
    }
    *ret = strtod(s, &end);
    return *end == '\0';
}

static bool is_date(const char *s)
{
    for (size_t i = 0; i < 10; i++) {
        bool dash = i == 4 || i == 7;

        if (dash ? s[i] != '-' : s[i] < '0' || s[i] > '9') {
            return false;
        }
    }
    return s[10] == '\0';
}

static void put_real(struct jout *j, double v)
{
    char text[40];

    for (int digits = 1; digits <= 17; digits++) { /* the shortest that reads back the same */
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v) {
            break;
        }
    }
    if (v == floor(v) && fabs(v) < 1e15) {
        snprintf(text, sizeof text, "%.0f", v);
    }
    jo_raw(j, text);
}

static enum pfs_class put_plain(const yaml_node_t *node, struct jout *j, struct pfs_error *err)
{
    static const char *const yes[] = {"true", "True", "TRUE", NULL};
    static const char *const no[] = {"false", "False", "FALSE", NULL};
    const char *s = yaml_text(node);
    char text[32];
    bool negative;
    uint64_t u;
    double real;

    if (yaml_is_null(node)) {
        jo_null(j);
    } else if (is_one_of(s, yes) || is_one_of(s, no)) {
        jo_bool(j, is_one_of(s, yes));
    } else if (parse_integer(s, &negative, &u)) {
        snprintf(text, sizeof text, "%s%llu", negative && u ? "-" : "", (unsigned long long)u);
        jo_raw(j, text);
    } else if (is_date(s)) {
        snprintf(text, sizeof text, "%sT00:00:00Z", s);
        jo_str(j, text);
    } else if (!parse_real(s, &real)) {
        jo_str(j, s);
    } else if (!isfinite(real)) {
        return pfs_refuse(err, PFS_CONFIG, "line %zu: unsupported value: %s",
                          node->start_mark.line + 1, s);
    } else {
        put_real(j, real);
    }
    return PFS_OK;
}

static enum pfs_class put_mapping(yaml_document_t *doc, yaml_node_t *node, unsigned depth,
                                  unsigned *io_left, struct jout *j, struct pfs_error *err)
{
    jo_begin(j, '{');
    for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top;
         p++) {
        yaml_node_t *key = yaml_document_get_node(doc, p->key);
        enum pfs_class cls;

        if (!key || key->type != YAML_SCALAR_NODE) {
            return pfs_refuse(err, PFS_CONFIG, "line %zu: a key is no string",
                              node->start_mark.line + 1);
        }
        jo_name(j, yaml_text(key));
        cls = yaml_to_json(doc, yaml_document_get_node(doc, p->value), depth + 1, io_left, j, err);
        if (cls != PFS_OK) {
            return cls;
        }
    }
    jo_end(j, '}');
    return PFS_OK;
}

enum pfs_class yaml_to_json(yaml_document_t *doc, yaml_node_t *node, unsigned depth,
                            unsigned *io_left, struct jout *j, struct pfs_error *err)
{
    enum pfs_class cls = PFS_OK;

    if (!node || depth > CONFIG_DEPTH_MAX || *io_left == 0) {
        return pfs_refuse(err, PFS_CONFIG, "line %zu: nested too deeply, or too much",
                          node ? node->start_mark.line + 1 : 0);
    }
    --*io_left;
    switch (node->type) {
    case YAML_MAPPING_NODE:
        return put_mapping(doc, node, depth, io_left, j, err);
    case YAML_SEQUENCE_NODE:
        jo_begin(j, '[');
        for (yaml_node_item_t *i = node->data.sequence.items.start;
             i < node->data.sequence.items.top && cls == PFS_OK; i++) {
            cls = yaml_to_json(doc, yaml_document_get_node(doc, *i), depth + 1, io_left, j, err);
        }
        jo_end(j, ']');
        return cls;
    case YAML_SCALAR_NODE:
        if (is_plain(node)) {
            return put_plain(node, j, err);
        }
        jo_strn(j, yaml_text(node), node->data.scalar.length);
        break;
    case YAML_NO_NODE:
        jo_null(j);
        break;
    }
    return PFS_OK;
}
