/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "move.h"
#include "cancel.h"
#include "fresh.h"
#include "stop.h"
#include "transfer.h"
#include "tree.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

int move_remove(struct cli *cli, const struct place *p)
{
    struct pfs_error err;
    if (p->local)
        return remove(p->path) == 0 ? 0 : cli_fail_local(cli, p->path, errno);
    return pfs_remove(cli->client, p->path, &err) == PFS_OK ? 0
                                                            : cli_fail_change(cli, p->path, &err);
}

/* A name in the directory that nobody else has. */
static struct place unused_name(const char *dir)
{
    char name[sizeof(".agfs-") + 16];
    uint64_t n;
    if (getrandom(&n, sizeof(n), 0) != (ssize_t)sizeof(n)) /* never: so few bytes come at once */
        n = (uint64_t)getpid();
    snprintf(name, sizeof(name), ".agfs-%016" PRIx64, n);
    return (struct place){.path = path_join(dir, name)};
}

/* ---- a file onto another -------------------------------------------------------------------- */

/*
 * The copy that waits beside its place. It is removed when the tool is cancelled, until the source
 * goes: from then on it may be all there is.
 */
struct waiting {
    struct place at;
    char *show;
};

/* What was not for everybody must not become so: neither what is replaced, nor what is moved. */
static unsigned mode_of_both(unsigned old, unsigned moved)
{
    return old & (moved ? moved : 07777);
}

/* mode: of what is moved. */
static int make_local(struct cli *cli, const char *to, unsigned mode, struct place *ret)
{
    struct stat st;
    char *path = local_temporary(to);
    int fd = stat(to, &st) == 0 ? cancel_file(path) : -1;
    if (fd < 0) {
        free(path);
        return cli_fail_local(cli, to, errno);
    }
    *ret = (struct place){.local = true, .path = path};
    int code = fchmod(fd, mode_of_both(st.st_mode & 07777, mode)) == 0
                   ? 0
                   : cli_fail_local(cli, path, errno);
    close(fd);
    if (code) {
        unlink(path);
        cancel_file_done(path);
        place_fini(ret);
    }
    return code;
}

static int waiting_begin(struct cli *cli, const struct place *to, unsigned mode,
                         struct waiting *ret)
{
    struct place at;
    if (to->local) {
        int code = make_local(cli, to->path, mode, &at);
        if (code)
            return code;
    } else {
        char *dir = path_parent(to->path);
        at = unused_name(dir);
        free(dir);
    }
    *ret = (struct waiting){.at = at, .show = place_show(&at)};
    if (!at.local)
        cancel_tell(ret->show); /* nothing can be removed there in a hurry */
    return 0;
}

/* Here the copy has the mode from the beginning; a server that cannot change modes has none that
 * matter. */
static void keep_mode(struct cli *cli, const struct place *to, unsigned mode,
                      const struct waiting *w)
{
    struct pfs_stat st;
    if (to->local || pfs_stat(cli->client, to->path, &st, NULL) != PFS_OK)
        return;
    struct pfs_request req = PFS_REQUEST_INIT;
    struct pfs_reply reply;
    req.op = PFS_OP_CHMOD;
    req.path = w->at.path;
    req.mode = mode_of_both(st.mode & 07777, mode);
    pfs_call(cli->client, &req, &reply);
    pfs_reply_fini(&reply);
    pfs_stat_fini(&st);
}

/* Removes a copy that is not to be. */
static void drop(struct cli *cli, const struct place *p)
{
    struct pfs_error err;
    if (p->local)
        unlink(p->path);
    else if (pfs_remove(cli->client, p->path, &err) != PFS_OK && err.cls != PFS_NOTFOUND)
        cli_error(cli, 0, "%s: left behind: %s", p->path, err.text);
}

static void waiting_end(struct waiting *w)
{
    cancel_file_done(w->at.path);
    cancel_file_done(w->show);
    place_fini(&w->at);
    free(w->show);
}

/* *ret_is_there: in spite of the failure; else it may be gone. */
static int remove_source(struct cli *cli, const struct place *from, bool *ret_is_there)
{
    struct pfs_error err;
    *ret_is_there = true;
    if (from->local)
        return move_remove(cli, from);
    if (pfs_remove(cli->client, from->path, &err) == PFS_OK)
        return 0;
    *ret_is_there = err.outcome == PFS_OUTCOME_NA;
    return cli_fail_change(cli, from->path, &err);
}

/* Many servers do not rename onto a file, and some not at all: then the copy is copied. */
static int put_in_place(struct cli *cli, const struct place *at, const struct place *to,
                        unsigned mode)
{
    struct pfs_error err;
    if (at->local)
        return rename(at->path, to->path) == 0 ? 0 : cli_fail_local(cli, to->path, errno);
    if (pfs_rename(cli->client, at->path, to->path, &err) == PFS_OK)
        return 0;
    if (err.outcome != PFS_OUTCOME_NA)
        return cli_fail_pair(cli, at->path, to->path, &err);
    fresh_narrow(cli, to->path, mode);
    int code = transfer_copy(cli, at, to);
    if (code == 0)
        code = transfer_verify(cli, at, to);
    return code ? code : move_remove(cli, at);
}

/* The copy is complete, under a name that is surely not the source's. */
static int replace_source(struct cli *cli, const struct place *from, const struct place *to,
                          struct waiting *w)
{
    bool is_there;
    if (w->at.local) {
        cancel_tell(w->show);
        cancel_file_done(w->at.path);
    }
    int code = remove_source(cli, from, &is_there);
    if (code && is_there) {
        drop(cli, &w->at);
        return code;
    }
    keep_first(&code, code ? 0 : put_in_place(cli, &w->at, to, from->mode));
    return code ? cli_error(cli, code, "%s: its content is in %s", from->path, w->show) : 0;
}

/* `to` exists, and may be the very same file: a copy over it, and it goes with the source. */
static int move_onto(struct cli *cli, const struct place *from, const struct place *to)
{
    struct waiting w;
    int code = waiting_begin(cli, to, from->mode, &w);
    if (code)
        return code;
    code = transfer_copy(cli, from, &w.at);
    if (code == 0)
        code = transfer_verify(cli, from, &w.at);
    if (code == 0)
        code = stop_if_cancelled(cli, from->path);
    if (code) {
        drop(cli, &w.at);
    } else {
        keep_mode(cli, to, from->mode, &w);
        code = replace_source(cli, from, to, &w);
    }
    waiting_end(&w);
    return code;
}

/* What did not exist is not the source. */
static int move_to_new(struct cli *cli, const struct place *from, const struct place *to)
{
    int code = transfer_copy(cli, from, to);
    if (code)
        return code;
    code = transfer_verify(cli, from, to);
    if (code == 0)
        code = stop_if_cancelled(cli, from->path);
    if (code == 0)
        return move_remove(cli, from);
    if (cancel_asked())
        drop(cli, to);
    return code;
}

int move_file(struct cli *cli, const struct place *from, const struct place *to)
{
    enum kind kind;
    int code = place_kind(cli, to, &kind);
    if (code)
        return code;
    if (kind == KIND_NONE)
        return move_to_new(cli, from, to);
    if (kind != KIND_FILE)
        return cli_error(cli, EXIT_OTHER, "%s%s: %s", to->local ? "local:" : "", to->path,
                         kind == KIND_DIR ? "is a directory" : "not a regular file");
    /* Through a symbolic link, so that the link stays one. */
    struct place real = {.local = to->local};
    real.path = to->local ? realpath(to->path, NULL) : xstrdup(to->path);
    code = real.path ? move_onto(cli, from, &real) : cli_fail_local(cli, to->path, errno);
    place_fini(&real);
    return code;
}

/* ---- a directory into itself ----------------------------------------------------------------- */

/* Makes an empty file in the directory. */
static int make_mark(struct cli *cli, const struct place *dir, struct place *ret)
{
    struct pfs_error err;
    if (!dir->local) {
        *ret = unused_name(dir->path);
        if (pfs_create(cli->client, ret->path, &err) == PFS_OK)
            return 0;
        int code = cli_fail_change(cli, dir->path, &err);
        place_fini(ret);
        return code;
    }
    *ret = (struct place){.local = true, .path = path_join(dir->path, ".agfs-XXXXXX")};
    int fd = cancel_file(ret->path);
    if (fd >= 0) {
        close(fd);
        return 0;
    }
    place_fini(ret);
    return cli_fail_local(cli, dir->path, errno);
}

static int remove_mark(struct cli *cli, struct place *mark)
{
    int code = move_remove(cli, mark);
    cancel_file_done(mark->path);
    place_fini(mark);
    return code;
}

/* Whatever a server says to a path that leads nowhere is "no". */
static int look_for(struct cli *cli, const struct place *p, bool *ret_found)
{
    struct pfs_stat st;
    struct pfs_error err;
    struct stat local;
    if (p->local) {
        *ret_found = lstat(p->path, &local) == 0;
        return 0;
    }
    *ret_found = pfs_stat(cli->client, p->path, &st, &err) == PFS_OK;
    if (*ret_found)
        pfs_stat_fini(&st);
    return *ret_found || err.phase == PFS_PHASE_REPLY ? 0 : cli_fail(cli, p->path, &err);
}

/*
 * Whether the mark shows up below `from`. Where dir is from/x/y by another name, its own path ends
 * in x/y: one look for each tail of the path is enough.
 */
static int mark_is_below(struct cli *cli, const struct place *from, const char *dir,
                         const char *mark, bool *ret_found)
{
    const char *top = strcmp(from->path, "/") == 0 ? "" : from->path;
    const char *tail = strcmp(dir, "/") == 0 ? dir + 1 : dir + strlen(dir);
    int code = 0;
    for (*ret_found = false; code == 0 && !*ret_found;) {
        struct place p = {.local = from->local};
        p.path = xasprintf("%s%s/%s", top, tail, mark);
        code = look_for(cli, &p, ret_found);
        place_fini(&p);
        if (tail == dir || dir[1] == '\0')
            break;
        do
            tail--;
        while (*tail != '/');
    }
    return code;
}

static int check_in(struct cli *cli, const struct place *from, const struct place *dir)
{
    struct place mark;
    bool found = false;
    char *show = place_show(from);
    int code = make_mark(cli, dir, &mark);
    if (code == 0) {
        code = mark_is_below(cli, from, dir->path, path_base(mark.path), &found);
        keep_first(&code, remove_mark(cli, &mark));
    }
    if (code == 0 && found)
        code = cli_error(cli, EXIT_USAGE,
                         "%s: cannot be moved into itself, which the target is under another name",
                         show);
    free(show);
    return code;
}

int move_check_tree(struct cli *cli, const struct place *from, const struct place *to)
{
    enum kind kind;
    struct place dir = {.local = to->local};
    int code = place_kind(cli, to, &kind);
    if (code)
        return code;
    char *parent = to->local ? local_parent(to->path) : path_parent(to->path);
    const char *name = kind == KIND_DIR ? to->path : parent;
    dir.path = to->local ? realpath(name, NULL) : xstrdup(name);
    code = dir.path ? check_in(cli, from, &dir) : cli_fail_local(cli, name, errno);
    free(parent);
    place_fini(&dir);
    return code;
}
