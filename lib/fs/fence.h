/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_FS_FENCE_H
#define PFS_FS_FENCE_H

/*
 * The fence against zombie writes (reliability bar B4): after a write of unknown outcome the old
 * request may still be on its way. A new write to the same path waits until the server has seen the
 * reset (it answers a PING sent after it) or the old connection is gone. One table per remote.
 */
#include "conn/generation.h"

struct fences;

struct fences *fences_new(void);    /* NULL: out of memory */
void fences_free(struct fences *f); /* NULL allowed */
/* ex, a write to `path`, has unknown outcome: fences it off if its connection still lives. */
void fences_raise(struct fences *f, const char *path, struct exchange *ex);
/* True while a write to `path` must wait; costs an atomic load when there is no fence. */
bool fences_block(struct fences *f, const char *path);
/* How long to wait before asking again. */
#define FENCE_POLL_NS 2000000LL

#endif
