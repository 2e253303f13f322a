/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFS_REDIRECT_H
#define AGFS_REDIRECT_H

/* Output of a command that goes into a file of AGFS (or of this machine) instead of stdout. */
#include "parse.h"
#include "transfer.h"

/* Output up to this length is sent as one write, whose reply may hold a message for the user
 * (control files do that); what is longer is streamed. */
#define REDIRECT_WHOLE_MAX (1u << 20)

struct redirection {
    struct cli *cli;
    struct place target;
    uint32_t flags;
    struct text head; /* what has not been sent */
    bool streaming;
    struct sink sink; /* valid when streaming */
    int code;         /* of the first failure */
    FILE *saved_out;
    bool saved_terminal;
};

/*
 * Points cli->out to the target; `r` must stay where it is until redirect_end, which points it back
 * and returns 0 or an exit code (printed). Without `commit` the target is left as it was.
 */
void redirect_begin(struct redirection *r, struct cli *cli, enum redirect how, const char *target);
int redirect_end(struct redirection *r, bool commit);

#endif
