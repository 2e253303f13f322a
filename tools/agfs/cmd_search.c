/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Commands that search. */
#include "commands.h"
#include "path.h"
#include "stop.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A line of a file may hold tabs, unlike a name; what else could move the cursor stays out. */
static void put_content(struct cli *cli, char *line)
{
    for (char *piece; (piece = strsep(&line, "\t")) != NULL;) {
        cli_put_text(cli, piece);
        if (line)
            putc('\t', cli->out);
    }
}

/* Takes m->content apart. */
static void put_match(struct cli *cli, const struct args *a, struct pfs_match *m, bool named)
{
    if (named) {
        cli_put_text(cli, m->file);
        putc(':', cli->out);
    }
    if (a->has['n'])
        fprintf(cli->out, "%" PRId64 ":", m->line);
    put_content(cli, m->content);
    putc('\n', cli->out);
}

int cmd_grep(struct cli *cli, const struct args *a)
{
    bool recursive = a->has['r'] || a->has['R'];
    uint32_t flags = (recursive ? PFS_GREP_RECURSIVE : 0) | (a->has['i'] ? PFS_GREP_ICASE : 0);
    size_t found = 0;
    int code = 0;
    for (int i = 1; i < a->n && !stop_before(cli, a->n - i, &code); i++) {
        struct pfs_matches matches;
        struct pfs_error err;
        char *path = path_resolve(cli->cwd, a->v[i]);
        if (pfs_grep(cli->client, path, a->v[0], flags, &matches, &err) == PFS_OK) {
            for (size_t j = 0; j < matches.n; j++)
                put_match(cli, a, &matches.matches[j], recursive || a->n > 2);
            found += matches.n;
            pfs_matches_fini(&matches);
        } else {
            keep_first(&code, cli_fail(cli, path, &err));
        }
        free(path);
    }
    /* As grep has it: 1 means that nothing matched. */
    return code ? code : found ? 0 : 1;
}
