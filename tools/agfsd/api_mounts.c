/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Mounts and plugins: agfs-http-api.md section 7. */
#include "api.h"
#include "base/alloc.h"
#include "base/err.h"
#include "base/path.h"
#include "content.h"
#include "jsonout.h"
#include "mounter.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- mounts ---- */

struct listing {
    struct jout j;
    size_t n;
};

static void list_mount(void *arg, const struct mount_info *m)
{
    struct listing *l = arg;

    if (l->n++ == 0) {
        jo_begin(&l->j, '[');
    }
    jo_begin(&l->j, '{');
    jo_member(&l->j, "path", m->path);
    jo_member(&l->j, "pluginName", m->type);
    if (m->instance) {
        jo_member(&l->j, "instance", m->instance);
    }
    jo_member(&l->j, "status", mount_state_name(m->state));
    if (m->error) {
        jo_member(&l->j, "error", m->error);
    }
    if (m->config && strcmp(m->config, "{}") != 0) {
        jo_key(&l->j, "config");
        jo_raw_masked(&l->j, m->config);
    }
    jo_end(&l->j, '}');
}

static void list_end(struct listing *l)
{
    if (l->n == 0) {
        jo_null(&l->j);
    } else {
        jo_end(&l->j, ']');
    }
    jo_end(&l->j, '}');
}

void api_mounts(struct api_call *c)
{
    struct listing l = {0};

    jo_begin(&l.j, '{');
    jo_key(&l.j, "mounts");
    vfs_each_mount(c->api->vfs, list_mount, &l);
    list_end(&l);
    api_respond_json(c, 200, &l.j);
}

static void put_message(struct api_call *c, const char *text)
{
    struct jout j = {0};

    jo_begin(&j, '{');
    jo_member(&j, "message", text);
    jo_end(&j, '}');
    api_work_result(c, &j);
}

/* On a worker. path: the mount point, text: the type, path2: the configuration. */
static void mount_work(struct api_call *c)
{
    char path[PFS_PATH_MAX + 1];
    const struct mount_spec spec = {.path = path, .type = c->text, .config = c->path2};

    if (pfs_path_normalize(c->path, strlen(c->path), path, &c->err) == PFS_OK &&
        mounter_mount(c->api->vfs, c->api->registry, &spec, &c->err) == PFS_OK) {
        put_message(c, "plugin mounted");
    }
}

static void mount_parsed(struct api_call *c)
{
    struct json_value config = {0};

    if (!api_json_str(c, "fstype", &c->text) || !api_json_str(c, "path", &c->path)) {
        return;
    }
    if (json_get_object(c->json, "config", &config) == JSON_WRONG) {
        api_refuse(c, PFS_BADARG, "invalid request body");
        return;
    }
    if (!c->text || !c->path) {
        api_refuse(c, PFS_BADARG, "%s is required", c->text ? "path" : "fstype");
        return;
    }
    c->path2 = registry_config_text(config, NULL);
    if (!c->path2) {
        api_refuse(c, PFS_NOMEM, "out of memory for a mount");
        return;
    }
    api_work(c, true, mount_work);
}

void api_mount(struct api_call *c)
{
    api_with_json(c, mount_parsed);
}

static void unmount_work(struct api_call *c)
{
    char path[PFS_PATH_MAX + 1];

    if (pfs_path_normalize(c->path, strlen(c->path), path, &c->err) == PFS_OK &&
        vfs_unmount(c->api->vfs, path, &c->err) == PFS_OK) {
        put_message(c, "plugin unmounted");
    }
}

static void unmount_parsed(struct api_call *c)
{
    if (!api_json_str(c, "path", &c->path)) {
        return;
    }
    if (!c->path) {
        api_refuse(c, PFS_BADARG, "path is required");
        return;
    }
    api_work(c, true, unmount_work);
}

void api_unmount(struct api_call *c)
{
    api_with_json(c, unmount_parsed);
}

/* ---- plugins ---- */

struct type_listing {
    struct listing l;
    struct vfs *vfs;
};

struct mounted_paths {
    struct listing *l;
    const char *type;
    size_t n;
};

static void list_mounted_path(void *arg, const struct mount_info *m)
{
    struct mounted_paths *p = arg;

    if (m->state != MOUNT_MOUNTED || strcmp(m->type, p->type) != 0) {
        return;
    }
    if (p->n++ == 0) {
        jo_begin(&p->l->j, '[');
    }
    jo_begin(&p->l->j, '{');
    jo_member(&p->l->j, "path", m->path);
    if (m->config && strcmp(m->config, "{}") != 0) {
        jo_key(&p->l->j, "config");
        jo_raw_masked(&p->l->j, m->config);
    }
    jo_end(&p->l->j, '}');
}

static void list_type(void *arg, const struct registry_type *t)
{
    struct type_listing *tl = arg;
    struct mounted_paths p = {.l = &tl->l, .type = t->name};

    if (tl->l.n++ == 0) {
        jo_begin(&tl->l.j, '[');
    }
    jo_begin(&tl->l.j, '{');
    jo_member(&tl->l.j, "name", t->name);
    if (t->library_path) {
        jo_member(&tl->l.j, "library_path", t->library_path);
    }
    jo_key(&tl->l.j, "is_external");
    jo_bool(&tl->l.j, t->library_path != NULL);
    jo_key(&tl->l.j, "mounted_paths");
    vfs_each_mount(tl->vfs, list_mounted_path, &p);
    if (p.n == 0) {
        jo_null(&tl->l.j);
    } else {
        jo_end(&tl->l.j, ']');
    }
    jo_end(&tl->l.j, '}');
}

/* On a worker: the registry may be busy with a slow library. */
static void plugins_work(struct api_call *c)
{
    struct type_listing tl = {.vfs = c->api->vfs};

    jo_begin(&tl.l.j, '{');
    jo_key(&tl.l.j, "plugins");
    registry_each(c->api->registry, list_type, &tl);
    list_end(&tl.l);
    api_work_result(c, &tl.l.j);
}

void api_plugins(struct api_call *c)
{
    api_work(c, false, plugins_work);
}

static bool write_piece(void *arg, const char *data, size_t n)
{
    return fwrite(data, 1, n, arg) == n;
}

/* Copies a library out of the tree to a file of the host; its name (malloc'ed) or NULL. */
static char *fetch_library(struct api_call *c, const char *path)
{
    const char *dir = getenv("TMPDIR");
    char name[512];
    struct pfs_request req = c->req;

    snprintf(name, sizeof name, "%s/agfs-plugin-XXXXXX.so", dir && *dir ? dir : "/tmp");
    int fd = mkostemps(name, 3, O_CLOEXEC);
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;

    if (!f) {
        pfs_refuse(&c->err, PFS_IO, "failed to read plugin from AGFS: no temporary file");
        return NULL;
    }
    req.path = path;
    content_read(c->api->vfs, &req, write_piece, f, &c->err);
    bool good = !ferror(f);

    good = fclose(f) == 0 && good;
    if (c->err.cls == PFS_OK && !good) {
        pfs_refuse(&c->err, PFS_IO, "the temporary file cannot be written");
    }
    if (c->err.cls != PFS_OK) {
        pfs_err_prefix(&c->err, "failed to read plugin from AGFS");
        unlink(name);
        return NULL;
    }
    char *copy = pfs_strdup(name);

    if (!copy) {
        pfs_nomem(&c->err, "a plugin");
        unlink(name);
    }
    return copy;
}

static void answer_loaded(void *arg, const struct registry_type *t)
{
    struct jout j = {0};

    jo_begin(&j, '{');
    jo_member(&j, "message", "plugin loaded successfully");
    jo_member(&j, "plugin_name", t->name);
    if (t->original) {
        jo_member(&j, "original_name", t->original);
    }
    jo_key(&j, "renamed");
    jo_bool(&j, t->original != NULL);
    jo_end(&j, '}');
    api_work_result(arg, &j);
}

static void load_work(struct api_call *c)
{
    char *fetched = NULL;

    if (strncmp(c->path, "agfs://", 7) == 0) {
        fetched = fetch_library(c, c->path + 7);
        if (!fetched) {
            return;
        }
    }
    registry_load(c->api->registry, fetched ? fetched : c->path, answer_loaded, c, &c->err);
    if (fetched) {
        unlink(fetched); /* what is loaded stays until it is unloaded, by this name as before */
    }
    pfs_free(fetched);
}

static void unload_work(struct api_call *c)
{
    char *real = realpath(c->path, NULL);

    if (registry_unload(c->api->registry, real ? real : c->path, &c->err) == PFS_OK) {
        put_message(c, "plugin unloaded successfully");
    }
    free(real);
}

/* Reads library_path; false: the call has ended. */
static bool need_library(struct api_call *c)
{
    if (!api_json_str(c, "library_path", &c->path)) {
        return false;
    }
    if (!c->path) {
        api_refuse(c, PFS_BADARG, "library_path is required");
        return false;
    }
    return true;
}

static void load_parsed(struct api_call *c)
{
    if (!need_library(c)) {
        return;
    }
    if (strncmp(c->path, "http://", 7) == 0 || strncmp(c->path, "https://", 8) == 0) {
        api_refuse(c, PFS_UNSUPPORTED,
                   "failed to download plugin: not supported; copy it into the tree and load "
                   "agfs://PATH");
        return;
    }
    api_work(c, true, load_work);
}

void api_plugin_load(struct api_call *c)
{
    api_with_json(c, load_parsed);
}

static void unload_parsed(struct api_call *c)
{
    if (need_library(c)) {
        api_work(c, true, unload_work);
    }
}

void api_plugin_unload(struct api_call *c)
{
    api_with_json(c, unload_parsed);
}
