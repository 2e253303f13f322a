/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_STREAM_IO_H
#define AGFSD_STREAM_IO_H

/*
 * One driver stream as a loop sees it: operations are started on the loop and their ends are
 * reported on the loop, whether the stream blocks (then it runs on the worker pool) or completes
 * from any thread. All functions belong to the loop's thread.
 */
#include "http.h"

struct stream_io;

/* Takes nothing yet: `s` stays the caller's until stream_io_close. NULL: out of memory. */
struct stream_io *stream_io_new(struct loop *l, struct pfs_stream *s);
/*
 * Starts a read of up to cap bytes into memory of its own; done(arg, n, err) comes on the loop,
 * perhaps from inside the call, with n bytes at stream_io_data. Nothing else is in flight. Errors
 * of done: the stream's; OVERLOAD, NOMEM of the pool or for the buffer.
 */
void stream_io_read(struct stream_io *io, size_t cap, pfs_io_fn *done, void *arg);
/* The bytes of the last read; valid until the next operation. */
const char *stream_io_data(const struct stream_io *io);
/* Starts a write of len > 0 malloc'ed bytes, which are taken. done as above, n = len. */
void stream_io_write(struct stream_io *io, char *buf, size_t at, size_t len, pfs_io_fn *done,
                     void *arg);
/* Gives up the use of the stream, which stays open. Nothing is in flight. */
void stream_io_free(struct stream_io *io);
/*
 * Closes the stream and frees io. An operation in flight is abandoned: its done is not called. A
 * stream that does not block is closed at once; one that does when its call has returned.
 */
void stream_io_close(struct stream_io *io);

#endif
