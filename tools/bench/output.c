/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "output.h"
#include "interrupt.h"
#include "util.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The name of a file that must not stay when the process ends; NULL: there is none. */
static void set_temporary(struct outputs *all, struct output *o, char *path)
{
    interrupt_unlinks((size_t)(o - all->v), path);
    free(o->temporary);
    o->temporary = path;
}

static int fail(const struct output *o)
{
    return complain(EXIT_OTHER, "cannot write %s: %s", o->path, strerror(errno));
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
    char *temporary = xasprintf("%s.agfs-bench-XXXXXX", o->path);
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

int outputs_add(struct outputs *o, const char *path, report_writer_fn *write)
{
    if (path == NULL)
        return 0;
    for (size_t i = 0; i < o->n; i++) {
        if (strcmp(o->v[i].path, path) == 0 && (o->v[i].temporary || o->v[i].f == stdout))
            return complain(EXIT_USAGE, "%s: a file takes one report only",
                            strcmp(path, "-") == 0 ? "standard output" : path);
    }
    struct output *next = &o->v[o->n++];
    *next = (struct output){.path = path, .write = write};
    if (path[0] == '\0') {
        errno = ENOENT;
        return fail(next);
    }
    if (strcmp(path, "-") != 0)
        return open_file(o, next);
    o->stdout_taken = true;
    next->f = stdout;
    return 0;
}

int outputs_write(struct outputs *o, const struct report *r)
{
    for (size_t i = 0; i < o->n; i++) {
        struct output *out = &o->v[i];
        out->write(out->f, r);
        bool failed = ferror(out->f) || fflush(out->f) != 0;
        if (out->f != stdout) {
            failed |= fclose(out->f) != 0;
            out->f = NULL;
        }
        if (failed || (out->temporary && rename(out->temporary, out->path) != 0))
            return fail(out);
        set_temporary(o, out, NULL);
    }
    return 0;
}

void outputs_fini(struct outputs *o)
{
    for (size_t i = 0; i < o->n; i++) {
        if (o->v[i].f && o->v[i].f != stdout)
            fclose(o->v[i].f);
        if (o->v[i].temporary)
            unlink(o->v[i].temporary);
        set_temporary(o, &o->v[i], NULL);
    }
    o->n = 0;
}
