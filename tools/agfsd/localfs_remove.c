/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Removing an entry, and a tree, however deep. Directories on the way down are open, each by a
 * descriptor: what is deeper than that is moved up into the topmost one, and had from there.
 */
#include "base/err.h"
#include "localfs.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DEPTH_MAX 256 /* descriptors of a removal; 16 may be under way in a mount */

struct removal {
    int top;           /* the topmost directory, -1: not open yet */
    unsigned n_lifted; /* directories moved there */
};

static int remove_tree(struct removal *r, int dir, const char *name, unsigned depth);

/* Removes everything in the directory `fd`, which is taken. Returns an errno. */
static int remove_entries(struct removal *r, int fd, unsigned depth)
{
    DIR *list = fdopendir(fd);
    int eno = 0;

    if (!list) {
        eno = errno;
        close(fd);
        return eno;
    }
    while (eno == 0) {
        errno = 0;
        struct dirent *e = readdir(list);

        if (!e) {
            eno = errno;
            break;
        }
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            eno = remove_tree(r, dirfd(list), e->d_name, depth + 1);
        }
    }
    closedir(list);
    return eno;
}

static int lift(struct removal *r, int dir, const char *name)
{
    char temp[48];

    lfs_make_temp_name(temp);
    if (renameat(dir, name, r->top, temp) < 0) {
        return errno == ENOENT ? 0 : errno;
    }
    r->n_lifted++;
    return 0;
}

static int open_dir(int dir, const char *name)
{
    return openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Removes what is called name in dir, links themselves, not what they point to. */
static int remove_tree(struct removal *r, int dir, const char *name, unsigned depth)
{
    if (unlinkat(dir, name, 0) == 0 || errno == ENOENT) {
        return 0;
    }
    if (errno != EISDIR && errno != EPERM) {
        return errno;
    }
    if (depth >= DEPTH_MAX) {
        return lift(r, dir, name);
    }
    int fd = open_dir(dir, name);

    if (fd < 0) {
        return errno == ENOENT ? 0 : errno; /* another one removed it meanwhile */
    }
    int eno = remove_entries(r, fd, depth);

    if (eno == 0 && unlinkat(dir, name, AT_REMOVEDIR) < 0 && errno != ENOENT) {
        eno = errno;
    }
    return eno;
}

/* The tree of a directory, as often as a part of it was lifted. */
static int remove_dir(int dir, const char *name)
{
    struct removal r = {.top = open_dir(dir, name)};
    int eno = r.top < 0 ? errno : 0;

    do {
        int fd = eno == 0 ? open_dir(r.top, ".") : -1;

        r.n_lifted = 0;
        eno = eno ? eno : fd < 0 ? errno : remove_entries(&r, fd, 0);
    } while (eno == 0 && r.n_lifted > 0);
    if (r.top >= 0) {
        close(r.top);
    }
    if (eno == 0 && unlinkat(dir, name, AT_REMOVEDIR) < 0 && errno != ENOENT) {
        eno = errno;
    }
    return eno;
}

/*
 * Opens the directory that holds the path's entry (O_PATH) and says what it is called there and
 * whether it is a directory itself; -1 and *err.
 */
static int open_entry(struct pfs_driver *d, const char *path, const char **ret_base,
                      bool *ret_is_dir, struct pfs_error *err)
{
    struct stat st;

    if (!path[1]) {
        pfs_refuse(err, PFS_DENIED, "permission denied: cannot remove root directory");
        return -1;
    }
    int dir = lfs_open_parent(lfs_of(d), path, ret_base);

    if (dir < 0 || fstatat(dir, *ret_base, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        lfs_fail(err, errno, path);
        if (dir >= 0) {
            close(dir);
        }
        return -1;
    }
    *ret_is_dir = S_ISDIR(st.st_mode);
    return dir;
}

void lfs_remove(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    const char *base;
    bool is_dir;
    int dir = open_entry(d, req->path, &base, &is_dir, &reply->err);

    if (dir < 0) {
        return;
    }
    if (unlinkat(dir, base, is_dir ? AT_REMOVEDIR : 0) < 0) {
        lfs_fail(&reply->err, errno, req->path);
    }
    close(dir);
}

void lfs_removeall(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    const char *base;
    bool is_dir;
    int dir = open_entry(d, req->path, &base, &is_dir, &reply->err);

    if (dir < 0) {
        return;
    }
    int eno = is_dir ? remove_dir(dir, base) : unlinkat(dir, base, 0) < 0 ? errno : 0;

    if (eno) {
        lfs_fail(&reply->err, eno, req->path);
        /* Of a tree a part may be gone. */
        reply->err.outcome = is_dir && eno != ENOENT ? PFS_OUTCOME_UN : PFS_OUTCOME_NA;
    }
    close(dir);
}
