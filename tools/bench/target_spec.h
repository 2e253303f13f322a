/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef BENCH_TARGET_SPEC_H
#define BENCH_TARGET_SPEC_H

/* Targets as the command line names them: "URL[,KEY=VALUE]...". */
#include "target.h"

/*
 * Sets name, path, queue, file or an option of the connection; a later value replaces an earlier
 * one. Both return 0, or EXIT_USAGE after an error line on stderr.
 */
int spec_set(struct target_spec *s, const char *key, const char *value);
int spec_set_pair(struct target_spec *s, const char *pair);
/* The URL of the target is an https one. */
bool spec_is_tls(const char *text);
/*
 * Reads one; what it does not say itself is as `common` says, but of a run with https targets and
 * others (mixed) the options of TLS are for the former. *ret: spec_fini, in any case.
 */
int spec_parse(const char *text, const struct target_spec *common, bool mixed,
               struct target_spec *ret);
void spec_fini(struct target_spec *s);
/* The text with each "%n" replaced by the number, to be freed. */
char *spec_numbered(const char *text, unsigned number);
/*
 * A target, or any argument that may hold one, with "***" for user and password: what may be shown.
 * To be freed.
 */
char *spec_masked(const char *text);

#endif
