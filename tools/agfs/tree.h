/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFS_TREE_H
#define AGFS_TREE_H

/*
 * What is at a place, and all that is below it. A tree is read before anything of it is copied, so
 * that what the copying itself makes is never taken for a part of it, under whatever name.
 */
#include "path.h"

enum kind {
    KIND_NONE,
    KIND_FILE,
    KIND_DIR,
    KIND_CONTROL, /* reading it may do something, such as take a message out of a queue */
    KIND_OTHER,   /* nothing that could be copied and read back: a device, a bad name */
};

struct entry;

/* What a directory holds. */
struct entries {
    struct entry *v;
    size_t n;
    int code; /* 0, or the exit code of what could not be read of it; that has been reported */
};

struct entry {
    char *name;
    enum kind kind;
    unsigned mode;        /* as in struct place */
    struct entries below; /* of a directory */
};

/* Looks where links lead. Returns 0 or an exit code, and has printed the error. */
int place_kind(struct cli *cli, const struct place *p, enum kind *ret);
/* The same; sets p->mode too. */
int place_look(struct cli *cli, struct place *p, enum kind *ret);

/* Reads the directory p and all below it; tree_fini frees *ret. */
void tree_read(struct cli *cli, const struct place *p, struct entries *ret);
void tree_fini(struct entries *l);

#endif
