/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFS_PATH_H
#define AGFS_PATH_H

/* Paths of AGFS as text, and names given on the command line. Results are owned by the caller. */
#include "cli.h"
#include "parse.h"

/* The absolute normal form of `name` seen from cwd ("/a/b", no "." or ".."). */
char *path_resolve(const char *cwd, const char *name);
char *path_join(const char *dir, const char *name);
/* The last component, inside path; "/" for the root. */
const char *path_base(const char *path);
char *path_parent(const char *path);
/* True when path is dir or below it; both normalised. */
bool path_below(const char *path, const char *dir);
/* False for names that a listing must not hold: "", ".", "..", anything with '/'. */
bool name_is_safe(const char *name);

/* A file given on the command line: of AGFS, or with the prefix "local:" of this machine. */
struct place {
    bool local;
    char *path;    /* AGFS: absolute and normalised; local: as given */
    unsigned mode; /* of what is to be copied: its permission bits; 0: not known */
};
struct place place_of(const struct cli *cli, const char *word);
bool path_is_local(const char *word);
/* Whether the word can only mean a directory: "a/". */
bool path_wants_directory(const char *word);
/* What follows the prefix of a word that path_is_local. */
const char *path_of_local(const char *word);
/*
 * The word for a name of AGFS that was found, not typed: "./" stands before what would be taken for
 * an option or a file of this machine ("-rf", "local:x").
 */
char *path_as_word(const char *name);
/* The place of `name` inside the directory p. */
struct place place_inside(const struct place *p, const char *name);
/* How the user knows the place: "/a" or "local:/a". */
char *place_show(const struct place *p);
void place_fini(struct place *p);

/*
 * Adds to *ret what the word stands for: the names that match its pattern, sorted; the word's text
 * when it has no pattern or nothing matches. Reads listings of the remote. Returns 0, or an exit
 * code after an error line: what could not be looked at may hold such names.
 */
int glob_expand(struct cli *cli, const struct word *w, struct strings *ret);

#endif
