/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* localfs: a directory of this host (agfs-http-api.md 8.2), confined to it by the kernel. */
#include "base/alloc.h"
#include "base/err.h"
#include "base/path.h"
#include "base/reply.h"
#include "body_share.h"
#include "driver_options.h"
#include "drivers.h"
#include "localfs.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_WHOLE_MAX (64 << 20) /* as much as a request may bring; more is read as a stream */

bool lfs_stat_fill(struct pfs_stat *out, const char *name, const struct stat *st)
{
    out->size = st->st_size;
    out->mode = lfs_mode(st->st_mode);
    out->is_dir = S_ISDIR(st->st_mode);
    out->mtime_ns = lfs_mtime(st);
    return pfs_stat_fill(out, name, "localfs", "local");
}

static void op_create(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    if (!lfs_may_be_named(req->path, &reply->err)) {
        return;
    }
    int fd = lfs_open(lfs_of(d), req->path, O_CREAT | O_EXCL | O_WRONLY, 0644);

    if (fd < 0) {
        lfs_fail(&reply->err, errno, req->path);
    } else {
        close(fd);
    }
}

static void op_mkdir(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    const char *base;

    if (!lfs_may_be_named(req->path, &reply->err)) {
        return;
    }
    int dir = lfs_open_parent(lfs_of(d), req->path, &base);
    int eno = dir < 0                                    ? errno
              : !req->path[1]                            ? EEXIST
              : mkdirat(dir, base, req->mode & 0777) < 0 ? errno
                                                         : 0;

    if (dir < 0 && (eno == ENOENT || eno == ENOTDIR)) {
        pfs_refuse(&reply->err, pfs_class_of_errno(eno), "%s: parent of %s",
                   eno == ENOTDIR ? "not a directory"
                                  : "parent directory does not exist: no such "
                                    "file or directory",
                   req->path);
    } else if (eno == EEXIST) {
        pfs_refuse(&reply->err, PFS_EXISTS, "directory already exists: %s", req->path);
    } else if (eno) {
        lfs_fail(&reply->err, eno, req->path);
    }
    if (dir >= 0) {
        close(dir);
    }
}

/* Reads n bytes into memory, which counts (body_share.h). */
static void read_whole(int fd, const char *path, size_t n, int64_t at, struct pfs_reply *reply)
{
    if (!share_take(path, n, &reply->err)) {
        return;
    }
    char *buf = pfs_malloc(n + 1);
    ssize_t got = buf ? lfs_pread_all(fd, buf, n, at) : -1;

    if (!buf) {
        pfs_nomem(&reply->err, "a file's content");
    } else if (got < 0) {
        lfs_fail(&reply->err, errno, path);
        pfs_free(buf);
    } else {
        reply->data = buf;
        reply->len = (size_t)got;
    }
}

static void op_read(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct stat st;
    int fd = lfs_open_file(lfs_of(d), req->path, O_RDONLY, &st, &reply->err);

    if (fd < 0) {
        return;
    }
    int64_t at = req->offset > 0 ? req->offset : 0;
    int64_t left = at < st.st_size ? st.st_size - at : 0;

    left = req->size >= 0 && req->size < left ? req->size : left;
    if (left > READ_WHOLE_MAX) {
        pfs_refuse(&reply->err, PFS_TOOBIG, "%s: at most %d bytes are read at once", req->path,
                   READ_WHOLE_MAX);
    } else {
        read_whole(fd, req->path, (size_t)left, at, reply);
    }
    close(fd);
}

/* A write that changes a part of the file, in place. */
static void write_part(struct localfs *fs, const struct pfs_request *req,
                       const struct write_plan *plan, struct pfs_reply *reply)
{
    struct stat st;
    size_t done = 0;
    int flags = O_WRONLY | (plan->create ? O_CREAT : 0) | (plan->exclusive ? O_EXCL : 0) |
                (plan->append ? O_APPEND : 0);
    int fd = lfs_open_file(fs, req->path, flags, &st, &reply->err);

    if (fd < 0) {
        return;
    }
    if (!lfs_pwrite_some(fd, req->data, req->len, plan->append ? -1 : plan->at, &done) ||
        (plan->sync && fsync(fd) < 0)) {
        bool as_before = done == 0 && (!plan->create || st.st_size > 0); /* not made just now */

        lfs_fail(&reply->err, errno, req->path);
        reply->err.outcome = as_before ? PFS_OUTCOME_NA : PFS_OUTCOME_UN;
    } else {
        reply->count = (int64_t)req->len;
    }
    close(fd);
}

static void op_write(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct localfs *fs = lfs_of(d);
    struct write_plan plan;
    struct lfs_put put;

    if (write_plan_of(req, &plan, &reply->err) != PFS_OK) {
        return;
    }
    if (!plan.replace) {
        write_part(fs, req, &plan, reply);
        return;
    }
    if (lfs_put_begin(fs, req->path, &plan, &put, &reply->err) != PFS_OK) {
        return;
    }
    if (!lfs_pwrite_all(put.fd, req->data, req->len, plan.at)) {
        lfs_fail(&reply->err, errno, req->path);
        lfs_put_abort(&put);
    } else if (lfs_put_commit(&put, req->path, &reply->err) == PFS_OK) {
        reply->count = (int64_t)req->len;
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct pfs_stat *)a)->name, ((const struct pfs_stat *)b)->name);
}

static void list_entries(DIR *list, const char *path, struct pfs_reply *reply)
{
    size_t cap = 0;

    for (;;) {
        struct stat st;

        errno = 0;
        struct dirent *e = readdir(list);

        if (!e) {
            if (errno) {
                lfs_fail(&reply->err, errno, path);
            }
            break;
        }
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            lfs_is_temp(dirfd(list), e->d_name)) {
            continue; /* none of the caller's business */
        }
        if (fstatat(dirfd(list), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
            if (errno == ENOENT) {
                continue; /* removed just now */
            }
            lfs_fail(&reply->err, errno, path);
            break;
        }
        struct pfs_stat *out = reply_add_entry(reply, &cap);

        if (!out || !lfs_stat_fill(out, e->d_name, &st)) {
            pfs_nomem(&reply->err, "a listing");
            break;
        }
    }
    if (reply->n_list > 0 && reply->err.cls == PFS_OK) {
        qsort(reply->list, reply->n_list, sizeof *reply->list, by_name);
    }
}

static void op_readdir(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    int fd = lfs_open(lfs_of(d), req->path, O_RDONLY | O_DIRECTORY, 0);
    DIR *list = fd >= 0 ? fdopendir(fd) : NULL;

    if (!list) {
        lfs_fail(&reply->err, errno, req->path);
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    list_entries(list, req->path, reply);
    closedir(list);
}

static void op_stat(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct localfs *fs = lfs_of(d);
    char host[PFS_PATH_MAX + 1];
    struct stat st;
    int fd = lfs_open(fs, req->path, O_PATH, 0);

    if (fd < 0 || fstat(fd, &st) < 0) {
        lfs_fail(&reply->err, errno, req->path);
    } else if (!lfs_stat_fill(&reply->stat, pfs_path_base(req->path), &st) ||
               (pfs_path_join(host, fs->dir_name, req->path) &&
                !pfs_stat_add_meta(&reply->stat, "local_path", host))) {
        pfs_nomem(&reply->err, "stat");
    }
    if (fd >= 0) {
        close(fd);
    }
}

static void op_rename(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct localfs *fs = lfs_of(d);
    const char *from_base, *to_base;

    if (!req->path[1] || !req->path2[1]) {
        pfs_refuse(&reply->err, PFS_DENIED, "permission denied: cannot rename root directory");
        return;
    }
    if (!lfs_may_be_named(req->path2, &reply->err)) {
        return;
    }
    int from = lfs_open_parent(fs, req->path, &from_base);
    int to = from >= 0 ? lfs_open_parent(fs, req->path2, &to_base) : -1;

    if (from < 0) {
        lfs_fail(&reply->err, errno, req->path);
    } else if (to < 0) {
        lfs_fail(&reply->err, errno, req->path2);
    } else if (renameat(from, from_base, to, to_base) < 0) {
        lfs_fail(&reply->err, errno, errno == ENOENT ? req->path : req->path2);
    }
    if (from >= 0) {
        close(from);
    }
    if (to >= 0) {
        close(to);
    }
}

/* Name under which the object of an O_PATH descriptor can be changed. */
static void proc_name(char dst[40], int fd)
{
    snprintf(dst, 40, "/proc/self/fd/%d", fd);
}

static void op_chmod(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    char proc[40];
    int fd = lfs_open(lfs_of(d), req->path, O_PATH, 0);

    proc_name(proc, fd);
    if (fd < 0 || chmod(proc, req->mode & 0777) < 0) {
        lfs_fail(&reply->err, errno, req->path);
    }
    if (fd >= 0) {
        close(fd);
    }
}

static void op_truncate(struct pfs_driver *d, const struct pfs_request *req,
                        struct pfs_reply *reply)
{
    struct stat st;
    int fd = lfs_open_file(lfs_of(d), req->path, O_WRONLY, &st, &reply->err);

    if (fd >= 0) {
        if (ftruncate(fd, req->size) < 0) {
            lfs_fail(&reply->err, errno, req->path);
        }
        close(fd);
    }
}

static void op_touch(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct stat st;
    int fd = lfs_open_file(lfs_of(d), req->path, O_WRONLY | O_CREAT, &st, &reply->err);

    if (fd >= 0) {
        if (futimens(fd, NULL) < 0) {
            lfs_fail(&reply->err, errno, req->path);
            reply->err.outcome = PFS_OUTCOME_UN; /* it may have been made just now */
        }
        close(fd);
    }
}

static void op_close(struct pfs_driver *d)
{
    struct localfs *fs = lfs_of(d);

    lfs_handles_fini(fs);
    pthread_mutex_destroy(&fs->mu);
    close(fs->dir);
    free(fs->dir_name);
    pfs_free(fs);
}

static const struct pfs_driver_ops localfs_ops = {
    .name = "localfs",
    .plain_reads = true,
    .ranges = true,
    .op = {[PFS_OP_CREATE] = op_create,
           [PFS_OP_MKDIR] = op_mkdir,
           [PFS_OP_REMOVE] = lfs_remove,
           [PFS_OP_REMOVE_ALL] = lfs_removeall,
           [PFS_OP_READ] = op_read,
           [PFS_OP_WRITE] = op_write,
           [PFS_OP_READDIR] = op_readdir,
           [PFS_OP_STAT] = op_stat,
           [PFS_OP_RENAME] = op_rename,
           [PFS_OP_CHMOD] = op_chmod,
           [PFS_OP_TRUNCATE] = op_truncate,
           [PFS_OP_TOUCH] = op_touch,
           [PFS_OP_OPEN_READ] = lfs_openread,
           [PFS_OP_OPEN_WRITE] = lfs_openwrite,
           [PFS_OP_HANDLE_OPEN] = lfs_hopen,
           [PFS_OP_HANDLE_REPLACE] = lfs_hreplace,
           [PFS_OP_HANDLE_COMMIT] = lfs_hcommit,
           [PFS_OP_HANDLE_READ] = lfs_hread,
           [PFS_OP_HANDLE_WRITE] = lfs_hwrite,
           [PFS_OP_HANDLE_SEEK] = lfs_hseek,
           [PFS_OP_HANDLE_SYNC] = lfs_hsync,
           [PFS_OP_HANDLE_STAT] = lfs_hstat,
           [PFS_OP_HANDLE_TRUNCATE] = lfs_htruncate,
           [PFS_OP_HANDLE_STREAM] = lfs_hstream,
           [PFS_OP_HANDLE_CLOSE] = lfs_hclose},
    .close = op_close,
};

enum pfs_class localfs_open(const struct pfs_option *options, size_t n, struct pfs_driver **ret,
                            struct pfs_error *err)
{
    static const char *const allowed[] = {"local_dir", NULL};
    const char *dir = option_value(options, n, "local_dir");
    enum pfs_class cls = options_check(options, n, allowed, err);

    if (cls != PFS_OK) {
        return cls;
    }
    if (!dir || !*dir) {
        return pfs_refuse(err, PFS_CONFIG, "local_dir is required in configuration");
    }
    char *name = realpath(dir, NULL);
    int fd = name ? open(name, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    struct localfs *fs = fd >= 0 ? pfs_calloc(1, sizeof *fs) : NULL;

    if (!fs) {
        int eno = errno;

        cls = pfs_class_of_errno(eno);
        cls = pfs_refuse(err, cls == PFS_NOFILE || cls == PFS_NOMEM ? cls : PFS_CONFIG, "%s: %s",
                         eno == ENOENT    ? "base path does not exist"
                         : eno == ENOTDIR ? "base path is not a directory"
                                          : strerrordesc_np(eno),
                         dir);
        if (err) {
            err->sys_errno = eno;
        }
        free(name);
        if (fd >= 0) {
            close(fd);
        }
        return cls;
    }
    fs->base.ops = &localfs_ops;
    fs->dir = fd;
    fs->dir_name = name;
    list_init(&fs->handles);
    pthread_mutex_init(&fs->mu, NULL);
    *ret = &fs->base;
    return PFS_OK;
}
