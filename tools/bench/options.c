/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "options.h"
#include "target_spec.h"
#include "units.h"
#include "util.h"
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char options_help[] =
    "usage: agfs-bench [OPTION...] URL[,KEY=VALUE...]...    measure servers, alternating\n"
    "       agfs-bench --limit                              what bare TLS does here\n"
    "       agfs-bench --compare A.json B.json              which is better, beyond noise?\n"
    "\n"
    "A target is a base URL; its KEYs are name=, path=, queue=, file= (a file that is there: only\n"
    "stat, read, write; nothing is prepared) and any option of a mount.\n"
    "Without a target: AGFS_API_URL, AGFS_SERVER_URL, http://localhost:8080.\n"
    "  --server TARGET     one more, before those that stand alone\n"
    "  --cacert FILE, --cert FILE, --key FILE, --insecure, --timeout TIME, -o KEY=VALUE\n"
    "                      options of every target, as for agfs; those of TLS where it is https,\n"
    "                      if any is\n"
    "  --path PATH         directory to work in (a mount: /remote/memfs); default /memfs, /local\n"
    "  --queue PATH        queuefs mount for enqueue and dequeue (/queuefs)\n"
    "\n"
    "  -w, --workload W    stat:60,read:25,write:10,list:5; also create+remove, enqueue+dequeue,\n"
    "                      enqueue, dequeue (default: stat)\n"
    "  -s, --size SIZE     of files and messages, 0 to 1 TiB (default 4KiB)\n"
    "  --entries N         in the directory that is listed (100)\n"
    "  --files N           that are read and looked at (16)\n"
    "  -c, --callers N     threads that call (1, or as many as remotes; open loop 64)\n"
    "  --remotes N         remotes that the calls are spread over (1); %n in a URL is its number\n"
    "  -r, --rate N        open loop: calls a second, times count from the plan\n"
    "  --arrival KIND      of an open loop: constant or poisson (constant)\n"
    "  -d, --duration TIME measured time of each target and step, all rounds (5s)\n"
    "  -n, --count N       calls of each target and step instead\n"
    "  --warmup TIME       before each round (200ms)\n"
    "  --rounds N          targets take turns that often (5)\n"
    "  --sweep NAME=LIST   callers=1,2,..,256  size=1KiB,..,1GiB  entries=10,..,100000\n"
    "                      remotes=1,..,64  rate=1000,2000,..,64000; says where the knee is\n"
    "  --ramp NAME=LIST    the same for callers or rate, up to the knee\n"
    "  --limit             bare TLS as further targets: how far from what is possible\n"
    "  --cpu N             bind this process to one CPU\n"
    "\n"
    "  --json FILE, --csv FILE, --html FILE, --hdr FILE    reports (- is standard output)\n"
    "  -q, --quiet         no line of progress\n"
    "  -v, --verbose       log of connections; -vv: of everything\n"
    "  --version, --help\n";

enum {
    OPT_CACERT = 256,
    OPT_CERT,
    OPT_KEY,
    OPT_INSECURE,
    OPT_TIMEOUT,
    OPT_SERVER,
    OPT_PATH,
    OPT_QUEUE,
    OPT_ENTRIES,
    OPT_FILES,
    OPT_REMOTES,
    OPT_ARRIVAL,
    OPT_WARMUP,
    OPT_ROUNDS,
    OPT_SWEEP,
    OPT_RAMP,
    OPT_LIMIT,
    OPT_CPU,
    OPT_JSON,
    OPT_CSV,
    OPT_HTML,
    OPT_HDR,
    OPT_COMPARE
};

static const struct option long_options[] = {
    {"server", required_argument, NULL, OPT_SERVER},
    {"cacert", required_argument, NULL, OPT_CACERT},
    {"cert", required_argument, NULL, OPT_CERT},
    {"key", required_argument, NULL, OPT_KEY},
    {"insecure", no_argument, NULL, OPT_INSECURE},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"path", required_argument, NULL, OPT_PATH},
    {"queue", required_argument, NULL, OPT_QUEUE},
    {"workload", required_argument, NULL, 'w'},
    {"size", required_argument, NULL, 's'},
    {"entries", required_argument, NULL, OPT_ENTRIES},
    {"files", required_argument, NULL, OPT_FILES},
    {"callers", required_argument, NULL, 'c'},
    {"remotes", required_argument, NULL, OPT_REMOTES},
    {"rate", required_argument, NULL, 'r'},
    {"arrival", required_argument, NULL, OPT_ARRIVAL},
    {"duration", required_argument, NULL, 'd'},
    {"count", required_argument, NULL, 'n'},
    {"warmup", required_argument, NULL, OPT_WARMUP},
    {"rounds", required_argument, NULL, OPT_ROUNDS},
    {"sweep", required_argument, NULL, OPT_SWEEP},
    {"ramp", required_argument, NULL, OPT_RAMP},
    {"limit", no_argument, NULL, OPT_LIMIT},
    {"cpu", required_argument, NULL, OPT_CPU},
    {"json", required_argument, NULL, OPT_JSON},
    {"csv", required_argument, NULL, OPT_CSV},
    {"html", required_argument, NULL, OPT_HTML},
    {"hdr", required_argument, NULL, OPT_HDR},
    {"compare", no_argument, NULL, OPT_COMPARE},
    {"quiet", no_argument, NULL, 'q'},
    {"verbose", no_argument, NULL, 'v'},
    {"version", no_argument, NULL, 'V'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* What is collected before it becomes targets. */
struct collected {
    struct options *o;
    struct target_spec common;
    bool any_tls; /* of the targets; none: options of TLS are the library's to refuse */
    bool duration_given, callers_given, compare;
    int no_compare; /* the first option that --compare does not take, 0: none */
    const char *arrival;
    const char **servers; /* of --server */
    size_t n_servers;
};

/* value NULL: it is not the value that is wrong. */
static int bad(const char *option, const char *value, const char *form)
{
    return complain(EXIT_USAGE, "%s%s%s: %s", option, value ? " " : "", value ? value : "", form);
}

/* A whole number from min to max. */
static int take_count(const char *option, const char *value, double min, double max, double *ret)
{
    char form[80];

    snprintf(form, sizeof form, "a whole number from %.0f to %.0f expected", min, max);
    return parse_number(value, ret) && *ret == floor(*ret) && *ret >= min && *ret <= max
               ? 0
               : bad(option, value, form);
}

static int take_unsigned(const char *option, const char *value, unsigned min, unsigned max,
                         unsigned *ret)
{
    double v;
    int code = take_count(option, value, min, max, &v);

    if (code == 0)
        *ret = (unsigned)v;
    return code;
}

/* The end of an option whose value was parsed; text: what is wrong, owned, NULL: nothing. */
static int parsed(const char *option, const char *value, char *text)
{
    int code = text ? bad(option, value, text) : 0;

    free(text);
    return code;
}

static int take_load(int opt, struct collected *c)
{
    struct options *o = c->o;
    double v;
    int code;

    switch (opt) {
    case 'c':
        c->callers_given = true;
        return take_unsigned("--callers", optarg, 1, 4096, &o->callers);
    case 'r':
        if (!parse_number(optarg, &o->rate) || o->rate < 0.001 || o->rate > 1e9)
            return bad("--rate", optarg, "calls a second from 0.001 to 1e9 expected");
        return 0;
    case 'd':
        c->duration_given = true;
        if (!parse_duration(optarg, &o->duration_ns))
            return bad("--duration", optarg, "a time like 500ms, 5s or 2m expected, up to 24h");
        if (o->duration_ns <= 0)
            return bad("--duration", optarg, "nothing can be measured in no time");
        return 0;
    case 'n':
        code = take_count("--count", optarg, 1, 1e12, &v);
        if (code == 0)
            o->count = (uint64_t)v;
        return code;
    case OPT_WARMUP:
        return parse_duration(optarg, &o->warmup_ns)
                   ? 0
                   : bad("--warmup", optarg, "a time like 0, 500ms or 5s expected, up to 24h");
    case OPT_ARRIVAL:
        c->arrival = optarg;
        o->arrival = strcmp(optarg, "poisson") == 0 ? ARRIVAL_POISSON : ARRIVAL_CONSTANT;
        return o->arrival == ARRIVAL_POISSON || strcmp(optarg, "constant") == 0
                   ? 0
                   : bad("--arrival", optarg, "constant or poisson expected");
    case OPT_ROUNDS:
        return take_unsigned("--rounds", optarg, 1, 1000, &o->rounds);
    default:
        return take_unsigned("--remotes", optarg, 1, 64, &o->remotes);
    }
}

static int take_work(int opt, struct collected *c)
{
    struct options *o = c->o;
    char *text = NULL;

    switch (opt) {
    case 'w':
        workload_parse(optarg, &o->workload, &text);
        return parsed("--workload", optarg, text);
    case 's':
        return parse_size(optarg, &o->size)
                   ? 0
                   : bad("--size", optarg, "a size like 0, 4KiB or 64MiB expected, up to 1 TiB");
    case OPT_ENTRIES:
        return take_unsigned("--entries", optarg, 0, 1000000, &o->entries);
    case OPT_FILES:
        return take_unsigned("--files", optarg, 1, 100000, &o->files);
    case OPT_RAMP:
    case OPT_SWEEP:
        if (o->sweep.kind != SWEEP_NONE)
            return bad("--sweep", optarg, "only one quantity can be swept in a run");
        sweep_parse(optarg, &o->sweep, &text);
        o->sweep.stop_at_knee = opt == OPT_RAMP;
        if (text == NULL && opt == OPT_RAMP && o->sweep.kind != SWEEP_CALLERS &&
            o->sweep.kind != SWEEP_RATE)
            text = xasprintf("only callers and rate have a knee");
        return parsed(opt == OPT_RAMP ? "--ramp" : "--sweep", optarg, text);
    default:
        return take_unsigned("--cpu", optarg, 0, 1023, (unsigned *)&o->cpu);
    }
}

static int take_output(int opt, struct collected *c)
{
    struct options *o = c->o;

    switch (opt) {
    case OPT_JSON:
        o->json = optarg;
        break;
    case OPT_CSV:
        o->csv = optarg;
        break;
    case OPT_HTML:
        o->html = optarg;
        break;
    case OPT_HDR:
        o->hdr = optarg;
        break;
    case OPT_COMPARE:
        c->compare = true;
        break;
    case OPT_LIMIT:
        o->limit = true;
        break;
    case 'q':
        o->quiet = true;
        break;
    case 'v':
        o->verbose++;
        break;
    case 'V':
        o->version = true;
        break;
    default:
        o->help = true;
        break;
    }
    return 0;
}

static int take_option(int opt, struct collected *c)
{
    struct target_spec *a = &c->common;

    switch (opt) {
    case OPT_CACERT:
        return spec_set(a, "ca_file", optarg);
    case OPT_CERT:
        return spec_set(a, "client_cert", optarg);
    case OPT_KEY:
        return spec_set(a, "client_key", optarg);
    case OPT_INSECURE:
        return spec_set(a, "insecure_skip_verify", "true");
    case OPT_TIMEOUT:
        return spec_set(a, "timeout", optarg);
    case OPT_PATH:
        return spec_set(a, "path", optarg);
    case OPT_QUEUE:
        return spec_set(a, "queue", optarg);
    case 'o':
        return spec_set_pair(a, optarg);
    case OPT_SERVER:
        c->servers = xrealloc(c->servers, (c->n_servers + 1) * sizeof *c->servers);
        c->servers[c->n_servers++] = optarg;
        return 0;
    case 'c':
    case 'r':
    case 'd':
    case 'n':
    case OPT_WARMUP:
    case OPT_ARRIVAL:
    case OPT_ROUNDS:
    case OPT_REMOTES:
        return take_load(opt, c);
    case 'w':
    case 's':
    case OPT_ENTRIES:
    case OPT_FILES:
    case OPT_SWEEP:
    case OPT_RAMP:
    case OPT_CPU:
        return take_work(opt, c);
    case '?': /* getopt_long has said what is wrong */
        fputs("try `agfs-bench --help`\n", stderr);
        return EXIT_USAGE;
    default:
        return take_output(opt, c);
    }
}

/* --compare takes none but those of what is said on stderr. */
static int take_noted(int opt, struct collected *c)
{
    if (c->no_compare == 0 && opt != OPT_COMPARE && opt != 'q' && opt != 'v')
        c->no_compare = opt;
    return take_option(opt, c);
}

static const char *from_environment(const char *name)
{
    const char *value = getenv(name);

    return value && value[0] ? value : NULL;
}

static int add_target(struct collected *c, const char *text)
{
    struct options *o = c->o;

    o->targets = xrealloc(o->targets, (o->n_targets + 1) * sizeof *o->targets);
    return spec_parse(text, &c->common, c->any_tls, &o->targets[o->n_targets++]);
}

static int add_targets(struct collected *c, int argc, char **argv)
{
    int code = 0;

    for (size_t i = 0; i < c->n_servers; i++)
        c->any_tls |= spec_is_tls(c->servers[i]);
    for (int i = optind; i < argc; i++)
        c->any_tls |= spec_is_tls(argv[i]);
    for (size_t i = 0; i < c->n_servers && code == 0; i++)
        code = add_target(c, c->servers[i]);
    for (int i = optind; i < argc && code == 0; i++)
        code = add_target(c, argv[i]);
    if (code || c->o->n_targets || c->o->limit)
        return code;
    const char *server = from_environment("AGFS_API_URL");
    if (server == NULL)
        server = from_environment("AGFS_SERVER_URL");
    return add_target(c, server ? server : "http://localhost:8080");
}

/* A remote that no caller is there for would not be measured. */
static int check_remotes(const struct collected *c)
{
    struct options *o = c->o;
    bool swept = o->sweep.kind == SWEEP_CALLERS;
    double fewest = swept ? o->sweep.values[0] : o->callers;

    if (o->sweep.kind == SWEEP_REMOTES || fewest >= o->remotes)
        return 0; /* a sweep of remotes adds callers where it has to */
    if (!swept && !c->callers_given) {
        o->callers = o->remotes;
        return 0;
    }
    return complain(EXIT_USAGE, "%s: %.0f cannot call %u remotes: at least a caller for each",
                    swept ? "--sweep callers" : "--callers", fewest, o->remotes);
}

/* What only makes sense together. */
static int check(struct collected *c)
{
    struct options *o = c->o;
    bool open_loop = o->rate > 0 || o->sweep.kind == SWEEP_RATE;

    if (o->rate > 0 && o->sweep.kind == SWEEP_RATE)
        return bad("--rate", NULL, "the rate is already swept");
    if (o->rate > 0 && o->sweep.stop_at_knee)
        return bad("--ramp", NULL, "at a planned rate more callers have no knee: ramp the rate");
    if (c->arrival && !open_loop)
        return bad("--arrival", c->arrival, "only an open loop has one: add --rate");
    if (c->duration_given && o->count)
        return bad("--count", NULL, "either a duration or a number of calls");
    if (!open_loop)
        o->arrival = ARRIVAL_CLOSED;
    if (open_loop && !c->callers_given)
        o->callers = 64;
    if (check_remotes(c) != 0)
        return EXIT_USAGE;
    if (o->count)
        o->duration_ns = 0;
    if (o->n_targets == 0 && o->sweep.kind != SWEEP_NONE)
        return bad("--sweep", NULL, "there is nothing to sweep without a target");
    return 0;
}

static int take_compared(struct collected *c, int argc, char **argv)
{
    if (c->no_compare) {
        const struct option *o = long_options;
        while (o->name && o->val != c->no_compare)
            o++;
        return complain(EXIT_USAGE, "--compare measures nothing and takes no %s%s",
                        o->name ? "--" : "-", o->name ? o->name : "o");
    }
    if (argc - optind != 2)
        return complain(EXIT_USAGE, "--compare needs two reports: A.json B.json");
    c->o->compare[0] = argv[optind];
    c->o->compare[1] = argv[optind + 1];
    return 0;
}

int options_parse(int argc, char **argv, struct options *ret)
{
    struct collected c = {.o = ret};
    const char *timeout = from_environment("AGFS_TIMEOUT");
    char *ignored;
    int opt, code = 0;

    *ret = (struct options){.size = 4096,
                            .entries = 100,
                            .files = 16,
                            .callers = 1,
                            .remotes = 1,
                            .rounds = 5,
                            .arrival = ARRIVAL_CONSTANT,
                            .cpu = -1,
                            .warmup_ns = 200 * NS_PER_MS,
                            .duration_ns = 5 * NS_PER_S};
    workload_parse("stat", &ret->workload, &ignored);
    if (timeout)
        code = spec_set(&c.common, "timeout", timeout);
    optind = 0;
    while (code == 0 &&
           (opt = getopt_long(argc, argv, "c:r:d:n:w:s:o:qvhV", long_options, NULL)) != -1)
        code = take_noted(opt, &c);
    if (code == 0 && !ret->help && !ret->version)
        code = c.compare ? take_compared(&c, argc, argv) : add_targets(&c, argc, argv);
    if (code == 0 && !c.compare)
        code = check(&c);
    spec_fini(&c.common);
    free(c.servers);
    return code;
}

void options_fini(struct options *o)
{
    for (size_t i = 0; i < o->n_targets; i++)
        spec_fini(&o->targets[i]);
    free(o->targets);
    *o = (struct options){.cpu = -1};
}
