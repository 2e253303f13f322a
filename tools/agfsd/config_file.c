/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Reading the configuration from YAML. */
#include "base/alloc.h"
#include "base/err.h"
#include "base/log.h"
#include "config.h"
#include "yaml_json.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct reader {
    struct config *config;
    yaml_document_t doc;
    struct pfs_error *err;
    unsigned left; /* nodes that may still be read */
};

static enum pfs_class wrong(struct reader *r, const yaml_node_t *at, const char *key,
                            const char *what)
{
    return pfs_refuse(r->err, PFS_CONFIG, "line %zu: %s: %s", at->start_mark.line + 1, key, what);
}

static int by_text(const void *a, const void *b)
{
    const yaml_node_t *const *x = a, *const *y = b;
    int order = strcmp(yaml_text(*x), yaml_text(*y));

    return order ? order : (*x > *y) - (*x < *y); /* nodes lie in the order of the text */
}

/* As the stock server: of two values nobody knows which is meant. */
static enum pfs_class refuse_twins(struct reader *r, const yaml_node_t *node)
{
    const yaml_node_pair_t *first = node->data.mapping.pairs.start;
    size_t n = (size_t)(node->data.mapping.pairs.top - first);
    const yaml_node_t **keys = pfs_malloc((n + 1) * sizeof *keys);
    enum pfs_class cls = keys ? PFS_OK : pfs_nomem(r->err, "the configuration");

    for (size_t i = 0; i < n && keys; i++) {
        keys[i] = yaml_document_get_node(&r->doc, first[i].key);
    }
    if (keys) {
        qsort(keys, n, sizeof *keys, by_text);
    }
    for (size_t i = 1; i < n && cls == PFS_OK; i++) {
        if (keys[i]->type == YAML_SCALAR_NODE && keys[i - 1]->type == YAML_SCALAR_NODE &&
            strcmp(yaml_text(keys[i - 1]), yaml_text(keys[i])) == 0) {
            cls = wrong(r, keys[i], yaml_text(keys[i]), "is given twice");
        }
    }
    pfs_free(keys);
    return cls;
}

/* names ends with NULL. */
static void warn_of_others(struct reader *r, const char *what, const yaml_node_t *node,
                           const char *const *names)
{
    for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top;
         p++) {
        const yaml_node_t *key = yaml_document_get_node(&r->doc, p->key);
        size_t i = 0;

        while (names[i] && strcmp(names[i], yaml_text(key)) != 0) {
            i++;
        }
        if (!names[i]) {
            log_warn("configuration line %zu: unknown key %s.%s is ignored",
                     key->start_mark.line + 1, what, yaml_text(key));
        }
    }
}

/* False: there is nothing to read, or (*ret_cls, which is OK till then) it is none. */
static bool is_mapping(struct reader *r, const char *what, const yaml_node_t *node,
                       enum pfs_class *ret_cls)
{
    if (!yaml_is_null(node) && node->type != YAML_MAPPING_NODE) {
        *ret_cls = wrong(r, node, what, "must be a mapping");
    }
    return node->type == YAML_MAPPING_NODE;
}

/* One member of a mapping: what it is called and what reads it. */
struct key {
    const char *name;
    enum pfs_class (*read)(struct reader *r, const char *name, yaml_node_t *value);
};

enum unknown { UNKNOWN_WARN, UNKNOWN_ERROR };

static enum pfs_class read_mapping(struct reader *r, const char *what, yaml_node_t *node,
                                   const struct key *keys, enum unknown unknown)
{
    enum pfs_class cls = PFS_OK;

    if (!is_mapping(r, what, node, &cls)) {
        return cls;
    }
    for (yaml_node_pair_t *p = node->data.mapping.pairs.start;
         p < node->data.mapping.pairs.top && cls == PFS_OK; p++) {
        yaml_node_t *key = yaml_document_get_node(&r->doc, p->key);
        const struct key *k = keys;

        while (k->name && strcmp(k->name, yaml_text(key)) != 0) {
            k++;
        }
        if (k->name) {
            cls = k->read(r, k->name, yaml_document_get_node(&r->doc, p->value));
        } else if (unknown == UNKNOWN_ERROR) {
            char name[128];

            snprintf(name, sizeof name, "%s.%.80s", what, yaml_text(key));
            cls = wrong(r, key, name, "unknown key");
        } else {
            log_warn("configuration line %zu: unknown key %s.%s is ignored",
                     key->start_mark.line + 1, what, yaml_text(key));
        }
    }
    return cls;
}

static enum pfs_class read_string(struct reader *r, const char *name, yaml_node_t *value,
                                  char **field)
{
    if (value->type != YAML_SCALAR_NODE) {
        return wrong(r, value, name, "must be a string");
    }
    const char *s = yaml_is_null(value) || !*yaml_text(value) ? NULL : yaml_text(value);

    return config_set(field, s) ? PFS_OK : pfs_nomem(r->err, name);
}

static enum pfs_class read_bool(struct reader *r, const char *name, yaml_node_t *value, bool *ret)
{
    const char *s = yaml_text(value);

    if (strcasecmp(s, "true") == 0) {
        *ret = true;
    } else if (strcasecmp(s, "false") == 0) {
        *ret = false;
    } else if (!yaml_is_null(value)) {
        return wrong(r, value, name, "must be true or false");
    }
    return PFS_OK;
}

static enum pfs_class read_number(struct reader *r, const char *name, yaml_node_t *value,
                                  long long *ret)
{
    const char *s = yaml_text(value);
    char *end;

    errno = 0;
    *ret = strtoll(s, &end, 10);
    return *s && !*end && !errno ? PFS_OK : wrong(r, value, name, "must be a number");
}

static enum pfs_class read_list(struct reader *r, const char *name, yaml_node_t *list,
                                struct config_list *field)
{
    if (list->type != YAML_SEQUENCE_NODE) {
        return yaml_is_null(list) ? PFS_OK : wrong(r, list, name, "must be a list");
    }
    for (yaml_node_item_t *i = list->data.sequence.items.start; i < list->data.sequence.items.top;
         i++) {
        if (!config_add(field, yaml_text(yaml_document_get_node(&r->doc, *i)))) {
            return pfs_nomem(r->err, name);
        }
    }
    return PFS_OK;
}

/*
 * Of those who may: without the key everybody may, so an empty list, which reads like nobody, is a
 * mistake one way or the other.
 */
static enum pfs_class read_allowed(struct reader *r, const char *name, yaml_node_t *list,
                                   struct config_list *field)
{
    enum pfs_class cls = read_list(r, name, list, field);

    return cls == PFS_OK && field->n == 0
               ? wrong(r, list, name, "is empty: name who may, or leave it out for everybody")
               : cls;
}

/* ---- server.tls ---- */

#define STRING_KEY(function, field)                                                                \
    static enum pfs_class function(struct reader *r, const char *name, yaml_node_t *value)         \
    {                                                                                              \
        return read_string(r, name, value, &r->config->field);                                     \
    }

STRING_KEY(read_tls_address, tls_address)
STRING_KEY(read_tls_cert, cert)
STRING_KEY(read_tls_key, key)
STRING_KEY(read_tls_client_ca, client_ca)
STRING_KEY(read_tls_crl, crl)

static enum pfs_class read_tls_client_cert(struct reader *r, const char *name, yaml_node_t *value)
{
    return config_set_client_cert(r->config, yaml_text(value))
               ? PFS_OK
               : wrong(r, value, name, "must be none, optional or required");
}

static enum pfs_class read_tls_clients(struct reader *r, const char *name, yaml_node_t *value)
{
    return read_allowed(r, name, value, &r->config->clients);
}

static enum pfs_class read_tls(struct reader *r, const char *name, yaml_node_t *value)
{
    static const struct key keys[] = {{"address", read_tls_address},
                                      {"cert", read_tls_cert},
                                      {"key", read_tls_key},
                                      {"client_ca", read_tls_client_ca},
                                      {"client_cert", read_tls_client_cert},
                                      {"crl", read_tls_crl},
                                      {"clients", read_tls_clients},
                                      {NULL, NULL}};

    return read_mapping(r, "tls", value, keys, UNKNOWN_ERROR);
}

/* ---- server ---- */

STRING_KEY(read_address, address)
STRING_KEY(read_log_level, log_level)

static enum pfs_class read_max_body(struct reader *r, const char *name, yaml_node_t *value)
{
    long long n = 0;
    enum pfs_class cls = read_number(r, name, value, &n);

    if (cls == PFS_OK && n > 0) { /* not positive: the default, as the stock server */
        r->config->max_body = r->config->max_upload = (size_t)n;
    }
    return cls;
}

static enum pfs_class read_loops(struct reader *r, const char *name, yaml_node_t *value)
{
    long long n = 0;
    enum pfs_class cls = read_number(r, name, value, &n);

    if (cls == PFS_OK && (n < 0 || n > 256)) {
        return wrong(r, value, name, "must be 0 to 256");
    }
    r->config->loops = (unsigned)n;
    return cls;
}

static enum pfs_class read_admin(struct reader *r, const char *name, yaml_node_t *value)
{
    return read_bool(r, name, value, &r->config->admin);
}

static enum pfs_class read_admins(struct reader *r, const char *name, yaml_node_t *value)
{
    return read_allowed(r, name, value, &r->config->admins);
}

static enum pfs_class read_sandbox(struct reader *r, const char *name, yaml_node_t *value)
{
    return read_bool(r, name, value, &r->config->sandbox);
}

static enum pfs_class read_limits(struct reader *r, const char *name, yaml_node_t *value)
{
    enum pfs_class cls = PFS_OK;

    if (!is_mapping(r, name, value, &cls)) {
        return cls;
    }
    for (yaml_node_pair_t *p = value->data.mapping.pairs.start;
         p < value->data.mapping.pairs.top && cls == PFS_OK; p++) {
        yaml_node_t *key = yaml_document_get_node(&r->doc, p->key);

        cls = limits_set(&r->config->limits, yaml_text(key),
                         yaml_text(yaml_document_get_node(&r->doc, p->value)), r->err);
        if (cls != PFS_OK) {
            pfs_err_prefix(r->err, "line %zu", key->start_mark.line + 1);
        }
    }
    return cls;
}

static enum pfs_class read_server(struct reader *r, const char *name, yaml_node_t *value)
{
    static const struct key keys[] = {{"address", read_address},
                                      {"log_level", read_log_level},
                                      {"max_request_body_bytes", read_max_body},
                                      {"loops", read_loops},
                                      {"admin", read_admin},
                                      {"admin_clients", read_admins},
                                      {"sandbox", read_sandbox},
                                      {"limits", read_limits},
                                      {"tls", read_tls},
                                      {NULL, NULL}};

    return read_mapping(r, name, value, keys, UNKNOWN_WARN);
}

/* ---- plugins ---- */

/* The value of a member, NULL: absent or null. */
static yaml_node_t *member(struct reader *r, yaml_node_t *node, const char *name)
{
    for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top;
         p++) {
        yaml_node_t *value = yaml_document_get_node(&r->doc, p->value);

        if (strcmp(yaml_text(yaml_document_get_node(&r->doc, p->key)), name) == 0) {
            return yaml_is_null(value) ? NULL : value;
        }
    }
    return NULL;
}

/* One instance {name, enabled, path, config}. */
static enum pfs_class read_instance(struct reader *r, const char *type, yaml_node_t *node)
{
    static const char *const names[] = {"name", "enabled", "path", "config", NULL};
    bool enabled = false;
    enum pfs_class cls = PFS_OK;
    struct jout j = {0};
    char *json = NULL, what[128];

    if (node->type != YAML_MAPPING_NODE) {
        return wrong(r, node, type, "must be a mapping with enabled, path and config");
    }
    snprintf(what, sizeof what, "plugins.%.80s", type);
    warn_of_others(r, what, node, names);
    yaml_node_t *on = member(r, node, "enabled"), *path = member(r, node, "path");
    yaml_node_t *config = member(r, node, "config"), *name = member(r, node, "name");

    if (on) {
        cls = read_bool(r, "enabled", on, &enabled);
    }
    if (cls != PFS_OK || !enabled) {
        return cls;
    }
    if (!path || !*yaml_text(path)) {
        return wrong(r, node, type, "path is required");
    }
    if (config && config->type != YAML_MAPPING_NODE) {
        return wrong(r, config, type, "config must be a mapping");
    }
    if (config) {
        cls = yaml_to_json(&r->doc, config, 0, &r->left, &j, r->err);
        if (cls == PFS_OK && !(json = jo_take_bare(&j, NULL))) {
            cls = pfs_nomem(r->err, "a configuration");
        }
    }
    if (cls == PFS_OK) {
        cls = config_add_mount(r->config, type, yaml_text(path), name ? yaml_text(name) : type,
                               json, r->err);
    }
    jo_fini(&j);
    pfs_free(json);
    return cls;
}

static enum pfs_class read_plugins(struct reader *r, const char *name, yaml_node_t *value)
{
    enum pfs_class cls = PFS_OK;

    if (!is_mapping(r, name, value, &cls)) {
        return cls;
    }
    for (yaml_node_pair_t *p = value->data.mapping.pairs.start;
         p < value->data.mapping.pairs.top && cls == PFS_OK; p++) {
        const char *type = yaml_text(yaml_document_get_node(&r->doc, p->key));
        yaml_node_t *node = yaml_document_get_node(&r->doc, p->value);

        if (node->type == YAML_SEQUENCE_NODE) {
            for (yaml_node_item_t *i = node->data.sequence.items.start;
                 i < node->data.sequence.items.top && cls == PFS_OK; i++) {
                cls = read_instance(r, type, yaml_document_get_node(&r->doc, *i));
            }
        } else if (!yaml_is_null(node)) {
            cls = read_instance(r, type, node);
        }
    }
    return cls;
}

/* ---- external_plugins ---- */

static enum pfs_class read_external(struct reader *r, const char *name, yaml_node_t *value)
{
    static const char *const names[] = {"enabled", "auto_load", "plugin_dir", "plugin_paths", NULL};
    bool enabled = false, auto_load = false;
    enum pfs_class cls = PFS_OK;

    if (!is_mapping(r, name, value, &cls)) {
        return cls;
    }
    warn_of_others(r, name, value, names);
    yaml_node_t *on = member(r, value, "enabled"), *load = member(r, value, "auto_load");
    yaml_node_t *dir = member(r, value, "plugin_dir"), *paths = member(r, value, "plugin_paths");

    if (on) {
        cls = read_bool(r, "enabled", on, &enabled);
    }
    if (cls != PFS_OK || !enabled) {
        return cls;
    }
    if (load) {
        cls = read_bool(r, "auto_load", load, &auto_load);
    }
    if (cls == PFS_OK && dir) {
        cls = read_string(r, "plugin_dir", dir, &r->config->plugin_dir);
    }
    r->config->auto_load = auto_load && dir;
    return cls == PFS_OK && paths ? read_list(r, "plugin_paths", paths, &r->config->plugin_paths)
                                  : cls;
}

/* ---- the file ---- */

static enum pfs_class read_document(struct reader *r)
{
    static const struct key keys[] = {{"server", read_server},
                                      {"plugins", read_plugins},
                                      {"external_plugins", read_external},
                                      {NULL, NULL}};
    yaml_node_t *root = yaml_document_get_root_node(&r->doc);
    enum pfs_class cls = PFS_OK;

    for (yaml_node_t *n = r->doc.nodes.start; n < r->doc.nodes.top && cls == PFS_OK; n++) {
        if (n->type == YAML_MAPPING_NODE) {
            cls = refuse_twins(r, n);
        }
    }
    return cls == PFS_OK && root ? read_mapping(r, "configuration", root, keys, UNKNOWN_WARN) : cls;
}

enum pfs_class config_read(struct config *c, const char *file, struct pfs_error *err)
{
    struct reader r = {.config = c, .err = err, .left = CONFIG_NODES_MAX};
    enum pfs_class cls;
    yaml_parser_t parser;
    FILE *f = fopen(file, "re");

    if (!f) {
        return pfs_refuse(err, PFS_CONFIG, "%s: %s", file, strerrordesc_np(errno));
    }
    if (!yaml_parser_initialize(&parser)) {
        fclose(f);
        return pfs_nomem(err, "the configuration");
    }
    yaml_parser_set_input_file(&parser, f);
    if (!yaml_parser_load(&parser, &r.doc)) {
        cls = pfs_refuse(err, PFS_CONFIG, "line %zu: %s", parser.problem_mark.line + 1,
                         parser.problem ? parser.problem : "not YAML");
    } else {
        cls = read_document(&r);
        yaml_document_delete(&r.doc);
    }
    yaml_parser_delete(&parser);
    fclose(f);
    if (cls != PFS_OK) {
        pfs_err_prefix(err, "%s", file);
    }
    return cls;
}
