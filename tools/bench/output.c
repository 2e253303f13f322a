/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "output.h"
#include "interrupt.h"
#include "util.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINKS_MAX 40 /* as the kernel follows */

/* The name of a file that must not stay when the process ends; NULL: there is none. */
static void set_temporary(struct outputs *all, struct output *o, char *path)
{
    interrupt_unlinks((size_t)(o - all->v), path);
    free(o->temporary);
    o->temporary = path;
}

static int cannot_write(const char *what)
{
    return complain(EXIT_OTHER, "cannot write %s: %s", what, strerror(errno));
}

static int fail(const struct output *o)
{
    return cannot_write(o->f == stdout ? "standard output" : o->path);
}

/* With the errno of the last write: those after one that failed fail for the same reason. */
static bool has_failed(FILE *f)
{
    if (!ferror(f))
        return fflush(f) != 0;
    errno = errno ? errno : EIO;
    return true;
}

int output_flush_stdout(void)
{
    return has_failed(stdout) ? cannot_write("standard output") : 0;
}

/* ---- opening ---- */

/* "-", or another name of it, as /dev/stdout. /dev/null takes any number of reports. */
static bool is_stdout(const char *path)
{
    struct stat out, st;

    if (strcmp(path, "-") == 0)
        return true;
    return fstat(STDOUT_FILENO, &out) == 0 && stat(path, &st) == 0 && out.st_dev == st.st_dev &&
           out.st_ino == st.st_ino && (!S_ISCHR(st.st_mode) || isatty(STDOUT_FILENO));
}

/* Where the path leads to through links, be it there or not. To be freed; NULL: errno. */
static char *follow(const char *path)
{
    char *at = xstrdup(path), to[PATH_MAX];

    for (int i = 0; i < LINKS_MAX; i++) {
        ssize_t n = readlink(at, to, sizeof to);
        if (n < 0)
            return at; /* no link, or nothing there yet */
        const char *slash = to[0] == '/' ? NULL : strrchr(at, '/'); /* else from where it lies */
        char *next = xasprintf("%.*s%.*s", slash ? (int)(slash - at) + 1 : 0, at, (int)n, to);
        free(at);
        at = next;
    }
    free(at);
    errno = ELOOP;
    return NULL;
}

/* Devices and pipes are written in place; files beside it, with the mode that a new file gets. */
static int open_file(struct outputs *all, struct output *o)
{
    struct stat st;

    if (stat(o->path, &st) == 0 && !S_ISREG(st.st_mode)) {
        o->f = S_ISDIR(st.st_mode) ? NULL : fopen(o->path, "we");
        errno = S_ISDIR(st.st_mode) ? EISDIR : errno;
        return o->f ? 0 : fail(o);
    }
    mode_t mask = umask(0); /* it can only be read by setting it */
    umask(mask);
    char *temporary = xasprintf("%s.agfs-bench-XXXXXX", o->place);
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0) {
        free(temporary);
        return fail(o);
    }
    set_temporary(all, o, temporary);
    if (fchmod(fd, 0666 & ~mask) != 0 || (o->f = fdopen(fd, "w")) == NULL) {
        close(fd);
        return fail(o);
    }
    return 0;
}

/* Renamed to one place, or mixed on stdout, two reports would be none. */
static bool is_taken(const struct outputs *all, const struct output *o)
{
    for (const struct output *other = all->v; other < o; other++) {
        if (o->f == stdout ? other->f == stdout
                           : other->temporary && strcmp(other->place, o->place) == 0)
            return true;
    }
    return false;
}

int outputs_add(struct outputs *o, const char *path, report_writer_fn *write)
{
    if (path == NULL)
        return 0;
    struct output *next = &o->v[o->n++];
    *next = (struct output){.path = path, .write = write};
    if (path[0] == '\0') {
        errno = ENOENT;
        return fail(next);
    }
    if (is_stdout(path))
        next->f = stdout;
    else if ((next->place = follow(path)) == NULL)
        return fail(next);
    if (is_taken(o, next))
        return complain(EXIT_USAGE, "%s: a file takes one report only",
                        next->f ? "standard output" : path);
    o->stdout_taken |= next->f == stdout;
    return next->f ? 0 : open_file(o, next);
}

/* ---- writing ---- */

static int write_one(struct outputs *all, struct output *o, const struct report *r)
{
    errno = 0;
    o->write(o->f, r);
    bool failed = has_failed(o->f);
    if (o->f != stdout) {
        failed |= fclose(o->f) != 0;
        o->f = NULL;
    }
    if (failed || (o->temporary && rename(o->temporary, o->place) != 0))
        return fail(o);
    set_temporary(all, o, NULL);
    return 0;
}

int outputs_write(struct outputs *o, const struct report *r)
{
    int code = 0;

    for (size_t i = 0; i < o->n; i++) {
        int one = write_one(o, &o->v[i], r);
        code = code ? code : one;
    }
    return code;
}

void outputs_fini(struct outputs *o)
{
    for (size_t i = 0; i < o->n; i++) {
        if (o->v[i].f && o->v[i].f != stdout)
            fclose(o->v[i].f);
        if (o->v[i].temporary)
            unlink(o->v[i].temporary);
        set_temporary(o, &o->v[i], NULL);
        free(o->v[i].place);
    }
    o->n = 0;
}
