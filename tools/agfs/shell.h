/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFS_SHELL_H
#define AGFS_SHELL_H

/* Lines of commands: from a text, a script, or a terminal. All return and set cli->status. */
#include "cli.h"

/*
 * Runs the commands of one line (without what ends it), up to `exit`. A failing one does not stop
 * the others; Ctrl-C ends the line with EXIT_CANCEL.
 */
int shell_line(struct cli *cli, const char *line);
/*
 * Runs every line of a text or of `f`, which is called `name` in error lines ("-": standard input);
 * with cli->echo each is shown as on a terminal before it runs.
 */
int shell_text(struct cli *cli, const char *text);
int shell_script(struct cli *cli, FILE *f, const char *name);
/* Prompts on the terminal, with history and completion, until `exit` or the end of input. */
int shell_interactive(struct cli *cli);

/* "agfs:/cwd> ", owned by the caller. */
char *shell_prompt(const struct cli *cli);

/*
 * What may stand in place of the unfinished word that ends at the end of `line`: commands for the
 * first word and for help, options behind "-", types behind mount, files of this machine behind
 * "local:" and where upload and download have them, names of AGFS for others (directories with
 * '/'); each as the whole word, quoted with backslashes, whatever quotes were typed. A name with a
 * control character is left out: no line could hold it.
 * *ret_word is where the word begins in line. Asks the remote once.
 */
void shell_complete(struct cli *cli, const char *line, size_t *ret_word, struct strings *ret);
/* How many bytes all words (one at least) begin with: whole characters, with what quotes them. */
size_t shell_common(const struct strings *words);

#endif
