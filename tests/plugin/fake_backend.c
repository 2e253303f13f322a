/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * A file system for testing the plugin without a server: a flat set of files in memory, and
 *   /big/N         N bytes, byte i is 'a' + i % 26
 *   /hold/RFD/WFD  a read that writes one byte to WFD and waits for one from RFD
 *   /short         of what is written the last byte is left out
 *   /say/CLASS     every operation fails with that class and the path as its text
 * Its memory is malloc's own, so that only the plugin's can be made to fail. Options: base_url
 * ("fake:down": cannot be opened), workers, queue_depth, timeout, other.
 */
#include "backend.h"
#include "base/alloc.h"
#include "base/err.h"
#include "base/path.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_FILES 256

struct file {
    char *path, *data;
    size_t len;
    uint32_t mode;
    bool is_dir;
};

struct fake {
    struct pfs_driver base;
    pthread_mutex_t mu;
    struct file files[MAX_FILES];
};

static struct file *find(struct fake *f, const char *path)
{
    for (unsigned i = 0; path && i < MAX_FILES; i++) {
        if (f->files[i].path && strcmp(f->files[i].path, path) == 0) {
            return &f->files[i];
        }
    }
    return NULL;
}

static struct file *make(struct fake *f, const char *path, bool is_dir, uint32_t mode)
{
    for (unsigned i = 0; i < MAX_FILES; i++) {
        if (!f->files[i].path) {
            f->files[i] =
                (struct file){.path = strdup(path), .is_dir = is_dir, .mode = mode & 07777};
            return &f->files[i];
        }
    }
    return NULL;
}

static void drop(struct file *file)
{
    pfs_free(file->path);
    pfs_free(file->data);
    *file = (struct file){0};
}

static void fill_stat(const struct file *file, struct pfs_stat *st)
{
    *st = (struct pfs_stat){.name = strdup(pfs_path_base(file->path)),
                            .size = (int64_t)file->len,
                            .mode = file->mode,
                            .is_dir = file->is_dir,
                            .mtime_ns = 1700000000500000000,
                            .meta_name = strdup("fake")};
    st->meta = calloc(1, sizeof *st->meta);
    st->meta[st->n_meta++] =
        (struct pfs_pair){.key = strdup("pa\"th"), .value = strdup(file->path)};
}

static void list(struct fake *f, struct pfs_reply *reply)
{
    reply->list = calloc(MAX_FILES, sizeof *reply->list);
    for (unsigned i = 0; i < MAX_FILES; i++) {
        if (f->files[i].path && f->files[i].path[1]) {
            fill_stat(&f->files[i], &reply->list[reply->n_list++]);
        }
    }
    reply->list[reply->n_list++].name = strdup(".."); /* must not reach the host */
}

static void write_file(struct fake *f, struct file *file, const struct pfs_request *req,
                       struct pfs_reply *reply)
{
    if (!file) {
        file = make(f, req->path, false, 0644);
    }
    if (!file) {
        pfs_fail(&reply->err, PFS_NOSPC, PFS_OUTCOME_NA, PFS_PHASE_REPLY, "too many files");
        return;
    }
    pfs_free(file->data);
    file->len = req->len - (req->len > 0 && strcmp(req->path, "/short") == 0);
    file->data = file->len ? strndup(req->data, file->len) : NULL;
    reply->count = (int64_t)file->len;
}

static void rename_file(struct fake *f, struct file *file, const char *to)
{
    struct file *old = find(f, to);

    if (old) {
        drop(old);
    }
    pfs_free(file->path);
    file->path = strdup(to);
}

/* The operations on the set of files. */
static void on_files(struct fake *f, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct file *file = find(f, req->path);
    enum pfs_op op = req->op;

    if (!file && op != PFS_OP_CREATE && op != PFS_OP_MKDIR && op != PFS_OP_WRITE) {
        pfs_fail(&reply->err, PFS_NOTFOUND, PFS_OUTCOME_NA, PFS_PHASE_REPLY, "nothing at %s",
                 req->path);
    } else if (op == PFS_OP_CREATE || op == PFS_OP_MKDIR) {
        if (file) {
            pfs_fail(&reply->err, PFS_EXISTS, PFS_OUTCOME_NA, PFS_PHASE_REPLY, "already exists: %s",
                     req->path);
        } else {
            make(f, req->path, op == PFS_OP_MKDIR, req->mode);
        }
    } else if (op == PFS_OP_WRITE) {
        write_file(f, file, req, reply);
    } else if (op == PFS_OP_READ) {
        size_t from = (size_t)req->offset < file->len ? (size_t)req->offset : file->len;

        reply->len = file->len - from;
        reply->data = reply->len ? strndup(file->data + from, reply->len) : NULL;
    } else if (op == PFS_OP_STAT) {
        fill_stat(file, &reply->stat);
    } else if (op == PFS_OP_READDIR) {
        list(f, reply);
    } else if (op == PFS_OP_RENAME) {
        rename_file(f, file, req->path2);
    } else if (op == PFS_OP_CHMOD) {
        file->mode = req->mode;
    } else {
        drop(file);
    }
}

static void hold(const struct pfs_request *req, struct pfs_reply *reply)
{
    int rfd, wfd;
    char c = 'x';

    if (sscanf(req->path, "/hold/%d/%d", &rfd, &wfd) != 2 || write(wfd, &c, 1) != 1 ||
        read(rfd, &c, 1) != 1) {
        pfs_refuse(&reply->err, PFS_IO, "hold broke");
        return;
    }
    reply->data = strndup("held", 4);
    reply->len = 4;
}

static void op_any(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct fake *f = (struct fake *)d;

    if (strncmp(req->path, "/big/", 5) == 0) {
        size_t n = strtoul(req->path + 5, NULL, 10);
        char *p = malloc(n);

        for (size_t i = 0; i < n; i++) {
            p[i] = (char)('a' + i % 26);
        }
        reply->data = p;
        reply->len = n;
    } else if (strncmp(req->path, "/hold/", 6) == 0) {
        hold(req, reply);
    } else if (strncmp(req->path, "/say/", 5) == 0) {
        pfs_fail(&reply->err, pfs_class_by_name(req->path + 5), PFS_OUTCOME_UN, PFS_PHASE_WAIT,
                 "said %s", req->path);
    } else {
        pthread_mutex_lock(&f->mu);
        on_files(f, req, reply);
        pthread_mutex_unlock(&f->mu);
    }
}

static void fake_close(struct pfs_driver *d)
{
    struct fake *f = (struct fake *)d;

    for (unsigned i = 0; i < MAX_FILES; i++) {
        drop(&f->files[i]);
    }
    pthread_mutex_destroy(&f->mu);
    pfs_free(f);
}

static const struct pfs_driver_ops fake_ops = {
    .name = "fake",
    .op = {[PFS_OP_CREATE] = op_any,
           [PFS_OP_MKDIR] = op_any,
           [PFS_OP_REMOVE] = op_any,
           [PFS_OP_REMOVE_ALL] = op_any,
           [PFS_OP_READ] = op_any,
           [PFS_OP_WRITE] = op_any,
           [PFS_OP_READDIR] = op_any,
           [PFS_OP_STAT] = op_any,
           [PFS_OP_RENAME] = op_any,
           [PFS_OP_CHMOD] = op_any},
    .close = fake_close,
};

enum pfs_class backend_check(const struct pfs_option *options, size_t n, struct pfs_error *err)
{
    static const char *const known[] = {"base_url", "workers", "queue_depth", "timeout", "other"};

    for (size_t i = 0; i < n; i++) {
        bool is_known = false;

        for (size_t k = 0; k < sizeof known / sizeof known[0]; k++) {
            is_known = is_known || strcmp(options[i].key, known[k]) == 0;
        }
        if (!is_known) {
            return pfs_refuse(err, PFS_CONFIG, "unknown configuration parameter: %s",
                              options[i].key);
        }
    }
    return PFS_OK;
}

enum pfs_class backend_open(const struct pfs_option *options, size_t n, struct pfs_driver **ret,
                            struct pfs_error *err)
{
    enum pfs_class cls = backend_check(options, n, err);
    struct fake *f;

    for (size_t i = 0; cls == PFS_OK && i < n; i++) {
        if (strcmp(options[i].value, "fake:down") == 0) {
            cls = pfs_refuse(err, PFS_CONN, "connection refused");
        }
    }
    if (cls != PFS_OK) {
        return cls;
    }
    f = calloc(1, sizeof *f);
    f->base.ops = &fake_ops;
    pthread_mutex_init(&f->mu, NULL);
    make(f, "/", true, 0755);
    *ret = &f->base;
    return PFS_OK;
}
