/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "stop.h"
#include "cancel.h"
#include <errno.h>
#include <poll.h>
#include <string.h>

bool stop_asked(const struct cli *cli)
{
    return cancel_asked() || ferror(cli->out);
}

int stop_if_cancelled(struct cli *cli, const char *what)
{
    return cancel_asked() ? cli_error(cli, EXIT_CANCEL, "%s: cancelled", what) : 0;
}

bool stop_before(struct cli *cli, int n_left, int *code)
{
    if (cancel_asked())
        *code = cli_error(cli, EXIT_CANCEL, "cancelled: %d more %s not tried", n_left,
                          n_left == 1 ? "was" : "were");
    return stop_asked(cli);
}

/* A pipe or socket without a reader. Its errno may be lost: the failed write was inside printf. */
static bool reader_has_left(FILE *f)
{
    struct pollfd p = {.fd = fileno(f), .events = POLLOUT};
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLERR | POLLHUP));
}

int stop_flush(struct cli *cli, int code)
{
    bool lost = ferror(cli->out) != 0;
    int eno = fflush(cli->out) == 0 ? 0 : errno;
    if (!lost && eno == 0)
        return code;
    cli->quit = true;
    if (code == 0 && eno != EPIPE && !reader_has_left(cli->out))
        cli_error(cli, EXIT_OTHER, "output: %s",
                  eno ? strerror(eno) : "a part of it could not be written");
    return code ? code : EXIT_OTHER;
}
