/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* agfsd: puts the parts together, waits for signals, takes them apart again. */
#include "api.h"
#include "args.h"
#include "base/alloc.h"
#include "base/err.h"
#include "base/log.h"
#include "certs.h"
#include "descriptors.h"
#include "mounter.h"
#include "process.h"
#include "server.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define EXIT_CUT 3    /* after a signal, when requests had to be cut off */
#define API_WORKERS 8 /* mounting and the like at once */
#define API_WRITERS 2 /* of long answers at once */
#define API_QUEUE 256

struct agfsd {
    struct config *config;
    struct registry *registry;
    struct vfs *vfs;
    struct mounter *mounter;
    struct server *server;
    struct certs certs;
    struct api api;
    char urls[1024]; /* where it listens, separated by blanks */
};

static int complain(const struct pfs_error *err)
{
    fprintf(stderr, "agfsd: %s\n", err->text);
    return err->cls == PFS_CONFIG || err->cls == PFS_INVALID ? 2 : 1;
}

static void write_log(void *arg, enum pfs_log_level level, const char *line)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};

    fprintf(stderr, "agfsd: %s: %s\n", names[level], line);
}

/* NULL: the default. False: no such level. */
static bool set_log_level(const char *name)
{
    static const struct {
        const char *name;
        enum pfs_log_level level;
    } rows[] = {{"error", PFS_LOG_ERROR},
                {"warn", PFS_LOG_WARN},
                {"warning", PFS_LOG_WARN},
                {"info", PFS_LOG_INFO},
                {"debug", PFS_LOG_DEBUG}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcasecmp(name ? name : "info", rows[i].name) == 0) {
            pfs_log_to(write_log, NULL, rows[i].level);
            return true;
        }
    }
    return false;
}

/* ---- listening ---- */

static enum pfs_class listen_at(struct agfsd *d, const char *address, struct tls_ctx *tls,
                                struct pfs_error *err)
{
    char host[256];
    unsigned port = 0;
    size_t n = strlen(d->urls);

    args_split_address(address, host, &port);
    enum pfs_class cls = server_listen(d->server, host, port, tls, &port, err);

    if (cls != PFS_OK) {
        pfs_err_prefix(err, "cannot listen at %s", address);
        return cls;
    }
    bool v6 = strchr(host, ':') != NULL;

    snprintf(d->urls + n, sizeof d->urls - n, "%s%s://%s%s%s:%u", n ? " " : "",
             tls ? "https" : "http", v6 ? "[" : "", *host ? host : "0.0.0.0", v6 ? "]" : "", port);
    return PFS_OK;
}

static enum pfs_class listen_all(struct agfsd *d, struct pfs_error *err)
{
    struct server_options o = SERVER_OPTIONS_INIT;
    struct tls_ctx *tls = NULL;
    enum pfs_class cls;

    o.loops = d->config->loops;
    o.limits = d->config->limits;
    cls = server_new(&o, &d->server, err);
    if (cls == PFS_OK && d->config->address) {
        cls = listen_at(d, d->config->address, NULL, err);
    }
    if (cls == PFS_OK && d->config->tls_address) {
        cls = certs_read(&d->certs, d->config, &tls, err);
    }
    if (cls == PFS_OK && d->config->tls_address) {
        cls = listen_at(d, d->config->tls_address, tls, err);
    }
    tls_ctx_unref(tls);
    return cls;
}

/* Tells whoever waits for us where we are. */
static enum pfs_class announce(const struct agfsd *d, const struct args *a, struct pfs_error *err)
{
    int fds[] = {a->ready_fd, -1};
    char lines[sizeof d->urls + 2];
    int n = snprintf(lines, sizeof lines, "%s\n", d->urls);

    for (int i = 0; i < n; i++) {
        lines[i] = lines[i] == ' ' ? '\n' : lines[i];
    }
    if (a->addr_file) {
        fds[1] = open(a->addr_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (fds[1] < 0) {
            return pfs_refuse(err, PFS_CONFIG, "--addr-file %s: %s", a->addr_file,
                              strerrordesc_np(errno));
        }
    }
    for (int i = 0; i < 2; i++) {
        if (fds[i] < 0) {
            continue;
        }
        ssize_t put = write(fds[i], lines, (size_t)n);

        close(fds[i]);
        if (put != n) {
            return pfs_refuse(err, PFS_IO, "the addresses cannot be written: %s",
                              strerrordesc_np(errno));
        }
    }
    fprintf(stderr, "agfsd: listening on %s\n", d->urls);
    return PFS_OK;
}

/* ---- the tree ---- */

static void say_loaded(void *path, const struct registry_type *t)
{
    log_info("plugin %s loaded from %s", t->name, (const char *)path);
}

static bool load_plugin(struct registry *r, char *path)
{
    struct pfs_error err;

    if (registry_load(r, path, say_loaded, path, &err) != PFS_OK) {
        log_error("plugin %s is not there: %s", path, err.text);
        return false;
    }
    return true;
}

/* False: one of them is not there. */
static bool load_plugins(struct registry *r, const struct config *c)
{
    DIR *dir = c->auto_load ? opendir(c->plugin_dir) : NULL;
    bool all = dir || !c->auto_load;

    if (!all) {
        log_error("plugin_dir %s: %s", c->plugin_dir, strerrordesc_np(errno));
    }
    for (struct dirent *e; dir && (e = readdir(dir));) {
        size_t n = strlen(e->d_name);
        char path[4096];

        if (n > 3 && strcmp(e->d_name + n - 3, ".so") == 0) {
            snprintf(path, sizeof path, "%s/%s", c->plugin_dir, e->d_name);
            all &= load_plugin(r, path);
        }
    }
    if (dir) {
        closedir(dir);
    }
    for (size_t i = 0; i < c->plugin_paths.n; i++) {
        all &= load_plugin(r, c->plugin_paths.items[i]);
    }
    return all;
}

static enum pfs_class make_tree(struct agfsd *d, struct pfs_error *err)
{
    const struct mount_spec dev = {.path = "/dev", .type = "devfs", .builtin = true};

    d->registry = registry_new();
    d->vfs = vfs_new();
    d->api.workers = pfs_pool_new(API_WORKERS, API_QUEUE);
    d->api.writers = pfs_pool_new(API_WRITERS, API_QUEUE);
    d->api.dedupe = dedupe_new(DEDUPE_ENTRIES_MAX, DEDUPE_BYTES_MAX);
    if (!d->registry || !d->vfs || !d->api.workers || !d->api.writers || !d->api.dedupe) {
        return pfs_nomem(err, "the server");
    }
    d->api.vfs = d->vfs;
    d->api.registry = d->registry;
    d->api.max_body = d->config->max_body;
    d->api.max_upload = d->config->max_upload;
    d->api.admin = d->config->admin;
    d->api.admins = (const char *const *)d->config->admins.items;
    d->api.limits = &d->config->limits;
    load_plugins(d->registry, d->config);
    for (size_t i = 0; i < d->config->n_mounts; i++) {
        if (strcmp(d->config->mounts[i].path, dev.path) == 0) {
            return PFS_OK; /* somebody else's /dev */
        }
    }
    return mounter_mount(d->vfs, d->registry, &dev, err);
}

/* ---- life ---- */

static void reload_tls(struct agfsd *d, const char *why)
{
    struct tls_ctx *tls = NULL;
    struct pfs_error err;

    if (!d->config->tls_address) {
        log_info("%s: nothing to read again, there is no TLS", why);
    } else if (certs_read(&d->certs, d->config, &tls, &err) != PFS_OK) {
        log_error("%s: the old certificates stay in use: %s", why, err.text);
    } else {
        server_set_tls(d->server, tls);
        tls_ctx_unref(tls);
        log_info("%s: new connections use the certificates read now", why);
    }
}

/* Waits for a signal, looking after the rest now and then. */
static int next_signal(struct agfsd *d, const sigset_t *signals)
{
    int64_t every_ms = d->config->limits.cert_poll_ms;
    const struct timespec tick = {.tv_sec = every_ms / 1000, .tv_nsec = every_ms % 1000 * 1000000};
    int sig;

    while ((sig = sigtimedwait(signals, NULL, &tick)) < 0) {
        if (d->config->tls_address && certs_changed(&d->certs, d->config)) {
            reload_tls(d, "changed files");
        }
        server_watch(d->server);
    }
    return sig;
}

/* False: something had to be cut off. */
static bool serve_until_signal(struct agfsd *d, const sigset_t *signals)
{
    int sig;

    while ((sig = next_signal(d, signals)) == SIGHUP) {
        reload_tls(d, "SIGHUP");
        mounter_retry(d->mounter);
    }
    log_info("%s: no new connections; waiting for what is in flight", sigabbrev_np(sig));
    /* A second signal ends the process at once. */
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, signals, NULL);
    vfs_end_live(d->vfs); /* nobody waits for what has no end */
    server_stop(d->server, d->config->limits.drain_ms);
    bool clean = server_join(d->server);

    if (!clean) {
        log_warn("some requests took too long and were cut off");
    }
    return clean;
}

/* From the outside in: nobody below is used any more when it goes. */
static void take_apart(struct agfsd *d)
{
    if (d->server && server_hangs(d->server)) { /* handlers are still at work in all of it */
        log_error("some requests never ended and were left behind");
        _exit(EXIT_CUT);
    }
    mounter_stop(d->mounter);
    pfs_pool_free(d->api.workers);
    pfs_pool_free(d->api.writers);
    vfs_free(d->vfs);
    server_free(d->server);
    dedupe_free(d->api.dedupe);
    registry_free(d->registry);
}

static int run(struct args *a)
{
    struct agfsd d = {.config = &a->config};
    struct pfs_error err;
    sigset_t signals;
    enum pfs_class cls;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* all threads inherit this */
    process_set_limits();
    cls = make_tree(&d, &err);
    if (cls == PFS_OK) {
        api_start(&d.api);
        cls = listen_all(&d, &err);
    }
    if (cls == PFS_OK) {
        cls = mounter_start(d.vfs, d.registry, a->config.mounts, a->config.n_mounts, &d.mounter,
                            &err);
    }
    if (cls == PFS_OK) {
        process_give_up_rights(a->config.sandbox);
        cls = server_start(d.server, &err);
    }
    bool started = cls == PFS_OK, clean = true;

    if (cls == PFS_OK) {
        mounter_await_own(d.mounter);
        cls = announce(&d, a, &err);
    }
    if (cls == PFS_OK) {
        clean = serve_until_signal(&d, &signals);
    } else if (started) {
        server_stop(d.server, 0);
        server_join(d.server);
    }
    take_apart(&d);
    return cls != PFS_OK ? complain(&err) : clean ? 0 : EXIT_CUT;
}

/* What the configuration names is there, and can be mounted as far as that shows without doing it:
 * nothing is started, made or connected to. All that is wrong is said. Returns an exit code. */
static int check_files(const struct config *c)
{
    struct tls_ctx *tls = NULL;
    struct certs certs;
    struct pfs_error err;
    struct registry *r = registry_new();
    int rc = r ? 0 : 1;

    if (c->tls_address && certs_read(&certs, c, &tls, &err) != PFS_OK) {
        rc = complain(&err);
    }
    tls_ctx_unref(tls);
    if (r && !load_plugins(r, c)) {
        rc = 2;
    }
    for (size_t i = 0; r && i < c->n_mounts; i++) {
        const struct mount_spec *m = &c->mounts[i];

        if (registry_check(r, m->type, m->config, m->path, &err) != PFS_OK) {
            pfs_err_prefix(&err, "%s (%s)", m->path, m->type);
            int code = complain(&err);

            rc = rc > code ? rc : code;
        }
    }
    registry_free(r);
    return rc;
}

/* rc, unless that is success and what was printed is lost. */
static int flush_output(int rc)
{
    bool lost = ferror(stdout);
    int eno = fflush(stdout) == 0 ? 0 : errno;

    if (rc > 0 || (!lost && eno == 0)) {
        return rc;
    }
    fprintf(stderr, "agfsd: standard output: %s\n",
            eno ? strerrordesc_np(eno) : "a part could not be written");
    return 1;
}

/*
 * Buffers of streams come and go: below these sizes their memory stays with the process instead of
 * being cleared by the kernel anew for every 64 KiB that pass through.
 */
static void keep_buffers(void)
{
    mallopt(M_MMAP_THRESHOLD, 2 << 20);
    mallopt(M_TRIM_THRESHOLD, 4 << 20);
}

int main(int argc, char **argv)
{
    struct args a;

    fill_descriptors();
    keep_buffers();
    set_log_level(NULL);
    int rc = args_read(&a, argc, argv);

    if (rc < 0 && !set_log_level(a.config.log_level)) {
        fprintf(stderr, "agfsd: log level %s: must be error, warn, info or debug\n",
                a.config.log_level);
        rc = 2;
    }
    if (rc < 0 && a.print_config) {
        char *text = config_to_text(&a.config);

        fputs(text ? text : "", stdout);
        pfs_free(text);
        rc = text ? 0 : 1;
    }
    if (rc < 0 && a.check_config) {
        rc = check_files(&a.config);
    }
    if (rc < 0) {
        rc = run(&a);
    }
    config_fini(&a.config);
    return flush_output(rc);
}
