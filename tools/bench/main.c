/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "compare.h"
#include "descriptors.h"
#include "interrupt.h"
#include "options.h"
#include "output.h"
#include "process.h"
#include "run.h"
#include "target_spec.h"
#include "util.h"
#include <proxyfs/proxyfs.h>
#include <stdlib.h>
#include <string.h>

static void log_cb(void *arg, enum pfs_log_level level, const char *line)
{
    (void)arg;
    (void)level;
    fprintf(stderr, "agfs-bench: %s\n", line);
}

/* The command as it was given, without passwords in URLs. */
static void keep_command(struct report *r, int argc, char **argv)
{
    r->command = xcalloc((size_t)argc, sizeof *r->command);
    r->n_command = (size_t)argc;
    for (int i = 0; i < argc; i++)
        r->command[i] = spec_masked(argv[i]);
}

static int open_outputs(const struct options *o, struct outputs *out)
{
    int code = outputs_add(out, o->json, report_write_json);

    if (code == 0)
        code = outputs_add(out, o->csv, report_write_csv);
    if (code == 0)
        code = outputs_add(out, o->html, report_write_html);
    if (code == 0)
        code = outputs_add(out, o->hdr, report_write_hdr);
    return code;
}

/* What the exit code says of a run that has a report. */
static int verdict(const struct report *r)
{
    int code = r->interrupted                     ? EXIT_INTERRUPTED
               : r->left_behind || r->ended_early ? EXIT_OTHER
                                                  : 0;

    for (size_t i = 0; i < r->n_targets; i++) {
        const struct report_target *t = &r->targets[i];
        for (size_t k = 0; k < t->n_steps && code == 0; k++) {
            if (t->steps[k].n_errors)
                code = EXIT_OTHER;
            else if (r->sweep != SWEEP_RATE && step_fell_short(&t->steps[k]))
                code = pfs_class_exit(PFS_OVERLOAD);
        }
        if (code == 0 && t->queue.used && !t->queue.conserved)
            code = EXIT_OTHER;
    }
    return code;
}

/* Takes the report that holds the command. */
static int bench(const struct options *o, struct report *command)
{
    struct outputs out = {.n = 0};
    struct report r = {.n_targets = 0};

    interrupt_install();
    int code = open_outputs(o, &out);

    if (code == 0 && o->cpu >= 0) {
        int eno = process_pin(o->cpu);
        if (eno)
            code = complain(EXIT_USAGE, "--cpu %d: %s", o->cpu, strerror(eno));
    }
    if (code == 0)
        code = run_all(o, &r);
    if (code == 0) {
        r.command = command->command;
        r.n_command = command->n_command;
        command->n_command = 0;
        command->command = NULL;
        if (!out.stdout_taken) {
            report_write_table(stdout, &r);
            code = output_flush_stdout();
        }
        int written = outputs_write(&out, &r);
        code = code ? code : written;
    }
    if (code == 0)
        code = verdict(&r);
    outputs_fini(&out);
    report_fini(&r);
    return code;
}

/* What needs no server. */
static int print(const struct options *o)
{
    int code = 0;

    if (o->help)
        fputs(options_help, stdout);
    else if (o->version)
        printf("agfs-bench %s\n%s\n", PFS_VERSION, pfs_version());
    else
        code = compare_files(o->compare[0], o->compare[1], stdout);
    return output_flush_stdout() != 0 && code == 0 ? EXIT_OTHER : code;
}

int main(int argc, char **argv)
{
    struct options o;
    struct report command = {.n_targets = 0};

    fill_descriptors();
    keep_command(&command, argc, argv); /* before getopt changes the order */
    int code = options_parse(argc, argv, &o);
    if (code == 0 && (o.help || o.version || o.compare[0])) {
        code = print(&o);
    } else if (code == 0) {
        if (o.verbose)
            pfs_log_to(log_cb, NULL, o.verbose > 1 ? PFS_LOG_DEBUG : PFS_LOG_INFO);
        code = bench(&o, &command);
    }
    options_fini(&o);
    report_fini(&command);
    return code;
}
