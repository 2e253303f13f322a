/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "progress.h"
#include <time.h>

#define FIRST_MS 500 /* a transfer that is done before needs no line */
#define STEP_MS 200  /* as often as an eye can follow */
#define BAR_WIDTH 20

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void begin(struct progress *p, struct cli *cli)
{
    if (cli->progress && !cli->quiet) {
        p->cli = cli;
        p->start_ms = now_ms();
        p->next_ms = p->start_ms + FIRST_MS;
    }
}

void progress_begin(struct progress *p, struct cli *cli, const char *name, int64_t total)
{
    *p = (struct progress){.name = name, .total = total};
    begin(p, cli);
}

void progress_begin_files(struct progress *p, struct cli *cli, const char *name, size_t n_files)
{
    *p = (struct progress){.name = name, .total = -1, .n_files = n_files};
    begin(p, cli);
}

static void draw(const struct progress *p, int64_t now)
{
    double mib = (double)p->done / (1 << 20);
    FILE *err = p->cli->err;
    double rate = mib * 1000 / (double)(now - p->start_ms);
    fputs("\r\033[K", err);
    cli_put_escaped(err, p->name);
    if (p->total > 0 && p->done <= p->total) {
        int full = (int)(p->done * BAR_WIDTH / p->total);
        fprintf(err, " [%.*s%*s] %3d%% %.1f MiB %.1f MiB/s", full, "####################",
                BAR_WIDTH - full, "", (int)(p->done * 100 / p->total), mib, rate);
    } else if (p->n_files > 0) {
        fprintf(err, " %zu of %zu files, %.1f MiB %.1f MiB/s", p->n_ended, p->n_files, mib, rate);
    } else {
        fprintf(err, " %.1f MiB %.1f MiB/s", mib, rate);
    }
    fflush(err);
}

static void step(struct progress *p, size_t bytes, size_t files)
{
    if (p->cli == NULL)
        return;
    cli_lock_err();
    int64_t now = now_ms();
    p->done += (int64_t)bytes;
    p->n_ended += files;
    if (now >= p->next_ms) {
        p->next_ms = now + STEP_MS;
        p->shown = true;
        draw(p, now);
    }
    cli_unlock_err();
}

void progress_bytes(struct progress *p, size_t n)
{
    step(p, n, 0);
}

void progress_file(struct progress *p)
{
    step(p, 0, 1);
}

void progress_hide(struct progress *p)
{
    if (p->shown)
        fputs("\r\033[K", p->cli->err);
    p->shown = false;
}
