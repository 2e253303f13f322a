/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFS_DOC_H
#define AGFS_DOC_H

/*
 * As much JSON as the tool needs: reading the documents that pfs_call hands through (mounts,
 * plugins, health) and printing values. Pure functions.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define DOC_DEPTH_MAX 32 /* nesting; a document of AGFS has 4 levels */

enum doc_kind { DOC_NULL, DOC_BOOL, DOC_NUMBER, DOC_STRING, DOC_ARRAY, DOC_OBJECT };

/* A value; arrays and objects own their items in the order of the document. */
struct doc {
    enum doc_kind kind;
    char *key;         /* inside an object, else NULL */
    char *text;        /* the string's bytes; number, true, false, null as written */
    struct doc *items; /* n items of an array or object */
    size_t n;
};

/*
 * Reads the len bytes at s. Returns the document (doc_free) or NULL when it is not JSON, nests too
 * deeply or has a string with NUL.
 */
struct doc *doc_read(const char *s, size_t len);
void doc_free(struct doc *j);
/* The member of an object; NULL when j is NULL, no object, or has none of that name. */
const struct doc *doc_get(const struct doc *j, const char *key);
/* The text of a scalar member, or `other` when absent, null, array or object. */
const char *doc_text(const struct doc *j, const char *key, const char *other);

/* Prints s as a JSON string with its quotes; bytes that are no UTF-8 become U+FFFD. */
void doc_put_string(FILE *f, const char *s);
/* Prints a value in one line. */
void doc_put(FILE *f, const struct doc *j);

#endif
