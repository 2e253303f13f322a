/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "config.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "wire/json.h"
#include <stdlib.h>
#include <string.h>

/* Defaults and bounds are the driver's own for these options. */
#define WORKERS_DEFAULT 64
#define WORKERS_MAX 1024
#define QUEUE_DEPTH_DEFAULT 1024
#define QUEUE_DEPTH_MAX 1000000
#define TIMEOUT_DEFAULT (30 * PFS_SEC)
#define TIMEOUT_MAX (3600 * PFS_SEC)

const char *config_get(const struct config *c, const char *key)
{
    for (size_t i = 0; i < c->n; i++) {
        if (strcmp(c->options[i].key, key) == 0) {
            return c->options[i].value;
        }
    }
    return NULL;
}

void config_fini(struct config *c)
{
    for (size_t i = 0; i < c->n; i++) {
        pfs_free((char *)c->options[i].key);
        pfs_free((char *)c->options[i].value);
    }
    pfs_free(c->options);
    *c = (struct config){0};
}

bool config_is_same(const struct config *a, const struct config *b)
{
    if (a->n != b->n) {
        return false;
    }
    for (size_t i = 0; i < a->n; i++) {
        const char *other = config_get(b, a->options[i].key);

        if (!other || strcmp(a->options[i].value, other) != 0) {
            return false;
        }
    }
    return true;
}

/* Adds one member of the JSON object. */
static enum pfs_class add_option(struct config *c, const struct json_member *m,
                                 struct pfs_error *err)
{
    enum json_kind kind = json_kind(m->value);
    struct pfs_buf text = {0};

    if (kind != JSON_STRING && kind != JSON_INT && kind != JSON_REAL && kind != JSON_BOOL) {
        return pfs_refuse(err, PFS_CONFIG,
                          "invalid value of option %s: want a string, a number or a boolean",
                          m->key);
    }
    if (kind == JSON_STRING && !json_str(m->value)) {
        return pfs_refuse(err, PFS_CONFIG, "invalid value of option %s: it holds a NUL byte",
                          m->key);
    }
    char *key = pfs_strdup(m->key);
    char *value = json_option_text(m->value, &text) ? pfs_buf_take(&text, NULL) : NULL;
    pfs_buf_fini(&text);
    if (!key || !value) {
        pfs_free(key);
        pfs_free(value);
        return pfs_nomem(err, "the options");
    }
    c->options[c->n++] = (struct pfs_option){.key = key, .value = value};
    return PFS_OK;
}

static enum pfs_class add_options(struct config *c, struct json_value root, struct pfs_error *err)
{
    struct json_member m = {0};
    enum pfs_class cls = PFS_OK;

    if (json_kind(root) != JSON_OBJECT) {
        return pfs_refuse(err, PFS_CONFIG, "invalid configuration: not a JSON object");
    }
    if (json_length(root) > CONFIG_OPTIONS_MAX) {
        return pfs_refuse(err, PFS_CONFIG, "invalid configuration: more than %d options",
                          CONFIG_OPTIONS_MAX);
    }
    c->options = pfs_calloc(CONFIG_OPTIONS_MAX, sizeof *c->options);
    if (!c->options) {
        return pfs_nomem(err, "the options");
    }
    while (cls == PFS_OK && json_next(root, &m)) {
        if (strcmp(m.key, "mount_path") != 0) {
            cls = add_option(c, &m, err);
        }
    }
    return cls;
}

static enum pfs_class get_count(const struct config *c, const char *key, unsigned min, unsigned max,
                                unsigned *ret, struct pfs_error *err)
{
    const char *text = config_get(c, key);
    char *end;

    if (!text) {
        return PFS_OK;
    }
    unsigned long n = strtoul(text, &end, 10);

    if (text[0] < '0' || text[0] > '9' || *end || n < min || n > max) {
        return pfs_refuse(err, PFS_CONFIG,
                          "invalid value of option %s: \"%.40s\": want a whole number from %u to "
                          "%u",
                          key, text, min, max);
    }
    *ret = (unsigned)n;
    return PFS_OK;
}

/* "250ms", "5s", "2m", "1h"; a number alone counts seconds. */
static enum pfs_class get_duration(const struct config *c, const char *key, int64_t *ret,
                                   struct pfs_error *err)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = {{"", PFS_SEC},  {"us", 1000},        {"ms", PFS_MS},
                 {"s", PFS_SEC}, {"m", 60 * PFS_SEC}, {"h", 3600 * PFS_SEC}};
    const char *text = config_get(c, key);
    char *end;

    if (!text) {
        return PFS_OK;
    }
    unsigned long long n = strtoull(text, &end, 10);

    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (text[0] >= '0' && text[0] <= '9' && strcmp(end, units[i].name) == 0 && n > 0 &&
            n <= (unsigned long long)(TIMEOUT_MAX / units[i].ns)) {
            *ret = (int64_t)n * units[i].ns;
            return PFS_OK;
        }
    }
    return pfs_refuse(
        err, PFS_CONFIG,
        "invalid value of option %s: \"%.40s\": want a duration such as 250ms or 30s, "
        "at most 1h",
        key, text);
}

static enum pfs_class derive(struct config *c, struct pfs_error *err)
{
    enum pfs_class cls;

    c->workers = WORKERS_DEFAULT;
    c->queue_depth = QUEUE_DEPTH_DEFAULT;
    c->timeout_ns = TIMEOUT_DEFAULT;
    const char *url = config_get(c, "base_url");
    if (!url || !url[0]) {
        return pfs_refuse(err, PFS_CONFIG, "base_url is required in configuration");
    }
    cls = get_count(c, "workers", 1, WORKERS_MAX, &c->workers, err);
    if (cls == PFS_OK) {
        cls = get_count(c, "queue_depth", 0, QUEUE_DEPTH_MAX, &c->queue_depth, err);
    }
    return cls == PFS_OK ? get_duration(c, "timeout", &c->timeout_ns, err) : cls;
}

enum pfs_class config_parse(const char *json, struct config *ret, struct pfs_error *err)
{
    struct config c = {0};
    struct json_value root = {0};
    struct pfs_error why;
    enum pfs_class cls;

    if (!json || !json[0]) {
        json = "{}";
    }
    size_t len = strnlen(json, CONFIG_TEXT_MAX + 1);
    if (len > CONFIG_TEXT_MAX) {
        return pfs_refuse(err, PFS_CONFIG, "invalid configuration: longer than 1 MiB");
    }
    cls = json_parse(json, len, JSON_REPLY, &root, &why);
    if (cls == PFS_NOMEM) {
        return pfs_nomem(err, "the configuration");
    }
    if (cls != PFS_OK) {
        return pfs_refuse(err, PFS_CONFIG, "invalid configuration: %s", why.text);
    }
    cls = add_options(&c, root, err);
    if (cls == PFS_OK) {
        cls = derive(&c, err);
    }
    json_fini(&root);
    if (cls == PFS_OK) {
        *ret = c;
    } else {
        config_fini(&c);
    }
    return cls;
}
