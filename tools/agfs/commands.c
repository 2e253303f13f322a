/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "commands.h"
#include "cancel.h"
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static int cmd_help(struct cli *cli, const struct args *a);
static int cmd_exit(struct cli *cli, const struct args *a);

#define NO_PATH INT_MAX

const struct command_spec commands[] = {
    {"ls", cmd_ls, "la", 0, -1, 0, false, "[-l] [--json] [PATH...]",
     "list a directory, sorted by name\n-l shows mode, size and time."},
    {"cat", cmd_cat, "f", 1, -1, 0, false, "[-f | --stream] PATH...",
     "print files\n-f follows a live stream until it ends, or Ctrl-C. What the server says is\n"
     "a stream is followed anyway."},
    {"echo", cmd_echo, NULL, 0, -1, NO_PATH, false, "[-n] [TEXT...] [> PATH | >> PATH]",
     "print a text, or write it to a file\nA newline follows unless -n is given. `>` replaces the "
     "file's content, `>>` appends\n(on servers that can). Any command may be redirected so."},
    {"stat", cmd_stat, "", 1, -1, 0, false, "[--json] PATH...", "show what is known of a file"},
    {"mkdir", cmd_mkdir, "p", 1, -1, 0, true, "[-p] PATH...",
     "make directories\n-p makes missing parents too and accepts existing ones."},
    {"rm", cmd_rm, "rRf", 1, -1, 0, true, "[-r] [-f] PATH...",
     "remove files and empty directories\n-r removes everything below, -f accepts missing files."},
    {"cp", cmd_cp, "rRj:", 2, -1, 0, true, "[-r] [-j N] SOURCE... TARGET",
     "copy\nlocal:PATH names a file of this machine on either side. Within the server the "
     "content\nstays there where the server can; else it is streamed. A target is replaced only by "
     "a\ncomplete copy. Of a directory N files are copied at a time (8)."},
    {"mv", cmd_mv, "j:", 2, -1, 0, true, "[-j N] SOURCE... TARGET",
     "move or rename\nBetween mounts, and from or to local:PATH: a copy that is compared, then "
     "the\nremoval of the source."},
    {"upload", cmd_upload, "rRj:", 2, 2, 0, true, "[-r] [-j N] LOCALPATH PATH",
     "cp local:LOCALPATH PATH"},
    {"download", cmd_download, "rRj:", 2, 2, 0, false, "[-r] [-j N] PATH LOCALPATH",
     "cp PATH local:LOCALPATH"},
    {"touch", cmd_touch, "", 1, -1, 0, true, "PATH...", "set the time to now, create when missing"},
    {"truncate", cmd_truncate, "s:", 1, -1, 0, true, "-s SIZE PATH...",
     "cut or extend files to SIZE\nSIZE is in bytes or has a unit: 64KiB, 1M."},
    {"chmod", cmd_chmod, "", 2, -1, 1, true, "MODE PATH...", "set permissions (octal)"},
    {"ln", cmd_ln, "s", 2, 2, 0, true, "-s TARGET LINK", "make a symbolic link"},
    {"readlink", cmd_readlink, "", 1, -1, 0, false, "PATH...",
     "print where a symbolic link points"},
    {"digest", cmd_digest, "", 1, -1, 0, false, "[xxh3|md5] PATH...",
     "print checksums computed by the server (xxh3 when none is named)"},
    {"grep", cmd_grep, "rRin", 2, -1, 1, false, "[-r] [-i] [-n] PATTERN PATH...",
     "search for a regular expression, on the server\n-r below directories, -i ignoring case, -n "
     "with line numbers. Exit code 1: no match."},
    {"tree", cmd_tree, "", 0, 1, 0, false, "[PATH]", "show a directory with everything below"},
    {"cd", cmd_cd, "", 0, 1, 0, false, "[PATH | -]", "change the current directory"},
    {"pwd", cmd_pwd, "", 0, 0, 0, false, "", "print the current directory"},
    {"mount", cmd_mount, "", 0, -1, 1, true, "[TYPE PATH [KEY=VALUE...]]",
     "mount a file system; without arguments: list the mounts\nExample: mount proxyfs /remote "
     "base_url=http://remote:8080/api/v1"},
    {"unmount", cmd_unmount, "", 1, 1, 0, true, "PATH", "end a mount"},
    {"mounts", cmd_mounts, "", 0, 0, 0, false, "[--json]", "list the mounts"},
    {"plugins", cmd_plugins, "", 0, 2, 1, true, "[list | load LIBRARY | unload LIBRARY]",
     "list, load and unload types of file systems\nLIBRARY is a path on the server's machine, "
     "agfs://PATH or a URL."},
    {"reload", cmd_reload, "", 0, 1, 0, true, "[PATH]",
     "build new connections\nPATH: of the proxyfs mounted there. Without: of this tool to its "
     "server."},
    {"health", cmd_health, "", 0, 0, 0, false, "[--json]", "ask the server how it is"},
    {"capabilities", cmd_capabilities, "", 0, 0, 0, false, "[--json]",
     "print the server's version and features"},
    {"help", cmd_help, "", 0, 1, NO_PATH, false, "[COMMAND]", "list the commands, or explain one"},
    {"exit", cmd_exit, "", 0, 1, NO_PATH, false, "[CODE]", "end the shell"},
    {0},
};

/* Second names, for fingers that know other tools. */
static const char *const aliases[][2] = {
    {"umount", "unmount"}, {"quit", "exit"}, {"dir", "ls"}, {"get", "download"}, {"put", "upload"},
};

const struct command_spec *command_find(const char *name)
{
    for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++)
        if (strcmp(aliases[i][0], name) == 0)
            name = aliases[i][1];
    for (const struct command_spec *c = commands; c->name; c++)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

static int usage_error(struct cli *cli, const struct command_spec *c, const char *wrong)
{
    return cli_error(cli, EXIT_USAGE, "%s; usage: %s %s", wrong, c->name, c->usage);
}

/* Takes the letters of words[*i] ("-rf", "-s10"); the value may be the next word. */
static bool take_letters(const struct command_spec *c, char **words, int n, int *i, struct args *a)
{
    for (const char *s = words[*i] + 1; *s; s++) {
        const char *known = *s == ':' ? NULL : strchr(c->options, *s);
        if (known == NULL)
            return false;
        a->has[(unsigned char)*s] = true;
        if (known[1] != ':')
            continue;
        if (s[1] == '\0' && *i + 1 >= n)
            return false;
        a->value[(unsigned char)*s] = s[1] ? s + 1 : words[++*i];
        return true;
    }
    return true;
}

/* Separates options from arguments; a->v has room for n words. False: words[*ret_bad] is wrong. */
static bool take_options(const struct command_spec *c, char **words, int n, struct args *a,
                         int *ret_bad)
{
    bool only_arguments = c->options == NULL;
    for (int i = 1; i < n; i++) {
        const char *w = words[i];
        *ret_bad = i;
        if (only_arguments || w[0] != '-' || w[1] == '\0') {
            a->v[a->n++] = words[i];
        } else if (strcmp(w, "--") == 0) {
            only_arguments = true;
        } else if (strcmp(w, "--json") == 0) {
            a->json = true;
        } else if (strcmp(w, "--stream") == 0 && c->run == cmd_cat) {
            a->has['f'] = true;
        } else if (!take_letters(c, words, n, &i, a)) {
            return false;
        }
    }
    return true;
}

/* Nothing is no name: as a path it would be the current directory, with all that is in it. */
static int check_paths(struct cli *cli, const struct command_spec *c, const struct args *a)
{
    for (int i = c->first_path; i < a->n; i++)
        if (a->v[i][0] == '\0')
            return cli_error(cli, EXIT_USAGE, "an empty path; . is the current directory");
    return 0;
}

int command_run(struct cli *cli, char **words, int n)
{
    const struct command_spec *c = command_find(words[0]);
    struct args a = {.json = cli->json};
    int bad, code;
    if (c == NULL)
        return cli_error(cli, EXIT_USAGE, "%s: unknown command; `help` lists all", words[0]);
    cli->command = c->name;
    a.v = xcalloc((size_t)n, sizeof(*a.v));
    if (!take_options(c, words, n, &a, &bad)) {
        char *wrong = xasprintf("%s: no such option, or its value is missing", words[bad]);
        code = usage_error(cli, c, wrong);
        free(wrong);
    } else if (a.n < c->min) {
        code = usage_error(cli, c, "an argument is missing");
    } else if (c->max >= 0 && a.n > c->max) {
        code = usage_error(cli, c, "too many arguments");
    } else {
        code = check_paths(cli, c, &a);
        if (code == 0)
            code = c->run(cli, &a);
    }
    free(a.v);
    cli->command = NULL;
    return code;
}

static int cmd_help(struct cli *cli, const struct args *a)
{
    if (a->n > 0) {
        const struct command_spec *c = command_find(a->v[0]);
        if (c == NULL)
            return cli_error(cli, EXIT_USAGE, "%s: no such command", a->v[0]);
        fprintf(cli->out, "usage: %s %s\n%s\n", c->name, c->usage, c->help);
        return 0;
    }
    for (const struct command_spec *c = commands; c->name; c++)
        fprintf(cli->out, "%-13s %.*s\n", c->name, (int)strcspn(c->help, "\n"), c->help);
    return 0;
}

static int cmd_exit(struct cli *cli, const struct args *a)
{
    char *end;
    long code = cli->status;
    if (a->n > 0) {
        errno = 0;
        code = strtol(a->v[0], &end, 10);
        if (errno || *end || end == a->v[0] || code < 0 || code > 255)
            return cli_error(cli, EXIT_USAGE, "%s: a number from 0 to 255 is expected", a->v[0]);
    }
    cli->quit = true;
    return (int)code;
}
