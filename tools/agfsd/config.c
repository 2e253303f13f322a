/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* The values of the configuration, apart from the file they may come from. */
#include "config.h"
#include "api.h"
#include "base/alloc.h"
#include "base/err.h"
#include "base/path.h"
#include "jsonout.h"
#include <stdio.h>
#include <string.h>

void config_init(struct config *c)
{
    *c = (struct config){
        .max_body = BODY_MAX_DEFAULT, .admin = true, .sandbox = true, .limits = SERVER_LIMITS_INIT};
}

static void list_fini(struct config_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        pfs_free(l->items[i]);
    }
    pfs_free(l->items);
}

bool config_add(struct config_list *l, const char *value)
{
    char **grown = pfs_realloc(l->items, (l->n + 2) * sizeof *grown);

    if (!grown) {
        return false;
    }
    l->items = grown;
    grown[l->n] = pfs_strdup(value);
    if (!grown[l->n]) {
        return false;
    }
    grown[++l->n] = NULL;
    return true;
}

void config_fini(struct config *c)
{
    for (size_t i = 0; i < c->n_mounts; i++) {
        pfs_free((char *)(uintptr_t)c->mounts[i].path);
        pfs_free((char *)(uintptr_t)c->mounts[i].type);
        pfs_free((char *)(uintptr_t)c->mounts[i].instance);
        pfs_free((char *)(uintptr_t)c->mounts[i].config);
    }
    list_fini(&c->plugin_paths);
    list_fini(&c->clients);
    list_fini(&c->admins);
    pfs_free(c->mounts);
    pfs_free(c->plugin_dir);
    pfs_free(c->address);
    pfs_free(c->log_level);
    pfs_free(c->tls_address);
    pfs_free(c->cert);
    pfs_free(c->key);
    pfs_free(c->client_ca);
    pfs_free(c->crl);
    *c = (struct config){0};
}

bool config_set(char **field, const char *value)
{
    char *copy = value ? pfs_strdup(value) : NULL;

    if (value && !copy) {
        return false;
    }
    pfs_free(*field);
    *field = copy;
    return true;
}

bool config_set_client_cert(struct config *c, const char *value)
{
    static const char *const names[] = {"none", "optional", "required"};

    for (size_t i = 0; i < 3; i++) {
        if (strcmp(names[i], value) == 0) {
            c->client_cert = (enum tls_client_cert)i;
            c->client_cert_set = true;
            return true;
        }
    }
    return false;
}

enum pfs_class config_add_mount(struct config *c, const char *type, const char *path,
                                const char *instance, const char *json, struct pfs_error *err)
{
    char normal[PFS_PATH_MAX + 1];
    enum pfs_class cls = pfs_path_normalize(path, strlen(path), normal, err);

    if (cls != PFS_OK) {
        return cls;
    }
    for (size_t i = 0; i < c->n_mounts; i++) {
        if (strcmp(c->mounts[i].path, normal) == 0) {
            return pfs_refuse(err, PFS_CONFIG, "two mounts at %s: %s and %s", normal,
                              c->mounts[i].instance, instance);
        }
    }
    struct mount_spec *grown = pfs_realloc(c->mounts, (c->n_mounts + 1) * sizeof *grown);

    if (!grown) {
        return pfs_nomem(err, "a mount");
    }
    c->mounts = grown;
    struct mount_spec *m = &grown[c->n_mounts++];

    *m = (struct mount_spec){.path = pfs_strdup(normal),
                             .type = pfs_strdup(type),
                             .instance = pfs_strdup(instance),
                             .config = json ? pfs_strdup(json) : NULL};
    return m->path && m->type && m->instance && (!json || m->config) ? PFS_OK
                                                                     : pfs_nomem(err, "a mount");
}

/* Of who may: a name without the kind that identities begin with would lock everybody out. */
static enum pfs_class check_names(const struct config_list *l, const char *key,
                                  struct pfs_error *err)
{
    static const char *const kinds[] = {"uri:", "dns:", "email:", "cn:"};

    for (size_t i = 0; i < l->n; i++) {
        const char *name = l->items[i];
        bool known = false;

        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
            size_t n = strlen(kinds[k]);

            known |= strncmp(name, kinds[k], n) == 0 && name[n] != '\0';
        }
        if (!known) {
            return pfs_refuse(err, PFS_CONFIG,
                              "%s: '%s' names nobody: it begins with uri:, dns:, email: or cn:, "
                              "and the name of a certificate follows",
                              key, name);
        }
    }
    return PFS_OK;
}

enum pfs_class config_check(const struct config *c, struct pfs_error *err)
{
    bool asks = c->client_cert_set && c->client_cert != TLS_CLIENT_CERT_NONE;

    if (c->tls_address && (!c->cert || !c->key)) {
        return pfs_refuse(err, PFS_CONFIG,
                          "TLS at %s needs a certificate and a key (tls.cert and tls.key, or "
                          "--tls-cert and --tls-key)",
                          c->tls_address);
    }
    if (!c->tls_address && (c->cert || c->key || c->client_ca || c->crl || asks)) {
        return pfs_refuse(err, PFS_CONFIG,
                          "TLS settings without an address for TLS (tls.address or --tls-addr)");
    }
    if (asks && !c->client_ca) {
        return pfs_refuse(err, PFS_CONFIG,
                          "client certificates are asked for, but no CA to check them with "
                          "(tls.client_ca or --client-ca)");
    }
    if ((c->clients.n || c->admins.n) && !c->client_ca) {
        return pfs_refuse(err, PFS_CONFIG,
                          "clients are named, but no CA to check their certificates with "
                          "(tls.client_ca or --client-ca)");
    }
    if (!c->address && !c->tls_address) {
        return pfs_refuse(err, PFS_CONFIG, "no address to listen at");
    }
    enum pfs_class cls = check_names(&c->clients, "tls.clients", err);

    return cls == PFS_OK ? check_names(&c->admins, "server.admin_clients", err) : cls;
}

static void put_optional(struct jout *j, const char *key, const char *value)
{
    if (value) {
        jo_member(j, key, value);
    }
}

static void put_list(struct jout *j, const char *key, const struct config_list *l)
{
    jo_key(j, key);
    jo_begin(j, '[');
    for (size_t i = 0; i < l->n; i++) {
        jo_str(j, l->items[i]);
    }
    jo_end(j, ']');
}

/* A list of who may, left out when everybody may. */
static void put_allowed(struct jout *j, const char *key, const struct config_list *l)
{
    if (l->n > 0) {
        put_list(j, key, l);
    }
}

static void put_tls(struct jout *j, const struct config *c)
{
    static const char *const names[] = {"none", "optional", "required"};

    jo_key(j, "tls");
    jo_begin(j, '{');
    jo_member(j, "address", c->tls_address);
    put_optional(j, "cert", c->cert);
    put_optional(j, "key", c->key);
    put_optional(j, "client_ca", c->client_ca);
    put_optional(j, "crl", c->crl);
    put_allowed(j, "clients", &c->clients);
    if (c->client_cert_set) {
        jo_member(j, "client_cert", names[c->client_cert]);
    }
    jo_end(j, '}');
}

static void put_mounts(struct jout *j, const struct config *c)
{
    jo_key(j, "plugins");
    jo_begin(j, '{');
    for (size_t i = 0; i < c->n_mounts; i++) {
        const struct mount_spec *m = &c->mounts[i];
        bool seen = false;

        for (size_t k = 0; k < i; k++) {
            seen |= strcmp(c->mounts[k].type, m->type) == 0;
        }
        if (seen) {
            continue;
        }
        jo_name(j, m->type);
        jo_begin(j, '[');
        for (size_t k = i; k < c->n_mounts; k++) {
            if (strcmp(c->mounts[k].type, m->type) == 0) {
                jo_begin(j, '{');
                jo_member(j, "name", c->mounts[k].instance);
                jo_key(j, "enabled");
                jo_bool(j, true);
                jo_member(j, "path", c->mounts[k].path);
                if (c->mounts[k].config) {
                    jo_key(j, "config");
                    jo_raw_masked(j, c->mounts[k].config);
                }
                jo_end(j, '}');
            }
        }
        jo_end(j, ']');
    }
    jo_end(j, '}');
}

/* As it would be read again. */
static void put_limit(void *arg, const char *name, enum limit_kind kind, int64_t value)
{
    struct jout *j = arg;
    char text[32];

    snprintf(text, sizeof text, "%lld%s", (long long)value, kind == LIMIT_MS ? "ms" : "");
    jo_member(j, name, text);
}

char *config_to_text(const struct config *c)
{
    struct jout j = {0};
    size_t len;

    jo_begin(&j, '{');
    jo_key(&j, "server");
    jo_begin(&j, '{');
    put_optional(&j, "address", c->address);
    put_optional(&j, "log_level", c->log_level);
    if (c->max_upload > 0) {
        jo_key(&j, "max_request_body_bytes");
        jo_int(&j, (int64_t)c->max_body);
    }
    jo_key(&j, "loops");
    jo_int(&j, c->loops);
    jo_key(&j, "admin");
    jo_bool(&j, c->admin);
    put_allowed(&j, "admin_clients", &c->admins);
    jo_key(&j, "sandbox");
    jo_bool(&j, c->sandbox);
    jo_key(&j, "limits");
    jo_begin(&j, '{');
    limits_each(&c->limits, put_limit, &j);
    jo_end(&j, '}');
    if (c->tls_address) {
        put_tls(&j, c);
    }
    jo_end(&j, '}');
    put_mounts(&j, c);
    jo_key(&j, "external_plugins");
    jo_begin(&j, '{');
    jo_key(&j, "enabled");
    jo_bool(&j, c->auto_load || c->plugin_paths.n > 0);
    put_optional(&j, "plugin_dir", c->plugin_dir);
    jo_key(&j, "auto_load");
    jo_bool(&j, c->auto_load);
    put_list(&j, "plugin_paths", &c->plugin_paths);
    jo_end(&j, '}');
    jo_end(&j, '}');
    return jo_take(&j, &len);
}
