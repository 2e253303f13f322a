/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_FS_MEMORY_STREAM_H
#define PFS_FS_MEMORY_STREAM_H

#include <proxyfs/driver.h>

/* A stream of the len bytes at data, which it takes (pfs_free) in any case. NULL: out of memory. */
struct pfs_stream *memory_stream_new(void *data, size_t len);

/* `write` and `finish` of any stream for reading. */
void stream_refuse_write(struct pfs_stream *s, const void *buf, size_t len, pfs_io_fn *done,
                         void *arg);
void stream_refuse_finish(struct pfs_stream *s, pfs_io_fn *done, void *arg);

#endif
