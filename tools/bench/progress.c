/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "progress.h"
#include "util.h"
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define STEP_NS (200 * NS_PER_MS) /* as often as an eye can follow */

void progress_init(struct progress *p, bool quiet)
{
    *p = (struct progress){.on = !quiet && isatty(STDERR_FILENO)};
}

void progress_say(struct progress *p, const char *format, ...)
{
    va_list ap;

    if (!p->on)
        return;
    va_start(ap, format);
    vsnprintf(p->what, sizeof p->what, format, ap);
    va_end(ap);
    fprintf(stderr, "\r\033[K%s", p->what);
    p->shown = true;
}

void progress_step(void *progress, uint64_t calls, uint64_t errors, double seconds)
{
    struct progress *p = progress;
    int64_t now = now_ns();

    if (!p->on || now < p->next_ns || seconds <= 0)
        return;
    p->next_ns = now + STEP_NS;
    fprintf(stderr, "\r\033[K%s: %.1f s, %.0f calls/s", p->what, seconds, (double)calls / seconds);
    if (errors)
        fprintf(stderr, ", %llu errors", (unsigned long long)errors);
    p->shown = true;
}

void progress_clear(struct progress *p)
{
    if (p->shown)
        fputs("\r\033[K", stderr);
    p->shown = false;
}
