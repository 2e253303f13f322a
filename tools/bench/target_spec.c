/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "target_spec.h"
#include "util.h"
#include <stdlib.h>
#include <string.h>

static void replace(char **to, const char *value)
{
    free(*to);
    *to = value ? xstrdup(value) : NULL;
}

static int set_path(char **to, const char *key, const char *value)
{
    if (value[0] != '/')
        return complain(EXIT_USAGE, "%s=%s: a path begins with '/'", key, value);
    replace(to, value);
    return 0;
}

int spec_set(struct target_spec *s, const char *key, const char *value)
{
    if (strcmp(key, "name") == 0) {
        replace(&s->name, value);
        return 0;
    }
    if (strcmp(key, "path") == 0)
        return set_path(&s->path, key, value);
    if (strcmp(key, "queue") == 0)
        return set_path(&s->queue, key, value);
    if (strcmp(key, "file") == 0)
        return set_path(&s->file, key, value);
    if (strcmp(key, "base_url") == 0)
        return complain(EXIT_USAGE, "base_url=%s: the URL is the target itself", value);
    for (size_t i = 0; i < s->n_options; i++) {
        if (strcmp(s->options[i].key, key) == 0) {
            free((char *)(uintptr_t)s->options[i].value);
            s->options[i].value = xstrdup(value);
            return 0;
        }
    }
    s->options = xrealloc(s->options, (s->n_options + 1) * sizeof *s->options);
    s->options[s->n_options++] = (struct pfs_option){xstrdup(key), xstrdup(value)};
    return 0;
}

int spec_set_pair(struct target_spec *s, const char *pair)
{
    const char *equals = strchr(pair, '=');

    if (equals == NULL || equals == pair)
        return complain(EXIT_USAGE, "%s: KEY=VALUE expected", pair);
    char *key = xasprintf("%.*s", (int)(equals - pair), pair);
    int code = spec_set(s, key, equals + 1);
    free(key);
    return code;
}

static bool is_tls_option(const char *key)
{
    static const char *const keys[] = {"ca_file", "client_cert", "client_key",          "crl_file",
                                       "min_tls", "server_name", "insecure_skip_verify"};

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (strcmp(key, keys[i]) == 0)
            return true;
    }
    return false;
}

bool spec_is_tls(const char *text)
{
    return strncmp(text, "https:", 6) == 0;
}

int spec_parse(const char *text, const struct target_spec *common, bool mixed,
               struct target_spec *ret)
{
    char *copy = xstrdup(text), *rest;
    int code = 0;

    *ret = (struct target_spec){.name = NULL};
    replace(&ret->path, common->path);
    replace(&ret->queue, common->queue ? common->queue : "/queuefs");
    replace(&ret->file, common->file);
    replace(&ret->name, common->name);
    for (size_t i = 0; i < common->n_options; i++) {
        const struct pfs_option *o = &common->options[i];

        if (!mixed || spec_is_tls(text) || !is_tls_option(o->key))
            spec_set(ret, o->key, o->value);
    }
    char *url = strtok_r(copy, ",", &rest);
    if (url == NULL || url[0] == '/' || strchr(url, '=') == url)
        code = complain(EXIT_USAGE, "target '%s': URL[,KEY=VALUE]... expected", text);
    for (char *pair; code == 0 && (pair = strtok_r(NULL, ",", &rest));)
        code = spec_set_pair(ret, pair);
    if (code == 0)
        ret->url = xasprintf("%s%s", strstr(url, "://") ? "" : "http://", url);
    free(copy);
    return code;
}

char *spec_numbered(const char *text, unsigned number)
{
    const char *at = strstr(text, "%n");

    if (at == NULL)
        return xstrdup(text);
    char *rest = spec_numbered(at + 2, number);
    char *whole = xasprintf("%.*s%u%s", (int)(at - text), text, number, rest);
    free(rest);
    return whole;
}

char *spec_masked(const char *text)
{
    const char *scheme = strstr(text, "://"), *value = strchr(text, '=');
    const char *begin = scheme                                 ? scheme + 3
                        : strncmp(text, "--", 2) == 0 && value ? value + 1
                                                               : text;
    const char *at = memrchr(begin, '@', strcspn(begin, "/,"));

    /* Without a scheme it may be the name of a file, in which '@' means nothing. */
    if (at == NULL || (scheme == NULL && memchr(begin, ':', (size_t)(at - begin)) == NULL))
        return xstrdup(text);
    return xasprintf("%.*s***%s", (int)(begin - text), text, at);
}

void spec_fini(struct target_spec *s)
{
    for (size_t i = 0; i < s->n_options; i++) {
        free((char *)(uintptr_t)s->options[i].key);
        free((char *)(uintptr_t)s->options[i].value);
    }
    free(s->options);
    free(s->name);
    free(s->url);
    free(s->path);
    free(s->queue);
    free(s->file);
    *s = (struct target_spec){.name = NULL};
}
