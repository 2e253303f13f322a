/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Sources and sinks: a file of AGFS or of this machine, read or written piece by piece. */
#include "cancel.h"
#include "transfer.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- source -------------------------------------------------------------------------------- */

static int open_local_source(struct cli *cli, const char *path, struct source *s)
{
    struct stat st;
    int fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    int eno = fd < 0 || fstat(fd, &st) != 0 ? errno : S_ISDIR(st.st_mode) ? EISDIR : 0;
    if (eno) {
        if (fd >= 0)
            close(fd);
        return cli_fail_local(cli, path, eno);
    }
    s->fd = fd;
    /* Files of /proc say 0, and hold something. */
    s->size = S_ISREG(st.st_mode) && st.st_size > 0 ? st.st_size : -1;
    return 0;
}

int source_open(struct cli *cli, const struct place *p, struct source *ret)
{
    struct pfs_error err;
    struct source s = {.fd = -1, .size = -1};
    if (p->local) {
        int code = open_local_source(cli, p->path, &s);
        if (code)
            return code;
    } else {
        if (pfs_open_read(cli->client, p->path, 0, -1, &s.stream, &err) != PFS_OK)
            return cli_fail(cli, p->path, &err);
        s.size = s.stream->size;
    }
    s.show = place_show(p);
    *ret = s;
    return 0;
}

static bool is_stream(struct cli *cli, const char *path)
{
    struct pfs_stat st;
    if (pfs_stat(cli->client, path, &st, NULL) != PFS_OK)
        return false;
    bool yes = st.meta_type && strcmp(st.meta_type, "stream") == 0;
    pfs_stat_fini(&st);
    return yes;
}

static enum pfs_class open_live(struct cli *cli, const char *path, struct pfs_stream **ret,
                                struct pfs_error *err)
{
    struct pfs_request req = PFS_REQUEST_INIT;
    struct pfs_reply reply;
    req.op = PFS_OP_OPEN_READ;
    req.path = path;
    req.flags = PFS_READ_STREAM;
    enum pfs_class cls = pfs_call(cli->client, &req, &reply);
    *err = reply.err;
    if (cls == PFS_OK) {
        *ret = reply.stream;
        reply.stream = NULL;
    }
    pfs_reply_fini(&reply);
    return cls;
}

int source_open_stream(struct cli *cli, const struct place *p, bool always, struct source *ret)
{
    struct pfs_error err;
    struct source s = {.fd = -1, .size = -1};
    if (p->local)
        return source_open(cli, p, ret);
    enum pfs_class cls =
        always ? PFS_OK : pfs_open_read(cli->client, p->path, 0, -1, &s.stream, &err);
    if (cls == PFS_OK && s.stream)
        s.size = s.stream->size;
    else if (always ||
             (err.phase == PFS_PHASE_REPLY && cls != PFS_NOTFOUND && is_stream(cli, p->path)))
        cls = open_live(cli, p->path, &s.stream, &err);
    if (cls != PFS_OK)
        return cli_fail(cli, p->path, &err);
    s.show = place_show(p);
    *ret = s;
    return 0;
}

int source_read(struct cli *cli, struct source *s, void *buf, size_t cap, size_t *ret_n)
{
    struct pfs_error err;
    if (s->stream) {
        if (pfs_stream_read(s->stream, buf, cap, ret_n, &err) != PFS_OK)
            return cli_fail(cli, s->show, &err);
        return 0;
    }
    ssize_t n = read(s->fd, buf, cap);
    if (n < 0)
        return cli_error(cli, EXIT_OTHER, "%s: %s", s->show, strerror(errno));
    *ret_n = (size_t)n;
    return 0;
}

void source_close(struct source *s)
{
    if (s->stream)
        pfs_stream_close(s->stream);
    if (s->fd >= 0)
        close(s->fd);
    free(s->show);
    *s = (struct source){.fd = -1};
}

/* ---- sink ---------------------------------------------------------------------------------- */

/* umask can only be read by setting it, for all threads: once, before any of them makes a file. */
static pthread_once_t mask_once = PTHREAD_ONCE_INIT;
static mode_t mask;

static void read_mask(void)
{
    mask = umask(0);
    umask(mask);
}

static int open_temporary(struct cli *cli, const struct stat *old, struct sink *s)
{
    pthread_once(&mask_once, read_mask);
    s->temporary = local_temporary(s->target);
    s->fd = cancel_file(s->temporary);
    if (s->fd < 0) {
        free(s->temporary);
        s->temporary = NULL;
        return cli_fail_local(cli, s->target, errno);
    }
    s->mode = old ? old->st_mode & 07777 : 0666 & ~mask;
    return 0;
}

void sink_set_mode(struct sink *s, unsigned mode)
{
    if (mode && s->temporary && s->is_new)
        s->mode = mode & ~mask;
}

static int open_appended(struct cli *cli, const char *path, struct sink *s)
{
    struct stat st;
    s->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_APPEND, 0666);
    if (s->fd < 0 || fstat(s->fd, &st) != 0)
        return cli_fail_local(cli, path, errno);
    s->appends = S_ISREG(st.st_mode);
    s->old_size = st.st_size;
    return 0;
}

/* Regular files are written beside their place; devices, pipes and appended files in place. */
static int open_local_sink(struct cli *cli, const char *path, uint32_t flags, struct sink *s)
{
    struct stat st;
    bool append = (flags & PFS_WRITE_APPEND) != 0, exists = stat(path, &st) == 0;
    if (strcmp(path, "-") == 0) {
        s->fd = dup(STDOUT_FILENO);
        return s->fd < 0 ? cli_fail_local(cli, path, errno) : 0;
    }
    /* Through a symbolic link, so that the link stays one. */
    s->target = exists ? realpath(path, NULL) : NULL;
    if (s->target == NULL)
        s->target = xstrdup(path);
    if (exists && S_ISDIR(st.st_mode))
        return cli_fail_local(cli, path, EISDIR);
    s->is_new = !exists;
    if (!append && (!exists || S_ISREG(st.st_mode)))
        return open_temporary(cli, exists ? &st : NULL, s);
    if (append)
        return open_appended(cli, path, s);
    s->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    return s->fd < 0 ? cli_fail_local(cli, path, errno) : 0;
}

int sink_open(struct cli *cli, const struct place *p, int64_t length, uint32_t flags,
              struct sink *ret)
{
    struct pfs_error err;
    struct sink s = {.fd = -1};
    int code = 0;
    s.show = place_show(p);
    if (p->local)
        code = open_local_sink(cli, p->path, flags, &s);
    else if (pfs_open_write(cli->client, p->path, length, flags, &s.stream, &err) != PFS_OK)
        code = cli_fail_change(cli, p->path, &err);
    if (code)
        sink_close(&s);
    else
        *ret = s;
    return code;
}

/* What is printed comes from the file that it is appended to: there would be no end. */
static bool is_own_input(const struct cli *cli, const struct sink *s)
{
    struct stat in, out;
    return s->appends && cli->printing && cli->printing->fd >= 0 &&
           fstat(cli->printing->fd, &in) == 0 && fstat(s->fd, &out) == 0 &&
           in.st_dev == out.st_dev && in.st_ino == out.st_ino;
}

int sink_write(struct cli *cli, struct sink *s, const void *buf, size_t len)
{
    struct pfs_error err;
    if (s->stream) {
        if (pfs_stream_write(s->stream, buf, len, &err) != PFS_OK)
            return cli_fail_change(cli, s->show, &err);
        return 0;
    }
    if (is_own_input(cli, s))
        return cli_error(cli, EXIT_OTHER, "%s: input file is output file", s->show);
    for (const char *at = buf; len > 0;) {
        ssize_t n = write(s->fd, at, len);
        if (n < 0)
            return cli_error(cli, EXIT_OTHER, "%s: %s", s->show, strerror(errno));
        at += n;
        s->written += n;
        len -= (size_t)n;
    }
    return 0;
}

int sink_finish(struct cli *cli, struct sink *s)
{
    struct pfs_error err;
    if (s->stream) {
        if (pfs_stream_finish(s->stream, &err) != PFS_OK)
            return cli_fail_change(cli, s->show, &err);
        return 0;
    }
    s->appends = false; /* there is nothing to take back any more */
    if (s->temporary == NULL)
        return 0;
    if (fchmod(s->fd, s->mode) != 0 || fsync(s->fd) != 0 || rename(s->temporary, s->target) != 0)
        return cli_fail_local(cli, s->target, errno);
    cancel_file_done(s->temporary);
    free(s->temporary);
    s->temporary = NULL;
    return 0;
}

/* Takes back what was appended, unless others have appended since: theirs would go with it. */
static void take_back(const struct sink *s)
{
    struct stat st;
    if (fstat(s->fd, &st) != 0 || st.st_size != s->old_size + s->written)
        return;
    if (s->is_new)
        unlink(s->target);
    else if (s->written > 0 && ftruncate(s->fd, s->old_size) != 0)
        return; /* it stays as it is; why the command failed has been said */
}

void sink_close(struct sink *s)
{
    if (s->stream)
        pfs_stream_close(s->stream);
    if (s->appends)
        take_back(s);
    if (s->fd >= 0)
        close(s->fd);
    if (s->temporary) {
        unlink(s->temporary);
        cancel_file_done(s->temporary);
    }
    free(s->temporary);
    free(s->target);
    free(s->show);
    *s = (struct sink){.fd = -1};
}
