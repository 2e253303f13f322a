/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "path.h"
#include "cancel.h"
#include <errno.h>
#include <fnmatch.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>

#define LOCAL_PREFIX "local:"

/* Adds the components of `name` to the normalised path in t. */
static void add_components(struct text *t, const char *name)
{
    while (*name) {
        size_t n = strcspn(name, "/");
        if (n == 2 && memcmp(name, "..", 2) == 0) {
            while (t->len > 0 && t->s[t->len - 1] != '/')
                t->len--;
            if (t->len > 0)
                t->len--;
        } else if (n > 0 && !(n == 1 && name[0] == '.')) {
            text_char(t, '/');
            text_add(t, name, n);
        }
        name += n + (name[n] == '/');
    }
}

char *path_resolve(const char *cwd, const char *name)
{
    struct text t = {0};
    if (name[0] != '/')
        add_components(&t, cwd);
    add_components(&t, name);
    if (t.len == 0)
        text_char(&t, '/');
    t.s[t.len] = '\0';
    return text_take(&t);
}

char *path_join(const char *dir, const char *name)
{
    size_t n = strlen(dir);
    return xasprintf("%s%s%s", dir, n > 0 && dir[n - 1] == '/' ? "" : "/", name);
}

const char *path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

char *path_parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL || slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
}

bool path_below(const char *path, const char *dir)
{
    size_t n = strlen(dir);
    if (n == 1)
        return true;
    return strncmp(path, dir, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

bool name_is_safe(const char *name)
{
    return name[0] && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && !strchr(name, '/');
}

/* ---- places -------------------------------------------------------------------------------- */

bool path_is_local(const char *word)
{
    return strncmp(word, LOCAL_PREFIX, strlen(LOCAL_PREFIX)) == 0;
}

bool path_wants_directory(const char *word)
{
    size_t n = strlen(word);
    return n > 0 && word[n - 1] == '/';
}

const char *path_of_local(const char *word)
{
    return word + strlen(LOCAL_PREFIX);
}

char *path_as_word(const char *name)
{
    bool taken = name[0] == '-' || path_is_local(name);
    return xasprintf("%s%s", taken ? "./" : "", name);
}

struct place place_of(const struct cli *cli, const char *word)
{
    if (path_is_local(word)) {
        const char *name = path_of_local(word);
        char *path = xstrdup(name[0] ? name : ".");
        for (size_t len = strlen(path); len > 1 && path[len - 1] == '/'; len--)
            path[len - 1] = '\0';
        return (struct place){.local = true, .path = path};
    }
    return (struct place){.path = path_resolve(cli->cwd, word)};
}

struct place place_inside(const struct place *p, const char *name)
{
    return (struct place){.local = p->local, .path = path_join(p->path, name)};
}

char *place_show(const struct place *p)
{
    return xasprintf("%s%s", p->local ? LOCAL_PREFIX : "", p->path);
}

void place_fini(struct place *p)
{
    free(p->path);
    *p = (struct place){0};
}

/* ---- patterns ------------------------------------------------------------------------------ */

static char *unescape(const char *pattern, size_t n)
{
    struct text t = {0};
    for (size_t i = 0; i < n; i++) {
        if (pattern[i] == '\\' && i + 1 < n)
            i++;
        text_char(&t, pattern[i]);
    }
    return text_take(&t);
}

static bool has_star(const char *pattern, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (pattern[i] == '\\')
            i++;
        else if (pattern[i] == '*')
            return true;
    }
    return false;
}

/* A failure to look at `path`: that there is no such place is an answer. */
static int no_answer(struct cli *cli, const char *path, const struct pfs_error *err)
{
    return err->cls == PFS_NOTFOUND ? 0 : cli_fail(cli, path, err);
}

static int expand(struct cli *cli, const char *prefix, const char *rest, struct strings *ret);

/* Continues with every name in the directory `prefix` that the n bytes at `pattern` match. */
static int expand_star(struct cli *cli, const char *prefix, const char *pattern, size_t n,
                       struct strings *ret)
{
    struct pfs_list list;
    struct pfs_error err;
    int code = 0;
    char *dir = path_resolve(cli->cwd, prefix), *one = xstrndup(pattern, n);
    if (pfs_readdir(cli->client, dir, &list, &err) == PFS_OK) {
        for (size_t i = 0; i < list.n && code == 0 && !cancel_asked(); i++) {
            const struct pfs_stat *st = &list.entries[i];
            if (!name_is_safe(st->name) || fnmatch(one, st->name, FNM_PERIOD) != 0 ||
                (pattern[n] == '/' && !st->is_dir))
                continue;
            char *found = xasprintf("%s%s", prefix, st->name);
            code = expand(cli, found, pattern + n, ret);
            free(found);
        }
        pfs_list_fini(&list);
    } else {
        code = no_answer(cli, dir, &err);
    }
    free(one);
    free(dir);
    return code;
}

static int look(struct cli *cli, const char *name, bool *ret_exists)
{
    struct pfs_stat st;
    struct pfs_error err;
    char *path = path_resolve(cli->cwd, name);
    int code = 0;
    *ret_exists = pfs_stat(cli->client, path, &st, &err) == PFS_OK;
    if (*ret_exists)
        pfs_stat_fini(&st);
    else
        code = no_answer(cli, path, &err);
    free(path);
    return code;
}

/* prefix: what is settled already, as the user wrote it; rest: pattern of what follows. */
static int expand(struct cli *cli, const char *prefix, const char *rest, struct strings *ret)
{
    size_t slashes = strspn(rest, "/"), n = strcspn(rest + slashes, "/");
    int code = 0;
    if (*rest == '\0') {
        strings_add(ret, path_as_word(prefix));
        return 0;
    }
    char *dir = xasprintf("%s%.*s", prefix, (int)slashes, rest);
    if (has_star(rest + slashes, n)) {
        code = expand_star(cli, dir, rest + slashes, n, ret);
    } else {
        char *name = unescape(rest + slashes, n), *next = xasprintf("%s%s", dir, name);
        bool goes_on = rest[slashes + n] != '\0';
        if (!goes_on) /* what no listing showed must be asked for */
            code = look(cli, next, &goes_on);
        if (goes_on)
            code = expand(cli, next, rest + slashes + n, ret);
        free(name);
        free(next);
    }
    free(dir);
    return code;
}

/* Of the directory that glob(3) could not list; main thread. */
static char *unlisted;
static int unlisted_errno;

static int cannot_list(const char *path, int eno)
{
    if (eno == ENOENT || eno == ENOTDIR)
        return 0; /* there are no names in it */
    free(unlisted);
    unlisted = xstrdup(path);
    unlisted_errno = eno;
    return -1;
}

static int expand_local(struct cli *cli, const char *pattern, struct strings *ret)
{
    glob_t g;
    int rc = glob(pattern, 0, cannot_list, &g), code = 0;
    for (size_t i = 0; rc == 0 && i < g.gl_pathc; i++)
        strings_add(ret, xasprintf(LOCAL_PREFIX "%s%s", g.gl_pathv[i][0] == '-' ? "./" : "",
                                   g.gl_pathv[i])); /* "-" alone is standard input */
    if (rc == GLOB_ABORTED && unlisted)
        code = cli_fail_local(cli, unlisted, unlisted_errno);
    globfree(&g);
    free(unlisted);
    unlisted = NULL;
    return code;
}

int glob_expand(struct cli *cli, const struct word *w, struct strings *ret)
{
    struct strings found = {0};
    int code = 0;
    if (w->pattern && path_is_local(w->pattern))
        code = expand_local(cli, path_of_local(w->pattern), &found);
    else if (w->pattern)
        code = expand(cli, "", w->pattern, &found);
    strings_sort(&found);
    for (size_t i = 0; i < found.n; i++)
        strings_add(ret, xstrdup(found.v[i]));
    if (found.n == 0)
        strings_add(ret, xstrdup(w->text));
    strings_fini(&found);
    return code;
}
