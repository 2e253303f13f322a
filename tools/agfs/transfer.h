/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFS_TRANSFER_H
#define AGFS_TRANSFER_H

/*
 * Content of any length from one place to another in constant memory. Functions that return int
 * return 0 or an exit code, and have printed the error.
 */
#include "path.h"
#include <sys/types.h>

#define TRANSFER_CHUNK (256u << 10) /* bytes read at once: a few HTTP/2 frames, one disk read */

/* A file open for reading. */
struct source {
    struct pfs_stream *stream; /* NULL: a local file */
    int fd;
    int64_t size; /* of the content where known, else -1 */
    char *show;   /* name for messages */
};
int source_open(struct cli *cli, const struct place *p, struct source *ret);
/*
 * The same for a live stream of the server, whose end may never come; with `always` whatever the
 * file is, else where the server refuses to read it as a file, and says that it is a stream.
 */
int source_open_stream(struct cli *cli, const struct place *p, bool always, struct source *ret);
/* *ret_n == 0 is the end of the content, proven complete. */
int source_read(struct cli *cli, struct source *s, void *buf, size_t cap, size_t *ret_n);
void source_close(struct source *s);

/* A file open for writing. What was there stays until sink_finish. */
struct sink {
    struct pfs_stream *stream; /* NULL: a local file */
    int fd;
    char *target, *temporary; /* local: where the content goes, and where it waits; or NULL */
    bool appends, is_new;     /* local: to a regular file, which was not there */
    mode_t mode;              /* local: that the content gets when it is complete; before, 0600 */
    off_t old_size, written;  /* of one that appends: what was there, what came */
    char *show;
};
/* length: of the content, -1 unknown. flags: 0 replaces the content, PFS_WRITE_APPEND appends. */
int sink_open(struct cli *cli, const struct place *p, int64_t length, uint32_t flags,
              struct sink *ret);
/* A new file gets this mode, if it is not 0; one of this machine as far as umask has it. */
void sink_set_mode(struct sink *s, unsigned mode);
int sink_write(struct cli *cli, struct sink *s, const void *buf, size_t len);
/* Puts the content in place. */
int sink_finish(struct cli *cli, struct sink *s);
/* Frees the sink; without sink_finish before, the old content stays, or comes back. */
void sink_close(struct sink *s);

/*
 * Copies one file: the server does it where it can, else content passes through here, with a
 * progress line on a terminal. What is replaced keeps its mode, a new file gets from->mode.
 */
int transfer_copy(struct cli *cli, const struct place *from, const struct place *to);
/* Compares both files: by digests that the server makes, else every byte. */
int transfer_verify(struct cli *cli, const struct place *a, const struct place *b);
/* Prints a file, or a live stream (source_open_stream), to cli->out. */
int transfer_print(struct cli *cli, const struct place *from, bool stream);

#endif
