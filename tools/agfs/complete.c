/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* What may stand in place of an unfinished word. */
#include "commands.h"
#include "doc.h"
#include "path.h"
#include "shell.h"
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <wchar.h>

/* The unfinished word at the end of a line. */
struct unfinished {
    size_t at;  /* where it begins */
    bool first; /* of its command */
    char quote; /* that is open in it, or NUL */
};

static struct unfinished last_word(const char *line)
{
    struct unfinished u = {.first = true};
    for (size_t i = 0; line[i]; i++) {
        if (u.quote) {
            if (u.quote == '"' && line[i] == '\\' && line[i + 1])
                i++;
            else
                u.quote = line[i] == u.quote ? '\0' : u.quote;
        } else if (line[i] == '\\' && line[i + 1]) {
            i++;
        } else if (line[i] == '\'' || line[i] == '"') {
            u.quote = line[i];
        } else if (strchr(" \t;>", line[i])) {
            u.first = line[i] == ';' || (u.first && line[i] != '>' && i == u.at);
            u.at = i + 1;
        }
    }
    return u;
}

/* Whether a line with the name stays one line. */
static bool is_printable(const char *name)
{
    while ((unsigned char)*name >= 0x20 && *name != 0x7f)
        name++;
    return *name == '\0';
}

/* What `typed` stands for so far: the directory as it was typed, and what follows the last slash.
 */
static char *split(const char *typed, const char **ret_begin)
{
    const char *slash = strrchr(typed, '/');
    *ret_begin = slash ? slash + 1 : typed;
    return xstrndup(typed, (size_t)(*ret_begin - typed));
}

static void add_name(const char *dir, const char *name, bool is_dir, struct strings *ret)
{
    char *all = xasprintf("%s%s%s", dir, name, is_dir ? "/" : "");
    strings_add(ret, word_quote(all));
    free(all);
}

static void complete_path(struct cli *cli, const char *typed, struct strings *ret)
{
    struct pfs_list list;
    const char *begin;
    char *shown = split(typed, &begin), *dir = path_resolve(cli->cwd, shown);
    if (pfs_readdir(cli->client, dir, &list, NULL) == PFS_OK) {
        for (size_t i = 0; i < list.n; i++) {
            const struct pfs_stat *st = &list.entries[i];
            if (strncmp(st->name, begin, strlen(begin)) != 0 || !name_is_safe(st->name) ||
                !is_printable(st->name))
                continue;
            char *name = xasprintf("%s%s", shown, st->name), *as_word = path_as_word(name);
            add_name("", as_word, st->is_dir, ret);
            free(as_word);
            free(name);
        }
        pfs_list_fini(&list);
    }
    free(dir);
    free(shown);
}

/* Files of this machine; prefix: "local:", or "" where the argument can be nothing else. */
static void complete_local(const char *prefix, const char *typed, struct strings *ret)
{
    const char *begin;
    char *shown = split(typed, &begin);
    DIR *d = opendir(shown[0] ? shown : ".");
    const struct dirent *e;
    struct stat st;
    while (d && (e = readdir(d)) != NULL) {
        const char *name = e->d_name;
        bool hidden = name[0] == '.' && begin[0] != '.';
        if (hidden || strncmp(name, begin, strlen(begin)) != 0 || !name_is_safe(name) ||
            !is_printable(name))
            continue;
        /* "-" alone is standard input, and "-x" an option. */
        char *dir =
            xasprintf("%s%s%s", prefix, shown[0] == '\0' && name[0] == '-' ? "./" : "", shown);
        add_name(dir, name, fstatat(dirfd(d), name, &st, 0) == 0 && S_ISDIR(st.st_mode), ret);
        free(dir);
    }
    if (d)
        closedir(d);
    free(shown);
}

static void add_if(const char *name, const char *typed, struct strings *ret)
{
    if (strncmp(name, typed, strlen(typed)) == 0 && is_printable(name))
        strings_add(ret, word_quote(name));
}

static void complete_command(const char *typed, struct strings *ret)
{
    for (const struct command_spec *c = commands; c->name; c++)
        add_if(c->name, typed, ret);
}

static void complete_option(const struct command_spec *spec, const char *typed, struct strings *ret)
{
    static const char *const long_options[] = {"--json", "--stream"};
    for (const char *s = spec->options; *s; s++) {
        char option[] = {'-', *s, '\0'};
        if (*s != ':')
            add_if(option, typed, ret);
    }
    for (size_t i = 0; i < sizeof(long_options) / sizeof(long_options[0]); i++)
        if (strstr(spec->usage, long_options[i]))
            add_if(long_options[i], typed, ret);
}

/* Types of mounts, as far as the server tells. */
static void complete_type(struct cli *cli, const char *typed, struct strings *ret)
{
    struct pfs_request req = PFS_REQUEST_INIT;
    struct pfs_reply reply;
    req.op = PFS_OP_PLUGINS;
    if (pfs_call(cli->client, &req, &reply) == PFS_OK) {
        struct doc *j = doc_read(reply.data, reply.len);
        const struct doc *plugins = doc_get(j, "plugins");
        for (size_t i = 0; plugins && i < plugins->n; i++) {
            const char *name = doc_text(&plugins->items[i], "name", "");
            if (name[0])
                add_if(name, typed, ret);
        }
        doc_free(j);
    }
    pfs_reply_fini(&reply);
}

/* Where the word stands: the command before it, and how many arguments are between. */
struct position {
    const struct command_spec *spec; /* NULL: it is no argument, or of no known command */
    size_t n_arguments;
};

static struct position find_position(const char *line, size_t word)
{
    struct position p = {0};
    struct line l;
    char *head = xstrndup(line, word);
    if (line_parse(head, 0, &l) == NULL) { /* not so behind a > */
        const struct command *c = l.n ? &l.commands[l.n - 1] : NULL;
        p.spec = c && c->n ? command_find(c->words[0].text) : NULL;
        for (size_t i = 1; c && i < c->n; i++)
            p.n_arguments += c->words[i].text[0] != '-' || c->words[i].text[1] == '\0';
        line_fini(&l);
    }
    free(head);
    return p;
}

static void complete_argument(struct cli *cli, const struct position *p, const char *typed,
                              struct strings *ret)
{
    const char *command = p->spec ? p->spec->name : "";
    bool only_local = (strcmp(command, "upload") == 0 && p->n_arguments == 0) ||
                      (strcmp(command, "download") == 0 && p->n_arguments == 1);
    if (p->spec && p->spec->options && typed[0] == '-')
        complete_option(p->spec, typed, ret);
    else if (strcmp(command, "help") == 0)
        complete_command(typed, ret);
    else if (strcmp(command, "mount") == 0 && p->n_arguments == 0)
        complete_type(cli, typed, ret);
    else if (only_local)
        complete_local("", typed, ret);
    else if (path_is_local(typed)) /* no name of the server may take its place */
        complete_local("local:", path_of_local(typed), ret);
    else
        complete_path(cli, typed, ret);
}

void shell_complete(struct cli *cli, const char *line, size_t *ret_word, struct strings *ret)
{
    struct line l;
    struct unfinished u = last_word(line);
    *ret_word = u.at;
    char *word = xasprintf("%s%.1s", line + u.at, &u.quote); /* as if it were closed */
    if (u.first) {
        complete_command(line + u.at, ret);
    } else if (line_parse(word, 0, &l) == NULL) {
        bool one = l.n == 1 && l.commands[0].n == 1;
        struct position p = find_position(line, u.at);
        complete_argument(cli, &p, one ? l.commands[0].words[0].text : "", ret);
        line_fini(&l);
    }
    free(word);
    strings_sort(ret);
}

/* Bytes of the character at s, with a backslash before it; 0: there is none in this locale. */
static size_t character(const char *s)
{
    mbstate_t state = {0};
    size_t quote = s[0] == '\\' && s[1] ? 1 : 0, n = mbrlen(s + quote, MB_CUR_MAX, &state);
    return n == 0 || n > MB_CUR_MAX ? 0 : quote + n;
}

size_t shell_common(const struct strings *words)
{
    size_t common = 0, n;
    while ((n = character(words->v[0] + common)) > 0) {
        for (size_t i = 1; i < words->n; i++)
            if (strncmp(words->v[i] + common, words->v[0] + common, n) != 0)
                return common;
        common += n;
    }
    return common;
}
