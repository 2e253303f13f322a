/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * cp and mv. A tree is read, then copied file by file, each streamed; a moved file is removed only
 * after its copy was read back and found equal (move.h). Links are not followed below the top on
 * this machine.
 */
#include "cancel.h"
#include "commands.h"
#include "crowd.h"
#include "move.h"
#include "progress.h"
#include "stop.h"
#include "transfer.h"
#include "tree.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define TIMEOUTS_MIN 4 /* in a row: fewer may be bad luck */
#define AT_ONCE 8      /* files of a directory, without -j: each waits for the server mostly */

struct job {
    struct cli *cli;
    bool recursive;
    bool move;          /* verify each copy, then remove its source */
    bool to_directory;  /* the target was written as one: "a/" */
    unsigned at_once;   /* so many files of a directory at a time */
    atomic_uint n_left; /* what was not tried, since the server is gone; any thread */
};

/* ---- one file, one directory ---------------------------------------------------------------- */

static int copy_file(struct job *job, const struct place *from, const struct place *to)
{
    return job->move ? move_file(job->cli, from, to) : transfer_copy(job->cli, from, to);
}

/* With `mode`, as far as it is known; what is to be copied into it must be possible. */
static int make_directory(struct cli *cli, const struct place *p, unsigned mode)
{
    struct pfs_error err;
    enum kind kind;
    int code = place_kind(cli, p, &kind);
    if (code || kind == KIND_DIR)
        return code;
    if (p->local)
        return mkdir(p->path, mode ? mode | 0700 : 0777) == 0 ? 0
                                                              : cli_fail_local(cli, p->path, errno);
    return pfs_mkdir(cli->client, p->path, mode ? mode | 0700 : 0755, &err) == PFS_OK
               ? 0
               : cli_fail_change(cli, p->path, &err);
}

/* ---- trees --------------------------------------------------------------------------------- */

static int copy_tree(struct job *job, const struct place *from, const struct place *to,
                     const struct entries *entries);

static int copy_entry(struct job *job, const struct place *dir, const struct place *to,
                      const struct entry *e)
{
    int code;
    if (cancel_asked())
        return EXIT_CANCEL;
    if (atomic_load(&job->cli->unreachable)) { /* a line for each of thousands would help nobody */
        atomic_fetch_add(&job->n_left, 1);
        return pfs_class_exit(PFS_CONN);
    }
    struct place source = place_inside(dir, e->name), target = place_inside(to, e->name);
    source.mode = e->mode;
    if (e->kind == KIND_DIR)
        code = copy_tree(job, &source, &target, &e->below);
    else if (e->kind == KIND_FILE)
        code = copy_file(job, &source, &target);
    else
        code = cli_error(
            job->cli, EXIT_OTHER, "%s%s: left out: %s", source.local ? "local:" : "", source.path,
            e->kind == KIND_CONTROL ? "a control file" : "neither a file nor a directory");
    if (code == 0)
        atomic_store(&job->cli->n_timeouts, 0);
    place_fini(&source);
    place_fini(&target);
    return code;
}

/* The files of one directory. */
struct batch {
    struct job *job;
    const struct place *from, *to;
    const struct entries *entries;
    int *codes; /* of each entry */
};

static void copy_if_file(void *arg, size_t i)
{
    const struct batch *b = arg;
    const struct entry *e = &b->entries->v[i];
    if (e->kind != KIND_FILE)
        return;
    b->codes[i] = copy_entry(b->job, b->from, b->to, e);
    progress_file(b->job->cli->together);
}

static void copy_together(struct batch *b, size_t n_files)
{
    struct cli *cli = b->job->cli;
    struct progress progress;
    char *show = place_show(b->from);
    progress_begin_files(&progress, cli, show, n_files);
    cli->together = &progress;
    crowd_run(b->entries->n, b->job->at_once, copy_if_file, b);
    cli->together = NULL;
    progress_hide(&progress);
    free(show);
}

/* Files first, then what is none, one by one. Of several failures the first in order counts. */
static int copy_entries(struct job *job, const struct place *from, const struct place *to,
                        const struct entries *entries)
{
    struct batch b = {job, from, to, entries, xcalloc(entries->n + 1, sizeof(int))};
    size_t n_files = 0;
    int code = entries->code;
    for (size_t i = 0; i < entries->n; i++)
        n_files += entries->v[i].kind == KIND_FILE;
    bool together = n_files > 1 && job->at_once > 1;
    if (together)
        copy_together(&b, n_files);
    for (size_t i = 0; i < entries->n; i++) {
        if (!together || entries->v[i].kind != KIND_FILE)
            b.codes[i] = copy_entry(job, from, to, &entries->v[i]);
        keep_first(&code, b.codes[i]);
    }
    free(b.codes);
    return code;
}

static int copy_tree(struct job *job, const struct place *from, const struct place *to,
                     const struct entries *entries)
{
    int code = make_directory(job->cli, to, from->mode);
    if (code)
        return code;
    code = copy_entries(job, from, to, entries);
    if (code == 0)
        code = stop_if_cancelled(job->cli, from->path);
    if (code == 0 && job->move)
        code = move_remove(job->cli, from);
    return code;
}

static int copy_top(struct job *job, const struct place *from, const struct place *to)
{
    struct entries entries;
    int code = job->move ? move_check_tree(job->cli, from, to) : 0;
    if (code)
        return code;
    tree_read(job->cli, from, &entries);
    code = copy_tree(job, from, to, &entries);
    tree_fini(&entries);
    return code;
}

/* Sets from->mode. */
static int copy_any(struct job *job, struct place *from, const struct place *to)
{
    enum kind kind;
    int code = place_look(job->cli, from, &kind);
    char *show = place_show(from);
    if (code == 0 && kind == KIND_NONE)
        code = cli_error(job->cli, pfs_class_exit(PFS_NOTFOUND), "%s: no such file or directory",
                         show);
    else if (code == 0 && kind == KIND_DIR && !job->recursive)
        code = cli_error(job->cli, EXIT_USAGE, "%s: is a directory; -r copies it", show);
    else if (code == 0 && kind == KIND_DIR && to->local && strcmp(to->path, "-") == 0)
        code = cli_error(job->cli, EXIT_USAGE, "%s: is a directory; - takes a file", show);
    else if (code == 0 && kind == KIND_DIR && !from->local && !to->local &&
             path_below(to->path, from->path))
        code = cli_error(job->cli, EXIT_USAGE, "%s: cannot be copied into itself", show);
    else if (code == 0 && (kind == KIND_OTHER || kind == KIND_CONTROL) && job->move)
        code = cli_error(job->cli, EXIT_OTHER, "%s: %s: cannot be moved", show,
                         kind == KIND_CONTROL ? "a control file" : "not a regular file");
    else if (code == 0)
        code = kind == KIND_DIR ? copy_top(job, from, to) : copy_file(job, from, to);
    free(show);
    return code;
}

/* ---- the commands --------------------------------------------------------------------------- */

/*
 * Whether a refused rename may be done by copying: the server said so by its class, or by the words
 * that servers have for a rename between mounts. Anything unclear must not become a copy.
 */
static bool is_between_mounts(const struct pfs_error *e)
{
    if (e->outcome == PFS_OUTCOME_AP || e->phase != PFS_PHASE_REPLY)
        return false;
    return strstr(e->text, "across different mounts") || strstr(e->text, "not in same mounted") ||
           strstr(e->text, "cross-device");
}

static int move_any(struct job *job, struct place *from, const struct place *to)
{
    struct pfs_error err;
    if (!from->local && !to->local) {
        if (pfs_rename(job->cli->client, from->path, to->path, &err) == PFS_OK)
            return 0;
        if (!is_between_mounts(&err))
            return cli_fail_pair(job->cli, from->path, to->path, &err);
    }
    return copy_any(job, from, to);
}

/* A name for `from` inside the directory `dir`; a root, "." or ".." give what they hold. */
static struct place target_inside(const struct place *dir, const struct place *from)
{
    const char *base = path_base(from->path);
    struct place to = place_inside(dir, base);
    if (!name_is_safe(base)) {
        place_fini(&to);
        to = (struct place){.local = dir->local, .path = xstrdup(dir->path)};
    }
    return to;
}

/* "new/" may become a directory, but never a file. */
static int check_directory(struct job *job, struct place *from, const struct place *to)
{
    enum kind kind;
    int code = place_look(job->cli, from, &kind);
    if (code || kind == KIND_DIR || kind == KIND_NONE)
        return code;
    char *show = place_show(to);
    code = cli_error(job->cli, pfs_class_exit(PFS_NOTFOUND), "%s/: no such directory", show);
    free(show);
    return code;
}

static int one_source(struct job *job, struct place *from, const struct place *target,
                      enum kind target_kind)
{
    struct place to = target_kind == KIND_DIR
                          ? target_inside(target, from)
                          : (struct place){.local = target->local, .path = xstrdup(target->path)};
    int code;
    if (from->local && to.local)
        code = cli_error(job->cli, EXIT_USAGE, "both files are of this machine");
    else if (!from->local && !to.local && strcmp(from->path, to.path) == 0)
        code = cli_error(job->cli, EXIT_USAGE, "%s: source and target are the same", from->path);
    else
        code = job->to_directory && target_kind != KIND_DIR ? check_directory(job, from, &to) : 0;
    if (code == 0)
        code = job->move ? move_any(job, from, &to) : copy_any(job, from, &to);
    place_fini(&to);
    return code;
}

/* What -j says: how many files at a time. */
static int take_at_once(struct job *job, const struct args *a)
{
    const char *value = a->value['j'];
    char *end;
    unsigned long n = AT_ONCE;
    if (value) {
        n = strtoul(value, &end, 10);
        if (value[0] < '0' || value[0] > '9' || *end || n < 1 || n > CROWD_MAX)
            return cli_error(job->cli, EXIT_USAGE, "-j %s: a number from 1 to %d is expected",
                             value, CROWD_MAX);
    }
    job->at_once = (unsigned)n;
    return 0;
}

/* As with a path of the server: "local:" alone is no name of the current directory. */
static int check_local(struct cli *cli, const struct args *a)
{
    for (int i = 0; i < a->n; i++)
        if (path_is_local(a->v[i]) && path_of_local(a->v[i])[0] == '\0')
            return cli_error(cli, EXIT_USAGE,
                             "%s: an empty path; local:. is the current directory here", a->v[i]);
    return 0;
}

static int copy_or_move(struct job *job, const struct args *a)
{
    struct cli *cli = job->cli;
    int code = take_at_once(job, a);
    if (code == 0)
        code = check_local(cli, a);
    if (code)
        return code;
    /* It may have come back since the last command. */
    atomic_store(&cli->unreachable, false);
    atomic_store(&cli->n_timeouts, 0);
    cli->timeouts_max = job->at_once > TIMEOUTS_MIN ? job->at_once : TIMEOUTS_MIN;
    struct place target = place_of(cli, a->v[a->n - 1]);
    job->to_directory = path_wants_directory(a->v[a->n - 1]);
    enum kind kind;
    code = place_kind(cli, &target, &kind);
    if (code == 0 && a->n > 2 && kind != KIND_DIR)
        code = cli_error(cli, EXIT_USAGE, "%s: is no directory, but there are several sources",
                         a->v[a->n - 1]);
    for (int i = 0; i < a->n - 1 && (code == 0 || i > 0); i++) {
        if (stop_before(cli, a->n - 1 - i, &code))
            break;
        struct place from = place_of(cli, a->v[i]);
        keep_first(&code, one_source(job, &from, &target, kind));
        place_fini(&from);
    }
    place_fini(&target);
    if (atomic_load(&job->n_left) > 0)
        cli_error(cli, code, "%u more were not tried: the server %s", job->n_left,
                  atomic_load(&cli->n_timeouts) >= cli->timeouts_max ? "does not answer"
                                                                     : "cannot be reached");
    cli->timeouts_max = 0;
    return code;
}

int cmd_cp(struct cli *cli, const struct args *a)
{
    struct job job = {.cli = cli, .recursive = a->has['r'] || a->has['R']};
    return copy_or_move(&job, a);
}

int cmd_mv(struct cli *cli, const struct args *a)
{
    struct job job = {.cli = cli, .recursive = true, .move = true};
    return copy_or_move(&job, a);
}

static int with_local(struct cli *cli, const struct args *a, int which)
{
    char *words[2] = {a->v[0], a->v[1]};
    struct args copy = *a;
    words[which] = xasprintf("local:%s", a->v[which]);
    copy.v = words;
    int code = cmd_cp(cli, &copy);
    free(words[which]);
    return code;
}

int cmd_upload(struct cli *cli, const struct args *a)
{
    return with_local(cli, a, 0);
}

int cmd_download(struct cli *cli, const struct args *a)
{
    return with_local(cli, a, 1);
}
