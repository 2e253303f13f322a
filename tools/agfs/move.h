/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFS_MOVE_H
#define AGFS_MOVE_H

/*
 * Moving by copying, where no server can rename. Several mounts may show one file under several
 * names, so that no comparison of paths tells what is the same: nothing here relies on one. At any
 * moment a complete copy exists under a name that stays. Functions return 0 or an exit code, and
 * have printed the error.
 */
#include "path.h"

/* Moves one file; `to` is replaced if it is a file. */
int move_file(struct cli *cli, const struct place *from, const struct place *to);
/*
 * Refuses to move the directory `from` to `to` when that is `from` itself or lies within it under
 * another name. Nothing has been made yet of what `to` will be.
 */
int move_check_tree(struct cli *cli, const struct place *from, const struct place *to);
/* Removes a file or an empty directory. */
int move_remove(struct cli *cli, const struct place *p);

#endif
