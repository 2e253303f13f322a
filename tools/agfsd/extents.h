/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_EXTENTS_H
#define AGFSD_EXTENTS_H

/* Which bytes of a file have been written: ranges, ascending, apart from each other. */
#include <stdbool.h>
#include <stdint.h>

/* Ranges with a gap between them; parts come nearly in order, and few are under way at a time. */
#define EXTENTS_MAX 64

struct extents {
    unsigned n;
    struct extent {
        int64_t from, to;
    } at[EXTENTS_MAX];
};

/* Adds [from, to), which may be there already. False: too many gaps. */
bool extents_add(struct extents *e, int64_t from, int64_t to);
/* Exactly the first len bytes? */
bool extents_are_whole(const struct extents *e, int64_t len);

#endif
