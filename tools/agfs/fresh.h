/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFS_FRESH_H
#define AGFS_FRESH_H

/*
 * The mode of a new file of the server. A server gives new files a mode of its own (0644), and
 * changes it when it is told; one that has no modes, or does not let them be changed, has none that
 * matter, and nothing fails there.
 */
#include "path.h"

struct fresh {
    const char *path; /* borrowed; NULL: there is nothing to do */
    unsigned mode;    /* to be given at the end */
    bool is_made;     /* an empty file, which goes again if nothing follows */
};

/*
 * Before content goes to `to`. Where that is a new file of the server, and others must not read it,
 * it is made empty and with mode 0600. mode: that it will have, 0: whichever. Both return 0 or an
 * exit code, and have printed the error.
 */
int fresh_begin(struct cli *cli, const struct place *to, unsigned mode, struct fresh *ret);
/* After the content is there, or, if code is not 0, failed to come. */
int fresh_end(struct cli *cli, const struct fresh *f, int code);

/* Takes from the mode of a file of the server what `mode` has not; 0: nothing. */
void fresh_narrow(struct cli *cli, const char *path, unsigned mode);

#endif
