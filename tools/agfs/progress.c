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

void progress_begin(struct progress *p, struct cli *cli, const char *name, int64_t total)
{
    *p = (struct progress){.name = name, .total = total};
    if (cli->progress && !cli->quiet) {
        p->cli = cli;
        p->start_ms = now_ms();
        p->next_ms = p->start_ms + FIRST_MS;
    }
}

void progress_step(struct progress *p, int64_t done)
{
    int64_t now = p->cli ? now_ms() : 0;
    if (p->cli == NULL || now < p->next_ms)
        return;
    p->next_ms = now + STEP_MS;
    p->shown = true;
    double mib = (double)done / (1 << 20);
    double rate = mib * 1000 / (double)(now - p->start_ms);
    if (p->total > 0 && done <= p->total) {
        int full = (int)(done * BAR_WIDTH / p->total);
        fprintf(p->cli->err, "\r\033[K%s [%.*s%*s] %3d%% %.1f MiB %.1f MiB/s", p->name, full,
                "####################", BAR_WIDTH - full, "", (int)(done * 100 / p->total), mib,
                rate);
    } else {
        fprintf(p->cli->err, "\r\033[K%s %.1f MiB %.1f MiB/s", p->name, mib, rate);
    }
    fflush(p->cli->err);
}

void progress_end(struct progress *p)
{
    if (p->shown)
        fputs("\r\033[K", p->cli->err);
    p->shown = false;
}
