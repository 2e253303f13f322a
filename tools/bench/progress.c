/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "progress.h"
#include "utf8.h"
#include "util.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define STEP_NS (200 * NS_PER_MS) /* as often as an eye can follow */

void progress_fit(char *line, size_t columns)
{
    for (; *line && columns > 0; columns--) {
        int n = utf8_length(line);
        if (n == 0 && ((unsigned char)*line < 0x20 || (unsigned char)*line >= 0x7f))
            *line = '?';
        line += n ? n : 1;
    }
    *line = '\0';
}

/* Asked each time: a window may change. */
static size_t terminal_width(void)
{
    struct winsize size;

    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

/*
 * A line that went on in the next row of the terminal could not be taken back. The last column
 * stays free: some terminals go on once it is full.
 */
static void show(struct progress *p, char *line)
{
    progress_fit(line, terminal_width() - 1);
    fprintf(stderr, "\r\033[K%s", line);
    p->shown = true;
}

void progress_init(struct progress *p, bool quiet)
{
    *p = (struct progress){.on = !quiet && isatty(STDERR_FILENO)};
}

void progress_say(struct progress *p, const char *format, ...)
{
    va_list ap;
    char line[sizeof p->what];

    if (!p->on)
        return;
    va_start(ap, format);
    vsnprintf(p->what, sizeof p->what, format, ap);
    va_end(ap);
    memcpy(line, p->what, sizeof line);
    show(p, line);
}

void progress_step(void *progress, uint64_t calls, uint64_t errors, double seconds)
{
    struct progress *p = progress;
    int64_t now = now_ns();
    char line[sizeof p->what + 80], failed[40] = "";

    if (!p->on || now < p->next_ns || seconds <= 0)
        return;
    p->next_ns = now + STEP_NS;
    if (errors)
        snprintf(failed, sizeof failed, ", %llu errors", (unsigned long long)errors);
    snprintf(line, sizeof line, "%s: %.1f s, %.0f calls/s%s", p->what, seconds,
             (double)calls / seconds, failed);
    show(p, line);
}

void progress_clear(struct progress *p)
{
    if (p->shown)
        fputs("\r\033[K", stderr);
    p->shown = false;
}
