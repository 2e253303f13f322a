/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PLUGIN_ERRORS_H
#define PLUGIN_ERRORS_H

/*
 * Error texts for the host, and the list of the last errors. Half of the stock ABI's functions
 * cannot carry a text at all, so what went wrong is kept and can be read as a file below the mount.
 * All functions: any thread.
 */
#include <proxyfs/driver.h>
#include <stdbool.h>

/* The file with the last errors, relative to the mount; it hides a remote file of that name. */
#define ERRORS_PATH "/.proxyfs/errors"
#define ERRORS_KEPT 64

/*
 * The text of *err as a string for the host: never NULL, never "", contains the words stock clients
 * look for. It stays unchanged for the grace period of results after the last time it was returned.
 * Texts come from a bounded set; when that is full of fresh ones, the class's own sentence is
 * given.
 */
const char *errors_text(const struct pfs_error *err);

/* Adds a line about a failed operation to the list; path may be NULL. */
void errors_note(const char *op, const char *path, const struct pfs_error *err);

/* Carries out a request whose path (or, for RENAME, path2) is ERRORS_PATH. *reply is zeroed. */
void errors_serve(const struct pfs_request *req, struct pfs_reply *reply);

#endif
