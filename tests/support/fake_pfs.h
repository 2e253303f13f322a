/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef TESTS_FAKE_PFS_H
#define TESTS_FAKE_PFS_H

/*
 * The client API of proxyfs.h over a small tree in memory, for tests of programs that use only that
 * API. Linked instead of the library's own functions. Calls may come from any thread, all else from
 * one.
 *
 * Paths with different first components are different mounts (no rename between them, and none
 * onto what exists); a file called "reload" is a control file that answers a write with a message.
 */
#include <proxyfs/proxyfs.h>

struct pfs_client *fake_new(void);
/* Makes a directory, or a file with this content; parents must exist. */
void fake_dir(struct pfs_client *c, const char *path);
void fake_file(struct pfs_client *c, const char *path, const char *content);
/* The content of a file, valid until it changes; NULL: there is none of that path. */
const char *fake_content(struct pfs_client *c, const char *path);
bool fake_exists(struct pfs_client *c, const char *path);
/* The next call of `op` fails so (phase reply); text is borrowed until then. */
void fake_fail(struct pfs_client *c, enum pfs_op op, enum pfs_class cls, enum pfs_outcome outcome,
               const char *text);
/* What a call of `op` does first; true: it is the one to fail, with *err. */
bool fake_fails(struct pfs_client *c, enum pfs_op op, struct pfs_error *err);
/* Ctrl-C is typed during the next call of `op`, which is answered all the same. */
void fake_interrupt(struct pfs_client *c, enum pfs_op op);
/* The next call of READDIR lists one more entry with this name. */
void fake_intruder(struct pfs_client *c, const char *name);
/* The next file that is written keeps a wrong last byte. */
void fake_corrupt(struct pfs_client *c);
/* The next stream to write to calls this when it is opened. */
void fake_on_open_write(void (*f)(void));
/* "TYPE PATH CONFIG" of the last MOUNT, "" before. */
const char *fake_last_mount(struct pfs_client *c);

#endif
