/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Commands about mounts and plugins. */
#include "commands.h"
#include "doc.h"
#include "path.h"
#include <stdlib.h>
#include <string.h>

/* Calls an operation that answers with a JSON document; NULL and *ret_code (printed) otherwise. */
static struct doc *call_json(struct cli *cli, enum pfs_op op, int *ret_code)
{
    struct pfs_request req = PFS_REQUEST_INIT;
    struct pfs_reply reply;
    struct doc *j = NULL;
    req.op = op;
    *ret_code = 0;
    if (pfs_call(cli->client, &req, &reply) != PFS_OK)
        *ret_code = cli_fail(cli, NULL, &reply.err);
    else if ((j = doc_read(reply.data, reply.len)) == NULL)
        *ret_code = cli_error(cli, pfs_class_exit(PFS_PAYLOAD), "the server's reply is no JSON");
    pfs_reply_fini(&reply);
    return j;
}

/* " (k=v, k=v)", nothing for an empty configuration. */
static void put_config(struct cli *cli, const struct doc *config)
{
    for (size_t i = 0; config && i < config->n; i++) {
        const struct doc *m = &config->items[i];
        fputs(i ? ", " : " (", cli->out);
        cli_put_text(cli, m->key ? m->key : "");
        putc('=', cli->out);
        if (m->kind == DOC_STRING)
            cli_put_text(cli, m->text);
        else
            doc_put(cli->out, m);
    }
    if (config && config->n)
        putc(')', cli->out);
}

static void put_mount(struct cli *cli, const struct doc *m)
{
    const char *status = doc_text(m, "status", "mounted"), *error = doc_text(m, "error", "");
    cli_put_text(cli, doc_text(m, "pluginName", "?"));
    fputs(" on ", cli->out);
    cli_put_text(cli, doc_text(m, "path", "?"));
    put_config(cli, doc_get(m, "config"));
    if (strcmp(status, "mounted") != 0) {
        fputs(" [", cli->out);
        cli_put_text(cli, status);
        if (error[0]) {
            fputs(": ", cli->out);
            cli_put_text(cli, error);
        }
        putc(']', cli->out);
    }
    putc('\n', cli->out);
}

int cmd_mounts(struct cli *cli, const struct args *a)
{
    int code;
    struct doc *j = call_json(cli, PFS_OP_MOUNTS, &code);
    const struct doc *mounts = doc_get(j, "mounts");
    if (j && a->json) {
        doc_put(cli->out, j);
        putc('\n', cli->out);
    } else {
        for (size_t i = 0; mounts && i < mounts->n; i++)
            put_mount(cli, &mounts->items[i]);
    }
    doc_free(j);
    return code;
}

/* The arguments key=value as a JSON object of strings; NULL: v[*ret_bad] is not one of these. */
static char *config_json(const struct args *a, int first, size_t *ret_len, int *ret_bad)
{
    char *s = NULL;
    FILE *f = open_memstream(&s, ret_len);
    if (f == NULL)
        return NULL;
    putc('{', f);
    for (int i = first; i < a->n; i++) {
        size_t n = strcspn(a->v[i], "=");
        if (n == 0 || a->v[i][n] == '\0') {
            fclose(f);
            free(s);
            *ret_bad = i;
            return NULL;
        }
        char *key = xstrndup(a->v[i], n);
        fputs(i > first ? "," : "", f);
        doc_put_string(f, key);
        putc(':', f);
        doc_put_string(f, a->v[i] + n + 1);
        free(key);
    }
    putc('}', f);
    fclose(f);
    return s;
}

int cmd_mount(struct cli *cli, const struct args *a)
{
    struct pfs_request req = PFS_REQUEST_INIT;
    struct pfs_reply reply;
    int bad = 0, code = 0;
    if (a->n == 0)
        return cmd_mounts(cli, a);
    if (a->n == 1)
        return cli_error(cli, EXIT_USAGE, "PATH is missing; usage: mount TYPE PATH [KEY=VALUE...]");
    char *config = config_json(a, 2, &req.len, &bad);
    if (config == NULL)
        return cli_error(cli, EXIT_USAGE, "%s: KEY=VALUE expected", a->v[bad]);
    char *path = path_resolve(cli->cwd, a->v[1]);
    req.op = PFS_OP_MOUNT;
    req.path = path;
    req.text = a->v[0];
    req.data = config;
    if (pfs_call(cli->client, &req, &reply) != PFS_OK)
        code = cli_fail_change(cli, path, &reply.err);
    pfs_reply_fini(&reply);
    free(path);
    free(config);
    return code;
}

int cmd_unmount(struct cli *cli, const struct args *a)
{
    struct pfs_request req = PFS_REQUEST_INIT;
    struct pfs_reply reply;
    char *path = path_resolve(cli->cwd, a->v[0]);
    int code = 0;
    req.op = PFS_OP_UNMOUNT;
    req.path = path;
    if (pfs_call(cli->client, &req, &reply) != PFS_OK)
        code = cli_fail_change(cli, path, &reply.err);
    pfs_reply_fini(&reply);
    free(path);
    return code;
}

/* ---- plugins ------------------------------------------------------------------------------- */

static void put_plugin(struct cli *cli, const struct doc *p)
{
    const struct doc *paths = doc_get(p, "mounted_paths");
    const char *library = doc_text(p, "library_path", "");
    cli_put_text(cli, doc_text(p, "name", "?"));
    if (library[0]) {
        fputs(" (", cli->out);
        cli_put_text(cli, library);
        putc(')', cli->out);
    }
    for (size_t i = 0; paths && i < paths->n; i++) {
        fputs(i ? ", " : " on ", cli->out);
        cli_put_text(cli, doc_text(&paths->items[i], "path", "?"));
    }
    putc('\n', cli->out);
}

static int by_plugin_name(const void *a, const void *b)
{
    return strcmp(doc_text(a, "name", ""), doc_text(b, "name", ""));
}

static int list_plugins(struct cli *cli, const struct args *a)
{
    int code;
    struct doc *j = call_json(cli, PFS_OP_PLUGINS, &code);
    const struct doc *plugins = doc_get(j, "plugins");
    if (plugins && plugins->n > 1)
        qsort(plugins->items, plugins->n, sizeof(*plugins->items), by_plugin_name);
    if (j && a->json) {
        doc_put(cli->out, j);
        putc('\n', cli->out);
    } else {
        for (size_t i = 0; plugins && i < plugins->n; i++)
            put_plugin(cli, &plugins->items[i]);
    }
    doc_free(j);
    return code;
}

static int change_plugin(struct cli *cli, enum pfs_op op, const char *library)
{
    struct pfs_request req = PFS_REQUEST_INIT;
    struct pfs_reply reply;
    int code = 0;
    req.op = op;
    req.path = library;
    if (pfs_call(cli->client, &req, &reply) != PFS_OK) {
        code = cli_fail_change(cli, library, &reply.err);
    } else {
        struct doc *j = reply.len ? doc_read(reply.data, reply.len) : NULL;
        const char *name = doc_text(j, "plugin_name", "");
        /* The name may differ from the file's: it is what `mount` wants. */
        if (name[0]) {
            cli_put_text(cli, name);
            putc('\n', cli->out);
        }
        doc_free(j);
    }
    pfs_reply_fini(&reply);
    return code;
}

int cmd_plugins(struct cli *cli, const struct args *a)
{
    const char *what = a->n ? a->v[0] : "list";
    if (strcmp(what, "list") == 0 && a->n <= 1)
        return list_plugins(cli, a);
    if (strcmp(what, "load") == 0 && a->n == 2)
        return change_plugin(cli, PFS_OP_PLUGIN_LOAD, a->v[1]);
    if (strcmp(what, "unload") == 0 && a->n == 2)
        return change_plugin(cli, PFS_OP_PLUGIN_UNLOAD, a->v[1]);
    return cli_error(cli, EXIT_USAGE, "list, load LIBRARY or unload LIBRARY is expected");
}
