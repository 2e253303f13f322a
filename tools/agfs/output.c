/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* How things look: error lines, names, stat values. Nothing else prints an error. */
#include "cli.h"
#include "doc.h"
#include "progress.h"
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void cli_init(struct cli *cli, struct pfs_client *client, const char *server)
{
    *cli = (struct cli){.client = client, .server = server, .out = stdout, .err = stderr};
    cli->cwd = xstrdup("/");
    cli->old_cwd = xstrdup("/");
}

void cli_fini(struct cli *cli)
{
    free(cli->cwd);
    free(cli->old_cwd);
    *cli = (struct cli){0};
}

/* ---- errors -------------------------------------------------------------------------------- */

/* Not flockfile: sanitizers do not know it for a lock. */
static pthread_mutex_t err_lock = PTHREAD_MUTEX_INITIALIZER;

void cli_lock_err(void)
{
    pthread_mutex_lock(&err_lock);
}

void cli_unlock_err(void)
{
    pthread_mutex_unlock(&err_lock);
}

/* "agfs: ls: " or "script:3: ls: " with whatever was printed before it in place; the line is ours
 * until end_error. */
static void begin_error(struct cli *cli)
{
    /* What goes to a file needs no order, and may be just being written: then it calls us. */
    if (fileno(cli->out) >= 0)
        fflush(cli->out);
    cli_lock_err();
    if (cli->together)
        progress_hide(cli->together);
    cli->n_errors++;
    if (cli->script) {
        cli_put_escaped(cli->err, cli->script);
        fprintf(cli->err, ":%zu: ", cli->line);
    } else {
        fputs("agfs: ", cli->err);
        if (cli->line)
            fprintf(cli->err, "line %zu: ", cli->line);
    }
    if (cli->command)
        fprintf(cli->err, "%s: ", cli->command);
}

static void end_error(struct cli *cli)
{
    putc('\n', cli->err);
    cli_unlock_err();
}

/* Bytes that s begins with and a terminal takes for an order: C0, and C1 in UTF-8. */
static size_t control_length(const char *s)
{
    unsigned char a = (unsigned char)s[0], b = a ? (unsigned char)s[1] : 0;
    return (a > 0 && a < 0x20) || a == 0x7f ? 1 : a == 0xc2 && b >= 0x80 && b < 0xa0 ? 2 : 0;
}

void cli_put_escaped(FILE *f, const char *s)
{
    while (*s) {
        size_t n = control_length(s);
        if (n == 0)
            putc(*s++, f);
        for (; n > 0; n--)
            fprintf(f, "\\x%02x", (unsigned char)*s++);
    }
}

int cli_error(struct cli *cli, int code, const char *format, ...)
{
    va_list ap;
    char *line;
    va_start(ap, format);
    int n = vasprintf(&line, format, ap);
    va_end(ap);
    begin_error(cli);
    cli_put_escaped(cli->err, n < 0 ? format : line);
    end_error(cli);
    if (n >= 0)
        free(line);
    return code;
}

int cli_fail_local(struct cli *cli, const char *path, int eno)
{
    enum pfs_class cls = eno == ENOENT                       ? PFS_NOTFOUND
                         : eno == EEXIST || eno == ENOTEMPTY ? PFS_EXISTS
                         : eno == EACCES || eno == EPERM     ? PFS_DENIED
                                                             : PFS_IO;
    return cli_error(cli, pfs_class_exit(cls), "local:%s: %s", path, strerror(eno));
}

/* What to do about an error of this class made here; NULL: the text says enough. */
static const char *hint(enum pfs_class cls)
{
    if (cls == PFS_DNS || cls == PFS_CONN)
        return "is the server running? --server URL or AGFS_API_URL names another one";
    if (cls == PFS_TLS_VERIFY)
        return "--cacert FILE names the authority that signed the server's certificate";
    if (cls == PFS_TLS_AUTH)
        return "--cert FILE and --key FILE give a certificate that the server accepts";
    if (cls == PFS_TLS || cls == PFS_ALPN)
        return "is the address https:// on one side and http:// on the other?";
    if (cls == PFS_TIMEOUT)
        return "a longer --timeout may help";
    if (cls == PFS_CONFIG)
        return "see `agfs --help`";
    return NULL;
}

/* What the server itself, not one behind it, is known by to be of no use for now. */
static void note_unreachable(struct cli *cli, const struct pfs_error *e)
{
    if (e->hop > 0)
        return;
    if (e->cls == PFS_CONN || e->cls == PFS_DNS)
        atomic_store(&cli->unreachable, true);
    if (e->cls == PFS_TIMEOUT && atomic_fetch_add(&cli->n_timeouts, 1) + 1 == cli->timeouts_max)
        atomic_store(&cli->unreachable, true);
}

static int fail(struct cli *cli, const char *what, const struct pfs_error *e, bool change)
{
    begin_error(cli);
    if (what) {
        cli_put_escaped(cli->err, what);
        fputs(": ", cli->err);
    }
    fprintf(cli->err, "%s (class %s", e->text[0] ? e->text : pfs_class_text(e->cls),
            pfs_class_name(e->cls));
    if (change && e->outcome == PFS_OUTCOME_NA)
        fputs(", not applied", cli->err);
    else if (change && e->outcome == PFS_OUTCOME_AP)
        fputs(", applied", cli->err);
    if (e->origin[0])
        fprintf(cli->err, ", origin %s", e->origin);
    if (e->hop)
        fprintf(cli->err, ", hop %u", e->hop);
    putc(')', cli->err);
    if (change && e->outcome == PFS_OUTCOME_UN)
        fputs("; it is not known whether the remote did it: look before you repeat it", cli->err);
    if (!cli->quiet) {
        const char *h = e->hop == 0 ? hint(e->cls) : NULL;
        if (h)
            fprintf(cli->err, "; %s", h);
        if (e->retry_after_ms)
            fprintf(cli->err, "; try again in %u s", (e->retry_after_ms + 999) / 1000);
        else if (e->cls == PFS_OVERLOAD || e->cls == PFS_BUSY)
            fputs("; try again later", cli->err);
    }
    end_error(cli);
    note_unreachable(cli, e);
    return pfs_class_exit(e->cls);
}

int cli_fail(struct cli *cli, const char *what, const struct pfs_error *e)
{
    return fail(cli, what, e, false);
}

int cli_fail_change(struct cli *cli, const char *what, const struct pfs_error *e)
{
    return fail(cli, what, e, true);
}

int cli_fail_pair(struct cli *cli, const char *from, const char *to, const struct pfs_error *e)
{
    char *what = xasprintf("%s to %s", from, to);
    int code = cli_fail_change(cli, what, e);
    free(what);
    return code;
}

/* ---- texts --------------------------------------------------------------------------------- */

void cli_put_text(struct cli *cli, const char *s)
{
    if (!cli->terminal) {
        fputs(s, cli->out);
        return;
    }
    for (; *s; s++)
        putc((unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s, cli->out);
}

void cli_put_message(struct cli *cli, const char *text)
{
    int end = 0;
    if (text == NULL || text[0] == '\0')
        return;
    sscanf(text, "Written %*[0-9] bytes%n", &end);
    if (end > 0 && text[end] == '\0')
        return;
    cli_put_text(cli, text);
    putc('\n', cli->out);
}

/* ---- stat values --------------------------------------------------------------------------- */

static const char *type_name(const struct pfs_stat *st)
{
    if (st->meta_type && strcmp(st->meta_type, "symlink") == 0)
        return "Link";
    return st->is_dir ? "Directory" : "File";
}

static void format_time(char *dst, size_t cap, const char *format, int64_t ns)
{
    time_t t = (time_t)(ns / 1000000000);
    struct tm tm;
    dst[0] = '\0';
    if (ns != PFS_TIME_UNKNOWN && localtime_r(&t, &tm))
        strftime(dst, cap, format, &tm);
}

static void put_member(struct cli *cli, const char *label, const char *value)
{
    fprintf(cli->out, "%s: ", label);
    cli_put_text(cli, value);
    putc('\n', cli->out);
}

static void put_meta(struct cli *cli, const char *key, const char *value)
{
    fputs("Meta.", cli->out);
    cli_put_text(cli, key);
    put_member(cli, "", value);
}

void cli_put_stat(struct cli *cli, const struct pfs_stat *st)
{
    char when[64];
    unsigned mode = st->mode & 07777;
    put_member(cli, "File", st->name);
    put_member(cli, "Type", type_name(st));
    fprintf(cli->out, "Mode: %o%s\n", mode,
            (mode & 0666) == 0   ? ""
            : (mode & 0444) == 0 ? "  (write-only)"
            : (mode & 0222) == 0 ? "  (read-only)"
                                 : "");
    if (st->meta_type && st->meta_type[0])
        put_meta(cli, "type", st->meta_type);
    for (size_t i = 0; i < st->n_meta; i++)
        if (strcmp(st->meta[i].key, "type") != 0 || st->meta_type == NULL)
            put_meta(cli, st->meta[i].key, st->meta[i].value);
    /* A control file has neither content nor age: its lines end here, as they always have. */
    if (st->meta_type && strcmp(st->meta_type, "control") == 0)
        return;
    if (st->meta_name && st->meta_name[0])
        put_meta(cli, "name", st->meta_name);
    fprintf(cli->out, "Size: %" PRId64 "\n", st->size);
    format_time(when, sizeof(when), "%Y-%m-%d %H:%M:%S %z", st->mtime_ns);
    if (when[0])
        put_member(cli, "Modified", when);
}

void cli_put_long(struct cli *cli, const struct pfs_stat *st)
{
    static const char bits[] = "rwxrwxrwx";
    char mode[11], when[64];
    bool link = st->meta_type && strcmp(st->meta_type, "symlink") == 0;
    mode[0] = link ? 'l' : st->is_dir ? 'd' : '-';
    for (int i = 0; i < 9; i++)
        mode[i + 1] = st->mode & (0400u >> i) ? bits[i] : '-';
    mode[10] = '\0';
    format_time(when, sizeof(when), "%Y-%m-%d %H:%M", st->mtime_ns);
    fprintf(cli->out, "%s %12" PRId64 " %16s ", mode, st->size, when[0] ? when : "-");
    cli_put_text(cli, st->name);
    putc('\n', cli->out);
}

/* The file info of the HTTP API (its section 2.3), so that scripts know one form. */
void cli_put_stat_json(struct cli *cli, const struct pfs_stat *st)
{
    char when[64];
    time_t t = (time_t)(st->mtime_ns / 1000000000);
    struct tm tm;
    fputs("{\"name\":", cli->out);
    doc_put_string(cli->out, st->name);
    fprintf(cli->out, ",\"size\":%" PRId64 ",\"mode\":%u,\"modTime\":", st->size, st->mode);
    if (st->mtime_ns != PFS_TIME_UNKNOWN && gmtime_r(&t, &tm) &&
        strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm) > 0)
        fprintf(cli->out, "\"%s.%09" PRId64 "Z\"", when,
                st->mtime_ns < 0 ? 0 : st->mtime_ns % 1000000000);
    else
        fputs("null", cli->out);
    fprintf(cli->out, ",\"isDir\":%s,\"meta\":{\"Name\":", st->is_dir ? "true" : "false");
    doc_put_string(cli->out, st->meta_name ? st->meta_name : "");
    fputs(",\"Type\":", cli->out);
    doc_put_string(cli->out, st->meta_type ? st->meta_type : "");
    fputs(",\"Content\":{", cli->out);
    for (size_t i = 0; i < st->n_meta; i++) {
        if (i)
            putc(',', cli->out);
        doc_put_string(cli->out, st->meta[i].key);
        putc(':', cli->out);
        doc_put_string(cli->out, st->meta[i].value);
    }
    fputs("}}}", cli->out);
}
