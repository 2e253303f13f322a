/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* System calls of localfs: opening below the base directory, replacing files as a whole. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/path.h"
#include "localfs.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OPEN_TRIES 1000 /* no client may keep a worker busy by moving directories for ever */

int lfs_open(const struct localfs *fs, const char *path, int flags, unsigned mode)
{
    struct open_how how = {
        .flags = (uint64_t)(unsigned)flags | O_CLOEXEC,
        .mode = flags & (O_CREAT | __O_TMPFILE) ? mode : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    long fd = -1;

    errno = EAGAIN; /* somebody moved a directory on the way just now */
    for (int i = 0; fd < 0 && (errno == EAGAIN || errno == EINTR) && i < OPEN_TRIES; i++) {
        fd = syscall(SYS_openat2, fs->dir, path[1] ? path + 1 : ".", &how, sizeof how);
    }
    return (int)fd;
}

int lfs_open_parent(const struct localfs *fs, const char *path, const char **ret_base)
{
    char dir[PFS_PATH_MAX + 1];
    size_t n;

    *ret_base = pfs_path_base(path);
    n = (size_t)(*ret_base - path);
    memcpy(dir, path, n);
    dir[n] = '\0';
    return lfs_open(fs, n > 1 ? dir : "/", O_PATH | O_DIRECTORY, 0);
}

enum pfs_class lfs_fail(struct pfs_error *err, int eno, const char *path)
{
    enum pfs_class cls = pfs_class_of_errno(eno);
    const char *text;

    switch (eno) {
    case ENOENT:
        text = "no such file or directory";
        break;
    case EISDIR:
        text = "is a directory";
        break;
    case ENOTDIR:
        text = "not a directory";
        break;
    case EEXIST:
        text = "file already exists";
        break;
    case ENOTEMPTY:
        text = "directory not empty";
        break;
    case EACCES:
    case EPERM:
        text = "permission denied";
        break;
    case EXDEV:
        text = "permission denied: the path leads out of the directory";
        break;
    default:
        text = strerrordesc_np(eno);
        break;
    }
    cls = pfs_refuse(err, cls, "%s: %s", text ? text : "input/output error", path);
    if (err) {
        err->sys_errno = eno;
    }
    return cls;
}

#define TEMP_PREFIX ".agfsd-"
#define TEMP_DIGITS 32

static bool looks_temp(const char *name)
{
    const char *digits = name + sizeof TEMP_PREFIX - 1;

    return strncmp(name, TEMP_PREFIX, sizeof TEMP_PREFIX - 1) == 0 &&
           strlen(digits) == TEMP_DIGITS && strspn(digits, "0123456789abcdef") == TEMP_DIGITS;
}

bool lfs_may_be_named(const char *path, struct pfs_error *err)
{
    if (looks_temp(pfs_path_base(path))) {
        pfs_refuse(err, PFS_INVALID, "%s: names of this form are the server's own temporary files",
                   path);
        return false;
    }
    return true;
}

int lfs_open_file(const struct localfs *fs, const char *path, int flags, struct stat *ret_st,
                  struct pfs_error *err)
{
    if ((flags & (O_ACCMODE | O_CREAT)) != O_RDONLY && !lfs_may_be_named(path, err)) {
        return -1;
    }
    /* O_NONBLOCK: opening a pipe must not wait for its other end. */
    int fd = lfs_open(fs, path, flags | O_NONBLOCK | O_NOCTTY, 0644);
    int eno = 0;

    if (fd < 0) {
        lfs_fail(err, errno == ENXIO ? EACCES : errno, path);
        return -1;
    }
    if (fstat(fd, ret_st) < 0) {
        eno = errno;
    } else if (S_ISDIR(ret_st->st_mode)) {
        eno = EISDIR;
    } else if (!S_ISREG(ret_st->st_mode)) {
        eno = EACCES;
    }
    if (eno) {
        close(fd);
        lfs_fail(err, eno, path);
        return -1;
    }
    return fd;
}

ssize_t lfs_pread_all(int fd, void *buf, size_t n, int64_t at)
{
    size_t have = 0;

    while (have < n) {
        ssize_t got = pread(fd, (char *)buf + have, n - have, at + (int64_t)have);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return -1;
        }
        if (got == 0) {
            break;
        }
        have += (size_t)got;
    }
    return (ssize_t)have;
}

bool lfs_pwrite_some(int fd, const void *buf, size_t n, int64_t at, size_t *ret_done)
{
    size_t done = 0;
    ssize_t put = 0;

    if (at > INT64_MAX - (int64_t)n) {
        errno = EFBIG; /* the kernel says EINVAL, after a part of it perhaps */
        put = -1;
    }
    while (put >= 0 && done < n) {
        const char *from = (const char *)buf + done;

        put = at < 0 ? write(fd, from, n - done) : pwrite(fd, from, n - done, at + (int64_t)done);
        if (put < 0 && errno == EINTR) {
            put = 0;
        }
        done += put > 0 ? (size_t)put : 0;
    }
    *ret_done = done;
    return put >= 0;
}

bool lfs_pwrite_all(int fd, const void *buf, size_t n, int64_t at)
{
    size_t done;

    return lfs_pwrite_some(fd, buf, n, at, &done);
}

uint32_t lfs_mode(mode_t mode)
{
    static const struct {
        mode_t type;
        uint32_t bits;
    } types[] = {{S_IFDIR, MODE_TYPE_DIR}, {S_IFLNK, MODE_TYPE_LINK}, {S_IFBLK, 0x04000000},
                 {S_IFCHR, 0x04200000},    {S_IFIFO, 0x02000000},     {S_IFSOCK, 0x01000000}};
    uint32_t out = mode & 0777;

    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        out |= (mode & S_IFMT) == types[i].type ? types[i].bits : 0;
    }
    out |= mode & S_ISUID ? 0x00800000 : 0;
    out |= mode & S_ISGID ? 0x00400000 : 0;
    out |= mode & S_ISVTX ? 0x00100000 : 0;
    return out;
}

int64_t lfs_mtime(const struct stat *st)
{
    return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

/* ---- replacing a file as a whole ---- */

/* Who writes content is idle for minutes at most: nobody writes this any more. */
#define TEMP_LIFE_S 3600

void lfs_make_temp_name(char temp[48])
{
    unsigned long long r[2] = {0, 0};

    if (getrandom(r, sizeof r, 0) != (ssize_t)sizeof r) {
        r[0] = (unsigned long long)getpid();
    }
    snprintf(temp, 48, TEMP_PREFIX "%016llx%016llx", r[0], r[1]);
}

bool lfs_is_temp(int dir, const char *name)
{
    struct stat st;

    if (!looks_temp(name) || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(st.st_mode)) {
        return false;
    }
    if (pfs_wall_now() / PFS_SEC - st.st_mtim.tv_sec > TEMP_LIFE_S) {
        unlinkat(dir, name, 0);
    }
    return true;
}

/* A nameless file in dir where the file system can, else one with a temporary name. */
static int open_temp(struct lfs_put *p)
{
    int fd = openat(p->dir, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0644);

    p->temp[0] = '\0';
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT)) {
        lfs_make_temp_name(p->temp);
        fd = openat(p->dir, p->temp, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0644);
    }
    return fd;
}

/* Checks what is at the target now. Returns an errno; fills *st, *ret_there. */
static int check_target(const struct lfs_put *p, const struct write_plan *plan, struct stat *st,
                        bool *ret_there)
{
    *ret_there = fstatat(p->dir, p->name, st, AT_SYMLINK_NOFOLLOW) == 0;
    if (!*ret_there) {
        return errno != ENOENT ? errno : plan->create ? 0 : ENOENT;
    }
    if (plan->exclusive) {
        return EEXIST;
    }
    if (S_ISDIR(st->st_mode)) {
        return EISDIR;
    }
    if (!S_ISREG(st->st_mode)) {
        return EACCES;
    }
    /* Who may not write to the file may not replace it either, though the directory lets him. */
    return faccessat(p->dir, p->name, W_OK, AT_EACCESS) < 0 ? errno : 0;
}

/*
 * Makes the new content look like the old file. Where we may not give it away it is ours, and its
 * group as well unless we are in that one: it then may no more than others, and nobody is who runs
 * it. Returns an errno.
 */
static int look_like(int fd, const struct stat *st)
{
    mode_t mode = st->st_mode & 07777;

    if ((st->st_uid != geteuid() || st->st_gid != getegid()) &&
        fchown(fd, st->st_uid, st->st_gid) < 0) {
        if (errno != EPERM) {
            return errno;
        }
        mode &= 01777;
        if (fchown(fd, (uid_t)-1, st->st_gid) < 0) {
            mode &= ~(mode_t)070 | (mode & 07) << 3;
        }
    }
    return fchmod(fd, mode) < 0 ? errno : 0;
}

/* What the open file is called now, below the base directory; it may just lose that name. */
static bool name_of(const struct localfs *fs, int fd, char dst[PFS_PATH_MAX + 1])
{
    char proc[40], host[PFS_PATH_MAX + 1];
    const char *rest;

    snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(proc, host, sizeof host - 1);

    host[n > 0 ? n : 0] = '\0';
    if (n <= 0 || !pfs_path_below(host, fs->dir_name, &rest)) {
        return false;
    }
    memmove(dst, rest, strlen(rest) + 1);
    return true;
}

static bool is_same_file(const struct localfs *fs, const char *path, int fd)
{
    struct stat a, b;
    int other = lfs_open(fs, path, O_PATH | O_NOFOLLOW, 0);
    bool same = other >= 0 && fstat(other, &a) == 0 && fstat(fd, &b) == 0 && a.st_dev == b.st_dev &&
                a.st_ino == b.st_ino;

    if (other >= 0) {
        close(other);
    }
    return same;
}

/*
 * A link is written through, like everywhere, so the file to replace is the one it leads to: false
 * when that is outside the base directory or missing. A file that was replaced since it was opened
 * is called "name (deleted)" by the kernel, so what the name means is looked up, and else the link
 * once more.
 */
static bool follow_link(const struct localfs *fs, const char *path, char dst[PFS_PATH_MAX + 1])
{
    bool found = false, again = true;

    for (int i = 0; again && i < OPEN_TRIES; i++) {
        int fd = lfs_open(fs, path, O_PATH, 0);

        again = fd >= 0 && name_of(fs, fd, dst);
        found = again && is_same_file(fs, dst, fd);
        again = again && !found;
        if (fd >= 0) {
            close(fd);
        }
    }
    return found;
}

/* Opens the directory of path and looks at what the last name is there. Returns an errno. */
static int aim(struct lfs_put *p, const struct localfs *fs, const char *path,
               const struct write_plan *plan, struct stat *st, bool *ret_there)
{
    const char *base;

    *p = (struct lfs_put){.dir = -1, .fd = -1, .exclusive = plan->exclusive, .sync = plan->sync};
    *ret_there = false;
    if (!path[1]) {
        return EISDIR;
    }
    p->dir = lfs_open_parent(fs, path, &base);
    if (p->dir < 0) {
        return errno;
    }
    p->name = pfs_strdup(base);
    return p->name ? check_target(p, plan, st, ret_there) : ENOMEM;
}

enum pfs_class lfs_put_begin(const struct localfs *fs, const char *path,
                             const struct write_plan *plan, struct lfs_put *ret,
                             struct pfs_error *err)
{
    char target[PFS_PATH_MAX + 1];
    struct lfs_put p;
    struct stat st;
    bool there;
    int eno = aim(&p, fs, path, plan, &st, &there);

    if (there && S_ISLNK(st.st_mode) && !plan->exclusive && follow_link(fs, path, target)) {
        lfs_put_abort(&p);
        path = target;
        eno = aim(&p, fs, path, plan, &st, &there);
    }
    if (!lfs_may_be_named(path, err)) {
        lfs_put_abort(&p);
        return PFS_INVALID;
    }
    if (eno == 0) {
        p.fd = open_temp(&p);
        eno = p.fd < 0 ? errno : there ? look_like(p.fd, &st) : 0;
    }
    if (eno) {
        lfs_put_abort(&p);
        return lfs_fail(err, eno, path);
    }
    *ret = p;
    return PFS_OK;
}

/* Gives a nameless file the name; false and errno. */
static bool link_as(const struct lfs_put *p, const char *name)
{
    char proc[40];

    snprintf(proc, sizeof proc, "/proc/self/fd/%d", p->fd);
    return linkat(AT_FDCWD, proc, p->dir, name, AT_SYMLINK_FOLLOW) == 0;
}

/* Moves the new content to its name. Returns an errno. */
static int put_into_place(struct lfs_put *p)
{
    if (p->temp[0] == '\0') {
        if (link_as(p, p->name)) { /* there was no such file */
            return 0;
        }
        if (errno != EEXIST || p->exclusive) {
            return errno;
        }
        lfs_make_temp_name(p->temp);
        if (!link_as(p, p->temp)) {
            int eno = errno;

            p->temp[0] = '\0';
            return eno;
        }
    }
    if (renameat2(p->dir, p->temp, p->dir, p->name, p->exclusive ? RENAME_NOREPLACE : 0) < 0) {
        return errno;
    }
    p->temp[0] = '\0';
    return 0;
}

enum pfs_class lfs_put_commit(struct lfs_put *p, const char *path, struct pfs_error *err)
{
    /* For the new name to be on the disk as well; whatever can fail before it is there, does. */
    int dir = p->sync ? openat(p->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    int eno = p->sync && (dir < 0 || fsync(p->fd) < 0) ? errno : 0;
    bool placed = false;

    if (eno == 0) {
        eno = put_into_place(p);
        placed = eno == 0;
    }
    if (placed && dir >= 0 && fsync(dir) < 0) {
        eno = errno;
    }
    if (dir >= 0) {
        close(dir);
    }
    lfs_put_abort(p);
    if (eno) {
        lfs_fail(err, eno, path);
        if (placed && err) {
            err->outcome = PFS_OUTCOME_UN; /* it can be read, and may be lost with the machine */
        }
    }
    return eno ? pfs_class_of_errno(eno) : PFS_OK;
}

void lfs_put_abort(struct lfs_put *p)
{
    if (p->temp[0]) {
        unlinkat(p->dir, p->temp, 0);
    }
    if (p->fd >= 0) {
        close(p->fd);
    }
    if (p->dir >= 0) {
        close(p->dir);
    }
    pfs_free(p->name);
    *p = (struct lfs_put){.dir = -1, .fd = -1};
}
