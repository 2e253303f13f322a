/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "args.h"
#include "base/alloc.h"
#include "jsonout.h"
#include "query.h"
#include <proxyfs/proxyfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Anybody who reaches the port may do anything, so not every address of the host as a default. */
#define ADDRESS_DEFAULT "127.0.0.1:8080"

static const char help[] =
    "agfsd: an AGFS server: files over HTTP/1.1 and HTTP/2, clear or TLS\n"
    "\n"
    "usage: agfsd [-c FILE] [-addr HOST:PORT] [--mount TYPE:PATH[:KEY=VALUE,...]]...\n"
    "\n"
    "  -c FILE              configuration (YAML as for the stock server)\n"
    "  -addr HOST:PORT      listen here in clear text (default " ADDRESS_DEFAULT
    "); :PORT for every\n"
    "                       address, port 0 for a free one, empty for none\n"
    "  --tls-addr HOST:PORT listen here with TLS\n"
    "  --tls-cert FILE      certificate chain (PEM)\n"
    "  --tls-key FILE       its private key (PEM)\n"
    "  --client-ca FILE     CA that client certificates are checked with (PEM)\n"
    "  --client-cert MODE   none, optional or required (default: required with --client-ca)\n"
    "  --crl FILE           revoked client certificates (PEM)\n"
    "  --mount TYPE:PATH[:KEY=VALUE,...]\n"
    "                       mount a file system, e.g. memfs:/memfs, localfs:/l:local_dir=/srv,\n"
    "                       proxyfs:/remote:base_url=https://host:8443\n"
    "  --plugin FILE        load a shared library with the stock plugin ABI\n"
    "  --loops N            event loop threads (default: one per core)\n"
    "  --no-admin           refuse mount, unmount and plugin requests\n"
    "  --log-level LEVEL    error, warn, info or debug (default info)\n"
    "  --addr-file FILE     write the addresses listened at to FILE, one URL a line\n"
    "  --ready-fd N         the same to an open descriptor, which is then closed\n"
    "  --check-config       check the configuration and exit\n"
    "  --print-config       print it as used and exit\n"
    "  --version, --help\n"
    "\n"
    "SIGHUP reads certificate files again; SIGTERM ends after what is in flight.\n";

static int usage(const char *flag, const char *what)
{
    fprintf(stderr, "agfsd: %s: %s; see agfsd --help\n", flag, what);
    return 2;
}

static int failed(const struct pfs_error *err)
{
    fprintf(stderr, "agfsd: %s\n", err->text);
    return err->cls == PFS_CONFIG || err->cls == PFS_INVALID ? 2 : 1;
}

bool args_split_address(const char *address, char host[256], unsigned *ret_port)
{
    const char *colon = strrchr(address, ':');
    size_t n = colon ? (size_t)(colon - address) : 0;
    int64_t port;

    if (!colon || !query_parse_int(colon + 1, strlen(colon + 1), 10, &port) || port < 0 ||
        port > 65535) {
        return false;
    }
    if (n >= 2 && address[0] == '[' && address[n - 1] == ']') {
        address++;
        n -= 2;
    } else if (memchr(address, ':', n)) {
        return false;
    }
    if (n > 255) {
        return false;
    }
    memcpy(host, address, n);
    host[n] = '\0';
    *ret_port = (unsigned)port;
    return true;
}

/* TYPE:PATH[:KEY=VALUE,...] */
static int add_mount(struct args *a, const char *value)
{
    char *text = pfs_strdup(value);
    char *path = text ? strchr(text, ':') : NULL;
    char *options = path ? strchr(path + 1, ':') : NULL;
    struct jout j = {0};
    struct pfs_error err;

    if (!path || path[1] != '/') {
        pfs_free(text);
        return usage("--mount", "must be TYPE:PATH or TYPE:PATH:KEY=VALUE,...");
    }
    *path++ = '\0';
    jo_begin(&j, '{');
    while (options) {
        char *key = options + 1, *eq;

        *options = '\0';
        options = strchr(key, ',');
        if (options) {
            *options = '\0';
        }
        eq = strchr(key, '=');
        if (!eq) {
            jo_fini(&j);
            pfs_free(text);
            return usage("--mount", "an option must be KEY=VALUE");
        }
        *eq = '\0';
        jo_name(&j, key);
        jo_str(&j, eq + 1);
    }
    jo_end(&j, '}');
    char *json = jo_take_bare(&j, NULL);
    enum pfs_class cls = PFS_NOMEM;

    snprintf(err.text, sizeof err.text, "out of memory");
    if (json) {
        cls = config_add_mount(&a->config, text, path, path, json, &err);
    }
    pfs_free(json);
    pfs_free(text);
    return cls == PFS_OK ? -1 : usage("--mount", err.text);
}

enum flag {
    F_CONFIG,
    F_ADDR,
    F_TLS_ADDR,
    F_CERT,
    F_KEY,
    F_CLIENT_CA,
    F_CLIENT_CERT,
    F_CRL,
    F_MOUNT,
    F_PLUGIN,
    F_LOOPS,
    F_LOG_LEVEL,
    F_ADDR_FILE,
    F_READY_FD,
    F_NO_ADMIN,
    F_CHECK,
    F_PRINT,
    F_VERSION,
    F_HELP
};

static const struct flag_row {
    const char *name;
    enum flag flag;
    bool has_value;
} flags[] = {{"c", F_CONFIG, true},
             {"addr", F_ADDR, true},
             {"tls-addr", F_TLS_ADDR, true},
             {"tls-cert", F_CERT, true},
             {"tls-key", F_KEY, true},
             {"client-ca", F_CLIENT_CA, true},
             {"client-cert", F_CLIENT_CERT, true},
             {"crl", F_CRL, true},
             {"mount", F_MOUNT, true},
             {"plugin", F_PLUGIN, true},
             {"loops", F_LOOPS, true},
             {"log-level", F_LOG_LEVEL, true},
             {"addr-file", F_ADDR_FILE, true},
             {"ready-fd", F_READY_FD, true},
             {"no-admin", F_NO_ADMIN, false},
             {"check-config", F_CHECK, false},
             {"print-config", F_PRINT, false},
             {"version", F_VERSION, false},
             {"help", F_HELP, false},
             {"h", F_HELP, false}};

static int set_string(char **field, const char *value)
{
    return config_set(field, *value ? value : NULL) ? -1 : usage(value, "out of memory");
}

static int set_number(const char *flag, const char *value, int64_t max, int64_t *ret)
{
    if (!query_parse_int(value, strlen(value), 10, ret) || *ret < 0 || *ret > max) {
        return usage(flag, "must be a number in range");
    }
    return -1;
}

static int apply(struct args *a, const struct flag_row *row, const char *value)
{
    struct config *c = &a->config;
    int64_t n = 0;
    int rc = -1;

    switch (row->flag) {
    case F_CONFIG: /* read before all others */
        break;
    case F_ADDR:
        return set_string(&c->address, value);
    case F_TLS_ADDR:
        return set_string(&c->tls_address, value);
    case F_CERT:
        return set_string(&c->cert, value);
    case F_KEY:
        return set_string(&c->key, value);
    case F_CLIENT_CA:
        return set_string(&c->client_ca, value);
    case F_CLIENT_CERT:
        return config_set_client_cert(c, value)
                   ? -1
                   : usage("--client-cert", "must be none, optional or required");
    case F_CRL:
        return set_string(&c->crl, value);
    case F_MOUNT:
        return add_mount(a, value);
    case F_PLUGIN:
        return config_add(&c->plugin_paths, value) ? -1 : usage("--plugin", "out of memory");
    case F_LOOPS:
        rc = set_number("--loops", value, 256, &n);
        c->loops = (unsigned)n;
        return rc;
    case F_LOG_LEVEL:
        return set_string(&c->log_level, value);
    case F_ADDR_FILE:
        a->addr_file = value;
        break;
    case F_READY_FD:
        rc = set_number("--ready-fd", value, 65535, &n);
        a->ready_fd = (int)n;
        return rc;
    case F_NO_ADMIN:
        c->admin = false;
        break;
    case F_CHECK:
        a->check_config = true;
        break;
    case F_PRINT:
        a->print_config = true;
        break;
    case F_VERSION:
        printf("agfsd %s\n", PFS_VERSION);
        return 0;
    case F_HELP:
        fputs(help, stdout);
        return 0;
    }
    return -1;
}

/* Finds the flag of argv[*i] and its value; steps *i over them. Returns -1 or an exit code. */
static int next_flag(int argc, char **argv, int *i, const struct flag_row **ret,
                     const char **ret_value)
{
    const char *arg = argv[*i];
    const char *name = arg + strspn(arg, "-");
    size_t n = strcspn(name, "=");

    *ret = NULL;
    for (size_t k = 0; k < sizeof flags / sizeof *flags && arg[0] == '-'; k++) {
        if (strlen(flags[k].name) == n && strncmp(flags[k].name, name, n) == 0) {
            *ret = &flags[k];
        }
    }
    if (!*ret || name - arg > 2) {
        return usage(arg, "no such flag");
    }
    *ret_value = name[n] ? name + n + 1 : NULL;
    if ((*ret)->has_value && !*ret_value) {
        if (++*i >= argc) {
            return usage(arg, "needs a value");
        }
        *ret_value = argv[*i];
    }
    ++*i;
    return -1;
}

/* What the flags did not say. */
static int complete(struct args *a, bool addr_given)
{
    struct config *c = &a->config;
    struct pfs_error err;
    char host[256];
    unsigned port;

    if (!c->address && !addr_given && !c->tls_address &&
        !config_set(&c->address, ADDRESS_DEFAULT)) {
        return usage("-addr", "out of memory");
    }
    if (config_check(c, &err) != PFS_OK) {
        return failed(&err);
    }
    if (c->address && !args_split_address(c->address, host, &port)) {
        return usage(c->address, "no address; HOST:PORT is needed");
    }
    if (c->tls_address && !args_split_address(c->tls_address, host, &port)) {
        return usage(c->tls_address, "no address; HOST:PORT is needed");
    }
    return -1;
}

int args_read(struct args *a, int argc, char **argv)
{
    const struct flag_row *row;
    const char *value;
    struct pfs_error err;
    bool addr_given = false;
    int rc = -1;

    *a = (struct args){.ready_fd = -1};
    config_init(&a->config);
    for (int i = 1; i < argc && rc < 0;) { /* the file first: flags override it */
        rc = next_flag(argc, argv, &i, &row, &value);
        if (rc < 0 && row->flag == F_CONFIG && config_read(&a->config, value, &err) != PFS_OK) {
            rc = failed(&err);
        }
    }
    for (int i = 1; i < argc && rc < 0;) {
        rc = next_flag(argc, argv, &i, &row, &value);
        if (rc < 0) {
            addr_given |= row->flag == F_ADDR;
            rc = apply(a, row, value);
        }
    }
    return rc < 0 ? complete(a, addr_given) : rc;
}
