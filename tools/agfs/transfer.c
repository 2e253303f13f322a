/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "transfer.h"
#include "fresh.h"
#include "progress.h"
#include "stop.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int fail_changed(struct cli *cli, const struct source *in, int64_t total)
{
    return cli_error(cli, pfs_class_exit(PFS_TRUNCATED),
                     "%s: changed while it was copied (%" PRId64 " bytes, then %s%" PRId64
                     "); the target is unchanged",
                     in->show, in->size, total > in->size ? "at least " : "", total);
}

static int pump(struct cli *cli, struct source *in, struct sink *out, int64_t *ret_total)
{
    struct progress own, *progress = cli->together ? cli->together : &own;
    char *buf = xcalloc(1, TRANSFER_CHUNK);
    size_t n = 1;
    int code = 0;
    *ret_total = 0;
    if (progress == &own)
        progress_begin(&own, cli, in->show, in->size);
    while (code == 0 && n > 0) {
        code = stop_if_cancelled(cli, in->show);
        if (code == 0)
            code = source_read(cli, in, buf, TRANSFER_CHUNK, &n);
        *ret_total += (int64_t)n;
        if (code == 0 && in->size >= 0 && *ret_total > in->size)
            code = fail_changed(cli, in, *ret_total); /* it may grow for ever */
        if (code == 0 && n > 0)
            code = sink_write(cli, out, buf, n);
        progress_bytes(progress, n);
    }
    if (progress == &own)
        progress_hide(&own);
    free(buf);
    return code;
}

static int copy_through(struct cli *cli, const struct place *from, const struct place *to)
{
    struct source in;
    struct sink out;
    int64_t total;
    int code = source_open(cli, from, &in);
    if (code)
        return code;
    code = sink_open(cli, to, in.size, 0, &out);
    if (code == 0) {
        sink_set_mode(&out, from->mode);
        code = pump(cli, &in, &out, &total);
        if (code == 0 && in.size >= 0 && total != in.size)
            code = fail_changed(cli, &in, total);
        if (code == 0)
            code = sink_finish(cli, &out);
        sink_close(&out);
    }
    source_close(&in);
    return code;
}

/* Has the server copy by itself. False: it cannot. */
static bool copy_there(struct cli *cli, const struct place *from, const struct place *to,
                       int *ret_code)
{
    struct pfs_error err;
    enum pfs_class cls = pfs_copy(cli->client, from->path, to->path, NULL, &err);
    *ret_code = 0;
    if (cls == PFS_UNSUPPORTED && err.outcome == PFS_OUTCOME_NA) {
        cli->no_copy = true;
        return false;
    }
    if (cls != PFS_OK)
        *ret_code = cli_fail_pair(cli, from->path, to->path, &err);
    return true;
}

static int copy_content(struct cli *cli, const struct place *from, const struct place *to)
{
    int code;
    if (!from->local && !to->local && !cli->no_copy && copy_there(cli, from, to, &code))
        return code;
    return copy_through(cli, from, to);
}

int transfer_copy(struct cli *cli, const struct place *from, const struct place *to)
{
    struct fresh f;
    int code = stop_if_cancelled(cli, from->path);
    if (code)
        return code;
    code = fresh_begin(cli, to, from->mode, &f);
    if (code == 0)
        code = copy_content(cli, from, to);
    return fresh_end(cli, &f, code);
}

/* Asks the server for the digests of both. False: it does not say. */
static bool compare_there(struct cli *cli, const struct place *a, const struct place *b,
                          int *ret_code)
{
    struct pfs_error err;
    char *da = NULL, *db = NULL;
    bool known = pfs_digest(cli->client, a->path, "xxh3", &da, &err) == PFS_OK &&
                 pfs_digest(cli->client, b->path, "xxh3", &db, &err) == PFS_OK;
    *ret_code =
        known && strcmp(da, db) != 0
            ? cli_error(cli, EXIT_OTHER, "%s: the copy %s reads back differently", a->path, b->path)
            : 0;
    free(da);
    free(db);
    return known;
}

/* Fills buf as far as the content goes. */
static int read_full(struct cli *cli, struct source *s, char *buf, size_t cap, size_t *ret_n)
{
    size_t n = 1;
    int code = 0;
    *ret_n = 0;
    while (code == 0 && n > 0 && *ret_n < cap) {
        code = source_read(cli, s, buf + *ret_n, cap - *ret_n, &n);
        if (code == 0)
            *ret_n += n;
    }
    return code;
}

static int compare(struct cli *cli, struct source *a, struct source *b)
{
    char *buf = xcalloc(2, TRANSFER_CHUNK);
    size_t na = 1, nb = 1;
    int code = 0;
    while (code == 0 && na > 0) {
        code = stop_if_cancelled(cli, a->show);
        if (code == 0)
            code = read_full(cli, a, buf, TRANSFER_CHUNK, &na);
        if (code == 0)
            code = read_full(cli, b, buf + TRANSFER_CHUNK, TRANSFER_CHUNK, &nb);
        if (code == 0 && (na != nb || memcmp(buf, buf + TRANSFER_CHUNK, na) != 0))
            code = cli_error(cli, EXIT_OTHER, "%s: the copy %s reads back differently", a->show,
                             b->show);
    }
    free(buf);
    return code;
}

int transfer_verify(struct cli *cli, const struct place *a, const struct place *b)
{
    struct source sa, sb;
    int code;
    if (!a->local && !b->local && compare_there(cli, a, b, &code))
        return code;
    code = stop_if_cancelled(cli, a->path);
    if (code == 0)
        code = source_open(cli, a, &sa);
    if (code)
        return code;
    code = source_open(cli, b, &sb);
    if (code == 0) {
        code = compare(cli, &sa, &sb);
        source_close(&sb);
    }
    source_close(&sa);
    return code;
}

int transfer_print(struct cli *cli, const struct place *from, bool stream)
{
    struct source in;
    size_t n = 1;
    int code = source_open_stream(cli, from, stream, &in);
    if (code)
        return code;
    char *buf = xcalloc(1, TRANSFER_CHUNK);
    cli->printing = &in;
    while (code == 0 && n > 0) {
        code = stop_if_cancelled(cli, in.show);
        if (code == 0)
            code = source_read(cli, &in, buf, TRANSFER_CHUNK, &n);
        /* Flushed at once: the source may be a stream that is still growing. Who closed our
         * output wants no message; of a file that it goes to, one has been printed. */
        if (code == 0 && n > 0 && (fwrite(buf, 1, n, cli->out) < n || fflush(cli->out) != 0))
            code = errno == EPIPE || fileno(cli->out) < 0
                       ? EXIT_OTHER
                       : cli_error(cli, EXIT_OTHER, "output: %s", strerror(errno));
    }
    cli->printing = NULL;
    free(buf);
    source_close(&in);
    return code;
}
