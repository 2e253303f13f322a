/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_CONFIG_H
#define AGFSD_CONFIG_H

/*
 * The configuration of the server: the stock server's YAML (agfs-http-api.md 7.7) with additions
 * under `server`, overridden by the command line. Plain values; one thread.
 */
#include "limits.h"
#include "net/tls.h"
#include "vfs.h"

#define CONFIG_DEPTH_MAX 32     /* of nested YAML */
#define CONFIG_NODES_MAX 100000 /* aliases multiply: a small file can be a huge tree */

/* Texts; the array ends with a NULL, and is NULL itself while empty. */
struct config_list {
    char **items;
    size_t n;
};

struct config {
    char *address; /* "host:port", ":8080"; NULL: none */
    char *log_level;
    size_t max_body;
    size_t max_upload; /* the same, once it is given; else 0 */
    bool admin;
    bool sandbox;              /* see process.h */
    struct config_list admins; /* identities that may mount and load; none: everybody may */
    unsigned loops;            /* 0: one per core */
    struct server_limits limits;

    char *tls_address, *cert, *key, *client_ca, *crl; /* NULL: none */
    enum tls_client_cert client_cert;
    struct config_list clients; /* identities that may connect; none: all of client_ca */
    bool client_cert_set;       /* else: required when client_ca is given */

    struct mount_spec *mounts; /* n_mounts; strings owned */
    size_t n_mounts;

    bool auto_load; /* every library in plugin_dir */
    char *plugin_dir;
    struct config_list plugin_paths;
};

/* Defaults. Strings put into it later must be malloc'ed. */
void config_init(struct config *c);
void config_fini(struct config *c);
/* Reads the file into c. Errors: CONFIG with file, line and key; NOMEM. */
enum pfs_class config_read(struct config *c, const char *file, struct pfs_error *err);
/* Adds a mount; strings are copied. Errors: CONFIG (path), NOMEM. */
enum pfs_class config_add_mount(struct config *c, const char *type, const char *path,
                                const char *instance, const char *json, struct pfs_error *err);
/* Replaces a string of the configuration by a copy; NULL value: none. False: out of memory. */
bool config_set(char **field, const char *value);
/* Appends a copy. False: out of memory. */
bool config_add(struct config_list *l, const char *value);
/* none, optional, required. False: none of them. */
bool config_set_client_cert(struct config *c, const char *value);
/* Checks what belongs together. Errors: CONFIG. */
enum pfs_class config_check(const struct config *c, struct pfs_error *err);
/* The whole configuration as YAML-compatible JSON text for --print-config, secrets masked
 * (malloc'ed). */
char *config_to_text(const struct config *c);

#endif
