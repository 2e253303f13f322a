/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "cancel.h"
#include "commands.h"
#include "descriptors.h"
#include "interrupt.h"
#include "options.h"
#include "shell.h"
#include "stop.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define NO_CONNECTION "cannot connect to "

/* Each attempt is logged; the command's error line says it anyway, once. */
static void log_cb(void *arg, enum pfs_log_level level, const char *line)
{
    const struct options *o = arg;
    const char *what = strstr(line, NO_CONNECTION);
    const char *again = what ? strstr(what + 1, NO_CONNECTION) : NULL;
    (void)level;
    if (what && o->verbose == 0)
        return;
    if (again && strncmp(what, again, (size_t)(again - what)) == 0) /* "X: X: why" */
        fprintf(stderr, "agfs: %.*s%s\n", (int)(what - line), line, again);
    else
        fprintf(stderr, "agfs: %s\n", line);
}

static void set_log(struct options *o)
{
    if (!o->quiet)
        pfs_log_to(log_cb, o,
                   o->verbose > 1   ? PFS_LOG_DEBUG
                   : o->verbose > 0 ? PFS_LOG_INFO
                                    : PFS_LOG_WARN);
}

/* The script words[0]; n: of words. */
static int run_file(struct cli *cli, char **words, int n)
{
    const char *name = words[0];
    FILE *f = fopen(name, "re");
    if (f == NULL && errno == ENOENT)
        return cli_error(cli, EXIT_USAGE, "%s: neither a command nor a script; try `agfs help`",
                         name);
    if (f == NULL)
        return cli_fail_local(cli, name, errno);
    int code = n > 1 ? cli_error(cli, EXIT_USAGE, "%s: a script takes no arguments", words[1])
                     : shell_script(cli, f, name);
    fclose(f);
    return code;
}

/* The shell on a terminal. A server that is away now may come back, so it only warns. */
static int run_terminal(struct cli *cli)
{
    struct pfs_error err;
    interrupt_begin(cli->client);
    if (pfs_health(cli->client, &err) != PFS_OK)
        cli_fail(cli, cli->server, &err);
    int code = shell_interactive(cli);
    interrupt_end();
    return code;
}

static int run(struct cli *cli, const struct options *o, int argc, char **argv)
{
    const char *word = o->first < argc ? argv[o->first] : NULL;
    bool interactive =
        o->commands == NULL && word == NULL && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    cancel_install(interactive);
    if (interactive)
        return run_terminal(cli);
    if (o->commands)
        return shell_text(cli, o->commands);
    if (word == NULL)
        return shell_script(cli, stdin, "-");
    const struct command_spec *spec = command_find(word);
    if (spec == NULL)
        return run_file(cli, argv + o->first, argc - o->first);
    cancel_begin(spec->changes);
    return command_run(cli, argv + o->first, argc - o->first);
}

static int with_client(const struct options *o, int argc, char **argv)
{
    struct cli cli;
    struct pfs_client *client;
    struct pfs_error err;
    cli_init(&cli, NULL, o->server);
    cli.json = o->json;
    cli.quiet = o->quiet;
    cli.echo = o->echo;
    cli.terminal = isatty(STDOUT_FILENO);
    cli.progress = isatty(STDERR_FILENO);
    int code;
    if (pfs_client_new(o->client, o->n_client, &client, &err) != PFS_OK) {
        code = cli_fail(&cli, options_blame(o, err.text), &err);
    } else {
        cli.client = client;
        code = run(&cli, o, argc, argv);
        pfs_client_free(client);
    }
    code = stop_flush(&cli, code);
    cli_fini(&cli);
    return code;
}

/* What needs no server. */
static int show_text(const struct options *o)
{
    struct cli cli;
    cli_init(&cli, NULL, o->server);
    if (o->help)
        fputs(options_help, cli.out);
    else
        fprintf(cli.out, "agfs %s\n%s\n", PFS_VERSION, pfs_version());
    int code = stop_flush(&cli, 0);
    cli_fini(&cli);
    return code;
}

int main(int argc, char **argv)
{
    struct options o;
    fill_descriptors();
    int code = options_parse(argc, argv, &o);
    if (code == 0 && (o.help || o.version)) {
        code = show_text(&o);
    } else if (code == 0) {
        set_log(&o);
        code = with_client(&o, argc, argv);
    }
    options_fini(&o);
    return code;
}
