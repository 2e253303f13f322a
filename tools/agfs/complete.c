/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* What may stand in place of an unfinished word. */
#include "commands.h"
#include "path.h"
#include "shell.h"
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

/* Where the last word of line begins, and whether it is the first of its command. */
static size_t last_word(const char *line, bool *ret_first)
{
    size_t word = 0;
    bool first = true;
    char quote = '\0';
    for (size_t i = 0; line[i]; i++) {
        if (quote) {
            quote = line[i] == quote ? '\0' : quote;
        } else if (line[i] == '\\' && line[i + 1]) {
            i++;
        } else if (line[i] == '\'' || line[i] == '"') {
            quote = line[i];
        } else if (strchr(" \t;>", line[i])) {
            first = line[i] == ';' || (first && line[i] != '>' && i == word);
            word = i + 1;
        }
    }
    *ret_first = first;
    return word;
}

/* Whether a line with the name stays one line. */
static bool is_printable(const char *name)
{
    while ((unsigned char)*name >= 0x20 && *name != 0x7f)
        name++;
    return *name == '\0';
}

static void complete_path(struct cli *cli, const char *typed, struct strings *ret)
{
    struct pfs_list list;
    if (path_is_local(typed))
        return; /* no name of the server may take its place */
    const char *slash = strrchr(typed, '/'), *begin = slash ? slash + 1 : typed;
    char *shown = xstrndup(typed, (size_t)(begin - typed));
    char *dir = path_resolve(cli->cwd, shown);
    if (pfs_readdir(cli->client, dir, &list, NULL) == PFS_OK) {
        for (size_t i = 0; i < list.n; i++) {
            const struct pfs_stat *st = &list.entries[i];
            if (strncmp(st->name, begin, strlen(begin)) != 0 || !name_is_safe(st->name) ||
                !is_printable(st->name))
                continue;
            char *name = xasprintf("%s%s%s", shown, st->name, st->is_dir ? "/" : "");
            char *as_word = path_as_word(name);
            strings_add(ret, word_quote(as_word));
            free(as_word);
            free(name);
        }
        pfs_list_fini(&list);
    }
    free(dir);
    free(shown);
}

void shell_complete(struct cli *cli, const char *line, size_t *ret_word, struct strings *ret)
{
    struct line l;
    bool first;
    *ret_word = last_word(line, &first);
    const char *word = line + *ret_word;
    if (first) {
        for (const struct command_spec *c = commands; c->name; c++)
            if (strncmp(c->name, word, strlen(word)) == 0)
                strings_add(ret, xstrdup(c->name));
    } else if (line_parse(word, 0, &l) == NULL) {
        bool one = l.n == 1 && l.commands[0].n == 1;
        complete_path(cli, one ? l.commands[0].words[0].text : "", ret);
        line_fini(&l);
    }
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
