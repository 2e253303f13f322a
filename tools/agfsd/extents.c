/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "extents.h"
#include <string.h>

bool extents_add(struct extents *e, int64_t from, int64_t to)
{
    unsigned first = 0, end;

    if (from >= to) {
        return true;
    }
    while (first < e->n && e->at[first].to < from) {
        first++;
    }
    for (end = first; end < e->n && e->at[end].from <= to; end++) {
        from = e->at[end].from < from ? e->at[end].from : from;
        to = e->at[end].to > to ? e->at[end].to : to;
    }
    if (first == end && e->n == EXTENTS_MAX) {
        return false;
    }
    /* One in the place of those it touches. */
    memmove(e->at + first + 1, e->at + end, (e->n - end) * sizeof *e->at);
    e->n -= end - first;
    e->n++;
    e->at[first] = (struct extent){from, to};
    return true;
}

bool extents_are_whole(const struct extents *e, int64_t len)
{
    return len == 0 ? e->n == 0 : e->n == 1 && e->at[0].from == 0 && e->at[0].to == len;
}
