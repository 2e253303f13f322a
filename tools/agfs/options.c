/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "options.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define API_PATH "/api/v1"
#define DEFAULT_SERVER "http://localhost:8080"

const char options_help[] =
    "usage: agfs [OPTION...] COMMAND [ARGUMENT...]    run one command\n"
    "       agfs [OPTION...] -c 'COMMAND; ...'        run commands given as text\n"
    "       agfs [OPTION...] SCRIPT                   run the commands of a file\n"
    "       agfs [OPTION...]                          interactive, or commands from stdin\n"
    "\n"
    "  --server URL        the server (AGFS_API_URL, AGFS_SERVER_URL; " DEFAULT_SERVER ")\n"
    "  --cacert FILE       authority that signed the server's certificate\n"
    "  --cert FILE         own certificate      --key FILE  its private key\n"
    "  --insecure          do not check the server's certificate\n"
    "  --timeout TIME      for each call: 250ms, 5s, 2m (AGFS_TIMEOUT; 30s)\n"
    "  -o KEY=VALUE        any other option of the connection, as for `mount proxyfs`\n"
    "  --json              ls, stat, mounts, health, ... print JSON\n"
    "  --echo              show each line of a script or of -c behind a prompt before it runs\n"
    "  -q, -v, -vv         fewer messages; log of connections; log of everything\n"
    "  --version, --help\n"
    "\n"
    "`agfs help` lists the commands, `agfs help COMMAND` explains one.\n";

enum { OPT_SERVER = 256, OPT_CACERT, OPT_CERT, OPT_KEY, OPT_TIMEOUT, OPT_ECHO, OPT_JSON };

static const struct option long_options[] = {
    {"server", required_argument, NULL, OPT_SERVER},
    {"agfs-api-url", required_argument, NULL, OPT_SERVER},
    {"cacert", required_argument, NULL, OPT_CACERT},
    {"cert", required_argument, NULL, OPT_CERT},
    {"key", required_argument, NULL, OPT_KEY},
    {"insecure", no_argument, NULL, 'k'},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"echo", no_argument, NULL, OPT_ECHO},
    {"json", no_argument, NULL, OPT_JSON},
    {"quiet", no_argument, NULL, 'q'},
    {"verbose", no_argument, NULL, 'v'},
    {"version", no_argument, NULL, 'V'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* What is collected before it becomes the list of client options. */
struct collected {
    const char *server, *timeout, *cacert;
    bool insecure;
    struct strings pairs; /* "key=value" */
};

static void add_pair(struct collected *c, const char *key, const char *value)
{
    strings_add(&c->pairs, xasprintf("%s=%s", key, value));
}

static int take_option(int opt, struct options *o, struct collected *c)
{
    switch (opt) {
    case OPT_SERVER:
        c->server = optarg;
        return 0;
    case OPT_CACERT:
        c->cacert = optarg;
        return 0;
    case OPT_CERT:
        add_pair(c, "client_cert", optarg);
        return 0;
    case OPT_KEY:
        add_pair(c, "client_key", optarg);
        return 0;
    case 'k':
        c->insecure = true;
        return 0;
    case OPT_TIMEOUT:
        c->timeout = optarg;
        return 0;
    case 'o':
        if (strchr(optarg, '=') == NULL || optarg[0] == '=') {
            fprintf(stderr, "agfs: -o %s: KEY=VALUE expected\n", optarg);
            return EXIT_USAGE;
        }
        strings_add(&c->pairs, xstrdup(optarg));
        return 0;
    case 'c':
        if (o->commands) {
            fputs("agfs: -c is given twice; one text may hold several commands: 'ls; pwd'\n",
                  stderr);
            return EXIT_USAGE;
        }
        o->commands = optarg;
        return 0;
    case OPT_ECHO:
        o->echo = true;
        return 0;
    case OPT_JSON:
        o->json = true;
        return 0;
    case 'q':
        o->quiet = true;
        return 0;
    case 'v':
        o->verbose++;
        return 0;
    case 'V':
        o->version = true;
        return 0;
    case 'h':
        o->help = true;
        return 0;
    default: /* getopt_long has said what is wrong */
        fputs("try `agfs --help`\n", stderr);
        return EXIT_USAGE;
    }
}

char *options_url(const char *url)
{
    const char *scheme = strstr(url, "://") ? "" : "http://";
    size_t n = strlen(url), api = strlen(API_PATH);
    while (n > 0 && url[n - 1] == '/')
        n--;
    bool complete = n >= api && memcmp(url + n - api, API_PATH, api) == 0;
    return xasprintf("%s%.*s%s", scheme, (int)n, url, complete ? "" : API_PATH);
}

/* The URL for messages, user and password hidden as the library and `mounts` hide them. */
static char *masked(const char *url)
{
    const char *scheme = strstr(url, "://"), *start = scheme ? scheme + 3 : url, *at = NULL;
    for (const char *s = start; *s && !strchr("/?#", *s); s++)
        at = *s == '@' ? s : at;
    return at ? xasprintf("%.*s***%s", (int)(start - url), url, at) : xstrdup(url);
}

/* A number without unit means seconds, as agfs-shell has it. */
static char *with_unit(const char *timeout)
{
    bool digits = timeout[0] && timeout[strspn(timeout, "0123456789")] == '\0';
    return xasprintf("timeout=%s%s", timeout, digits ? "s" : "");
}

/* Sets *ret_from to the name, if there is a value. */
static const char *from_environment(const char *name, const char **ret_from)
{
    const char *value = getenv(name);
    if (value == NULL || value[0] == '\0')
        return NULL;
    *ret_from = name;
    return value;
}

const char *options_blame(const struct options *o, const char *refusal)
{
    const char *what = strncmp(refusal, "invalid ", 8) == 0 ? refusal + 8 : "";
    if (strncmp(what, "base_url ", 9) == 0)
        return o->server_from;
    return strncmp(what, "timeout ", 8) == 0 ? o->timeout_from : NULL;
}

/* --timeout and -o timeout= together are for the library to refuse. */
static void add_timeout(struct options *o, struct collected *c)
{
    bool given = false;
    for (size_t i = 1; i < c->pairs.n; i++)
        given = given || strncmp(c->pairs.v[i], "timeout=", strlen("timeout=")) == 0;
    const char *timeout =
        c->timeout || given ? c->timeout : from_environment("AGFS_TIMEOUT", &o->timeout_from);
    if (timeout)
        strings_add(&c->pairs, with_unit(timeout));
}

/* Splits the collected pairs; each key's block holds key and value one after the other. */
static void make_client_options(struct options *o, struct collected *c)
{
    o->n_client = c->pairs.n;
    o->client = xcalloc(o->n_client, sizeof(*o->client));
    for (size_t i = 0; i < o->n_client; i++) {
        char *key = c->pairs.v[i], *value = strchr(key, '=');
        *value++ = '\0';
        o->client[i] = (struct pfs_option){.key = key, .value = value};
    }
    free(c->pairs.v); /* the strings are owned by o->client now */
}

int options_parse(int argc, char **argv, struct options *ret)
{
    struct collected c = {0};
    int opt, code = 0;
    *ret = (struct options){0};
    strings_add(&c.pairs, NULL); /* base_url's place */
    optind = 0;
    while (code == 0 && (opt = getopt_long(argc, argv, "+c:o:kqvhV", long_options, NULL)) != -1)
        code = take_option(opt, ret, &c);
    ret->first = optind;
    if (code == 0 && ret->commands && optind < argc) {
        fprintf(stderr, "agfs: %s: nothing may follow the text of -c; quote all of it\n",
                argv[optind]);
        code = EXIT_USAGE;
    }
    if (c.server == NULL)
        c.server = from_environment("AGFS_API_URL", &ret->server_from);
    if (c.server == NULL)
        c.server = from_environment("AGFS_SERVER_URL", &ret->server_from);
    add_timeout(ret, &c);
    if (c.insecure) /* whatever --cacert says: the library refuses both together */
        add_pair(&c, "insecure_skip_verify", "true");
    else if (c.cacert)
        add_pair(&c, "ca_file", c.cacert);
    char *url = options_url(c.server ? c.server : DEFAULT_SERVER);
    c.pairs.v[0] = xasprintf("base_url=%s", url);
    ret->server = masked(url);
    free(url);
    make_client_options(ret, &c);
    return code;
}

void options_fini(struct options *o)
{
    for (size_t i = 0; i < o->n_client; i++)
        free((char *)(uintptr_t)o->client[i].key);
    free(o->client);
    free(o->server);
    *o = (struct options){0};
}
