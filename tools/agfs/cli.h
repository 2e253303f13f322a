/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFS_CLI_H
#define AGFS_CLI_H

/*
 * What a run of the tool is: its client, where it prints, where it stands. One thread, but for the
 * files that are copied together (crowd.h): their threads change nothing of it but what is said to
 * be for them, and report errors, each in one piece. Every function of this header prints errors to
 * cli->err and returns an exit code.
 */
#include "util.h"
#include <proxyfs/proxyfs.h>
#include <stdatomic.h>
#include <stdio.h>

struct progress;
struct source;

struct cli {
    struct pfs_client *client; /* borrowed */
    const char *server;        /* URL, for messages; borrowed */
    FILE *out, *err;           /* borrowed */
    char *cwd, *old_cwd;       /* owned */
    const char *command;       /* name of the running command, for error lines; borrowed */
    const char *script;        /* file whose lines are run, for error lines; NULL: none; borrowed */
    size_t line;               /* of it, or of the text of several lines, from 1; 0: none */
    unsigned n_errors;         /* error lines printed so far; under the lock of err */
    int status;                /* $? */
    bool json;                 /* --json */
    bool quiet;                /* -q: neither hints nor progress */
    bool echo;                 /* --echo: show lines of a script before they run */
    bool terminal;             /* out is a terminal: names are made harmless */
    bool progress;             /* err is a terminal: show long transfers */
    bool quit;                 /* `exit` was given, or the output is lost */
    atomic_bool no_copy;       /* the server has no operation to copy by itself; any thread */
    atomic_bool unreachable;   /* nobody answers at the server's address any more; any thread */
    struct progress *together; /* of the files that are copied together; NULL: each has its own */
    /* Calls that the server did not answer in time, since the last that it did; any thread. As many
     * as timeouts_max, if that is not 0, and it counts as unreachable. */
    atomic_uint n_timeouts;
    unsigned timeouts_max;
    /* What goes to out piece by piece; NULL: nothing does. */
    const struct source *printing;
};

/* Fills *cli for `client`, with cwd "/"; cli_fini frees what cli owns (not the client). */
void cli_init(struct cli *cli, struct pfs_client *client, const char *server);
void cli_fini(struct cli *cli);

/*
 * Reports a failed call about `what` (a path as the user knows it; NULL: nothing in particular):
 * "agfs: rm: /x: <text> (class notfound, not applied, origin dc1:8443, hop 1)", then what to try.
 * cli_fail is for calls that change nothing on the remote, cli_fail_change for those that may: it
 * says whether the remote did it, or that nobody knows. Both return the class's exit code. Names in
 * error lines are escaped, as cli_put_escaped does.
 * An error line of a script begins with "SCRIPT:LINE: " in place of "agfs: ", one of standard input
 * or of a text of several lines with "agfs: line LINE: ".
 */
int cli_fail(struct cli *cli, const char *what, const struct pfs_error *e);
int cli_fail_change(struct cli *cli, const char *what, const struct pfs_error *e);
/* The same for a change of two paths, either of which it may be about: "agfs: cp: /a to /b: ...".
 */
int cli_fail_pair(struct cli *cli, const char *from, const char *to, const struct pfs_error *e);
/* The same for a local file: "agfs: cp: local:/x: No such file or directory". eno: errno. */
int cli_fail_local(struct cli *cli, const char *path, int eno);
/* Any other error line; returns `code`. */
int cli_error(struct cli *cli, int code, const char *format, ...) PFS_PRINTF(3, 4);

/* Prints s with control characters as \xHH: it may be a name that somebody else has given. */
void cli_put_escaped(FILE *f, const char *s);

/* What is printed to cli->err piece by piece, and n_errors, are the holder's; any thread. */
void cli_lock_err(void);
void cli_unlock_err(void);

/* The exit code of several steps: the first failure counts. */
static inline void keep_first(int *status, int step)
{
    if (*status == 0)
        *status = step;
}

/* Prints a name or line of the remote; on a terminal control characters become '?'. */
void cli_put_text(struct cli *cli, const char *s);
/* Prints what a server says after a write, unless it only counts bytes ("Written 6 bytes"). */
void cli_put_message(struct cli *cli, const char *text);
/* Prints a stat value: the lines of `stat`, one line of `ls -l`, a JSON object. */
void cli_put_stat(struct cli *cli, const struct pfs_stat *st);
void cli_put_long(struct cli *cli, const struct pfs_stat *st);
void cli_put_stat_json(struct cli *cli, const struct pfs_stat *st);

#endif
