/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFS_UTIL_H
#define AGFS_UTIL_H

/* Texts and small lists for the command line tool, in memory of xalloc.h. */
#include "xalloc.h"
#include <proxyfs/error.h>
#include <stddef.h>

#define EXIT_OTHER 1    /* a failure without a class */
#define EXIT_USAGE 2    /* the command line is wrong */
#define EXIT_CANCEL 130 /* Ctrl-C */

/* The directory that a path of this machine is in; to be freed by the caller. */
char *local_parent(const char *path);
/* A name beside the path, for mkstemp: short, so that there is one for every name. */
char *local_temporary(const char *path);

/* A growing text, NUL-terminated once something was added. Zero-initialised is empty. */
struct text {
    char *s;
    size_t len, cap;
};
void text_add(struct text *t, const char *s, size_t n);
void text_char(struct text *t, char c);
/* Returns the text (never NULL, to be freed by the caller) and empties t. */
char *text_take(struct text *t);

/* A growing list of owned strings. Zero-initialised is empty. */
struct strings {
    char **v;
    size_t n;
};
/* Takes s. */
void strings_add(struct strings *l, char *s);
void strings_sort(struct strings *l);
void strings_fini(struct strings *l);

#endif
