/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFS_COMMANDS_H
#define AGFS_COMMANDS_H

/* The commands: one table row each, one function each. */
#include "cli.h"

/* The words of a command after its options were taken out. Borrowed during the call. */
struct args {
    char **v; /* n arguments, without the command's name */
    int n;
    bool json;
    bool has[128];          /* has['l']: -l was given */
    const char *value[128]; /* value['s']: what followed -s */
};

/* Runs one command; prints to cli->out and returns its exit code. */
typedef int command_fn(struct cli *cli, const struct args *a);

struct command_spec {
    const char *name;
    command_fn *run;
    const char *options; /* letters, ':' after those with a value; NULL: all words are arguments */
    int min, max;        /* number of arguments; max -1: any */
    int first_path;      /* from this argument on all are paths, or at least not empty */
    bool changes;        /* may change something on the remote */
    const char *usage;   /* without the name */
    const char *help;    /* one line for the list, then more */
};

/* All commands in the order of the list in `help`; the last row has no name. */
extern const struct command_spec commands[];

/* The command of that name or alias, else NULL. */
const struct command_spec *command_find(const char *name);

/* Runs words[0] with its n - 1 arguments: looks it up, takes options out, checks the number. */
int command_run(struct cli *cli, char **words, int n);

command_fn cmd_cat, cmd_echo, cmd_touch, cmd_truncate, cmd_chmod, cmd_rm, cmd_ln, cmd_readlink,
    cmd_digest;                                                    /* cmd_files.c */
command_fn cmd_ls, cmd_stat, cmd_mkdir, cmd_tree, cmd_cd, cmd_pwd; /* cmd_dirs.c */
command_fn cmd_cp, cmd_mv, cmd_upload, cmd_download;               /* cmd_copy.c */
command_fn cmd_mount, cmd_mounts, cmd_unmount, cmd_plugins;        /* cmd_mounts.c */
command_fn cmd_health, cmd_capabilities, cmd_reload;               /* cmd_server.c */
command_fn cmd_grep;                                               /* cmd_search.c */

#endif
