/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * serverinfofs: what the server says about itself (agfs-http-api.md 8.4). The names of the figures
 * are the stock server's: "goroutines" are threads here, and there is no garbage collection.
 */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include "base/reply.h"
#include "driver_options.h"
#include "driver_util.h"
#include "drivers.h"
#include "jsonout.h"
#include <dirent.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct serverinfofs {
    struct pfs_driver base;
    char *version;
};

/* When the process began; the clocks of pfs_now and pfs_wall_now. */
static struct {
    int64_t ns, wall_ns;
} started;

__attribute__((constructor)) static void note_start(void)
{
    started.ns = pfs_now();
    started.wall_ns = pfs_wall_now();
}

static struct serverinfofs *of(struct pfs_driver *d)
{
    return container_of(d, struct serverinfofs, base);
}

static const char readme[] = "ServerInfoFS: what the server says about itself\n"
                             "\n"
                             "  server_info   version, uptime and memory as JSON\n"
                             "  stats         threads and memory as JSON\n"
                             "  traffic       bytes moved, where that is counted\n"
                             "  uptime        how long the server has been running\n"
                             "  version       the configured version\n";

/* ---- figures ---- */

static int count_threads(void)
{
    DIR *dir = opendir("/proc/self/task");
    int n = 0;

    for (struct dirent *e; dir && (e = readdir(dir));) {
        n += e->d_name[0] != '.';
    }
    if (dir) {
        closedir(dir);
    }
    return n;
}

/* As Go prints a duration: "1h2m3.5s". */
static void add_uptime(struct pfs_buf *b)
{
    int64_t ns = pfs_now() - started.ns;
    int64_t total = ns / PFS_SEC;
    char seconds[32];

    if (total >= 3600) {
        pfs_buf_printf(b, "%" PRId64 "h", total / 3600);
    }
    if (total >= 60) {
        pfs_buf_printf(b, "%" PRId64 "m", total / 60 % 60);
    }
    int n = snprintf(seconds, sizeof seconds, "%" PRId64 ".%09" PRId64, total % 60,
                     (int64_t)(ns % PFS_SEC));

    while (seconds[n - 1] == '0') {
        n--;
    }
    pfs_buf_printf(b, "%.*ss", seconds[n - 1] == '.' ? n - 1 : n, seconds);
}

static void add_memory(struct pfs_buf *b, const char *indent)
{
    struct mallinfo2 m = mallinfo2();

    pfs_buf_printf(b,
                   "%s\"memory\": {\n"
                   "%s  \"alloc\": %zu,\n"
                   "%s  \"numGC\": 0,\n"
                   "%s  \"sys\": %zu,\n"
                   "%s  \"totalAlloc\": %zu\n"
                   "%s}",
                   indent, indent, m.uordblks + m.hblkhd, indent, indent, m.arena + m.hblkhd,
                   indent, m.uordblks + m.hblkhd, indent);
}

static void make_stats(const struct serverinfofs *s, struct pfs_buf *b)
{
    pfs_buf_printf(b, "{\n  \"goroutines\": %d,\n", count_threads());
    add_memory(b, "  ");
    pfs_buf_add_str(b, "\n}\n");
}

static void make_server_info(const struct serverinfofs *s, struct pfs_buf *b)
{
    time_t t = (time_t)(started.wall_ns / PFS_SEC);
    struct jout version = {0};
    struct tm tm;
    char begin[40] = "";

    gmtime_r(&t, &tm);
    strftime(begin, sizeof begin, "%Y-%m-%dT%H:%M:%SZ", &tm);
    jo_str(&version, s->version);
    char *quoted = jo_take_bare(&version, NULL);

    pfs_buf_add_str(b, "{\n  \"goVersion\": \"none: written in C\",\n");
    add_memory(b, "  ");
    pfs_buf_printf(b, ",\n  \"numCPU\": %ld,\n  \"numGoroutine\": %d,\n  \"startTime\": \"%s\",\n",
                   sysconf(_SC_NPROCESSORS_ONLN), count_threads(), begin);
    pfs_buf_add_str(b, "  \"uptime\": \"");
    add_uptime(b);
    pfs_buf_printf(b, "\",\n  \"version\": %s\n}\n", quoted ? quoted : "\"\"");
    pfs_free(quoted);
}

static void make_uptime(const struct serverinfofs *s, struct pfs_buf *b)
{
    add_uptime(b);
    pfs_buf_add_str(b, "\n");
}

static void make_version(const struct serverinfofs *s, struct pfs_buf *b)
{
    pfs_buf_printf(b, "%s\n", s->version);
}

static void make_traffic(const struct serverinfofs *s, struct pfs_buf *b)
{
    pfs_buf_add_str(b, "Traffic monitoring not available\n");
}

static void make_readme(const struct serverinfofs *s, struct pfs_buf *b)
{
    pfs_buf_add_str(b, readme);
}

static const struct info_file {
    const char *name, *meta_type, *listed_type;
    void (*make)(const struct serverinfofs *s, struct pfs_buf *b);
} files[] = {
    {"README", "doc", "doc", make_readme},   {"server_info", "info", "info", make_server_info},
    {"uptime", "info", "info", make_uptime}, {"version", "info", "info", make_version},
    {"stats", "info", "info", make_stats},   {"traffic", "info", "traffic", make_traffic},
};
#define N_FILES (sizeof files / sizeof *files)

/* ---- operations ---- */

static const struct info_file *find(const struct pfs_request *req, struct pfs_error *err)
{
    for (size_t i = 0; i < N_FILES; i++) {
        if (strcmp(req->path + 1, files[i].name) == 0) {
            return &files[i];
        }
    }
    pfs_refuse(err, PFS_NOTFOUND, "no such file or directory: %s", req->path);
    return NULL;
}

static char *make(const struct serverinfofs *s, const struct info_file *f, size_t *ret_len)
{
    struct pfs_buf b = {0};

    f->make(s, &b);
    char *text = pfs_buf_take(&b, ret_len);

    pfs_buf_fini(&b);
    return text;
}

static bool is_root(const struct pfs_request *req)
{
    return strcmp(req->path, "/") == 0;
}

static void op_read(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    if (is_root(req)) {
        pfs_refuse(&reply->err, PFS_BADARG, "is a directory: %s", req->path);
        return;
    }
    const struct info_file *f = find(req, &reply->err);

    if (f) {
        size_t len = 0;
        char *text = make(of(d), f, &len);

        pfs_reply_take_range(reply, text, len, req);
    }
}

static bool fill(const struct serverinfofs *s, struct pfs_stat *st, const struct info_file *f,
                 const char *meta_type)
{
    size_t len = 0;
    char *text = make(s, f, &len);

    pfs_free(text);
    st->mode = 0444;
    st->size = (int64_t)len;
    st->mtime_ns = pfs_wall_now();
    return text && pfs_stat_fill(st, f->name, "serverinfofs", meta_type);
}

static void op_stat(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    const struct info_file *f = NULL;
    bool filled;

    if (is_root(req)) {
        reply->stat.mode = 0555;
        reply->stat.is_dir = true;
        reply->stat.mtime_ns = pfs_wall_now();
        filled = pfs_stat_fill(&reply->stat, "/", "serverinfofs", "");
    } else {
        f = find(req, &reply->err);
        filled = !f || fill(of(d), &reply->stat, f, f->meta_type);
    }
    if (!filled) {
        pfs_nomem(&reply->err, "stat");
    }
}

static void op_readdir(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    size_t cap = 0;

    if (!is_root(req)) {
        if (find(req, &reply->err)) {
            pfs_refuse(&reply->err, PFS_BADARG, "not a directory: %s", req->path);
        }
        return;
    }
    for (size_t i = 0; i < N_FILES; i++) {
        struct pfs_stat *st = reply_add_entry(reply, &cap);

        if (!st || !fill(of(d), st, &files[i], files[i].listed_type)) {
            pfs_nomem(&reply->err, "a listing");
            return;
        }
    }
}

static void op_denied(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    pfs_refuse(&reply->err, PFS_DENIED, "operation not permitted: serverinfofs is read-only");
}

static void op_truncate(struct pfs_driver *d, const struct pfs_request *req,
                        struct pfs_reply *reply)
{
}

static void op_close(struct pfs_driver *d)
{
    pfs_free(of(d)->version);
    pfs_free(d);
}

static const struct pfs_driver_ops serverinfofs_ops = {
    .name = "serverinfofs",
    .nonblocking = true, /* /proc does not wait */
    .plain_reads = true,
    .op = {[PFS_OP_CREATE] = op_denied,
           [PFS_OP_MKDIR] = op_denied,
           [PFS_OP_REMOVE] = op_denied,
           [PFS_OP_REMOVE_ALL] = op_denied,
           [PFS_OP_RENAME] = op_denied,
           [PFS_OP_CHMOD] = op_denied,
           [PFS_OP_TOUCH] = op_denied,
           [PFS_OP_WRITE] = op_denied,
           [PFS_OP_TRUNCATE] = op_truncate,
           [PFS_OP_READ] = op_read,
           [PFS_OP_STAT] = op_stat,
           [PFS_OP_READDIR] = op_readdir},
    .close = op_close,
};

enum pfs_class serverinfofs_open(const struct pfs_option *options, size_t n,
                                 struct pfs_driver **ret, struct pfs_error *err)
{
    static const char *const allowed[] = {"version", NULL};
    const char *version = option_value(options, n, "version");
    enum pfs_class cls = options_check(options, n, allowed, err);

    if (cls != PFS_OK) {
        return cls;
    }
    struct serverinfofs *s = pfs_calloc(1, sizeof *s);

    if (!s || !(s->version = pfs_strdup(version && *version ? version : "1.0.0"))) {
        pfs_free(s);
        return pfs_nomem(err, "serverinfofs");
    }
    s->base.ops = &serverinfofs_ops;
    *ret = &s->base;
    return PFS_OK;
}
