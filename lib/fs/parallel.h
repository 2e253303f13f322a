/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_FS_PARALLEL_H
#define PFS_FS_PARALLEL_H

/*
 * One large transfer as several streams.
 *
 * A read: parts of the content are asked for side by side, over as many
 * connections as there are, and delivered in order. Each part comes with the version of the content
 * (an HTTP range with its ETag); parts of different versions are never put together.
 *
 * A write: parts go side by side into a file that nobody sees (HANDLE_REPLACE), which takes the
 * place of the old content once all of them are there (HANDLE_COMMIT).
 */
#include "base/clock.h"
#include "fs/op.h"

/* What all of this process together may hold; one that finds no room uses one stream. */
#define PARALLEL_MEMORY (64u << 20)
/* What one holds: so many streams times the size of a part. */
#define PARALLEL_TRANSFER_MEMORY (16u << 20)
#define PARALLEL_PART_MAX (4u << 20)
#define PARALLEL_STREAMS_MAX 16
/*
 * transfer_streams=0: so many streams, where the remote is far (remote_is_far). In the same memory
 * many small parts keep the connections busier than few large ones (tests/stress/delay.c).
 */
#define PARALLEL_AUTO_STREAMS 16

/* Flag of OPEN_READ beside those of driver.h: what comes is taken at once, up to size. */
#define READ_HAS_ROOM 0x80000000u

/*
 * Takes over a read or write that is better made this way: done is called as by pfs_submit. False:
 * it is not, and nothing has happened. The caller is counted in n_inside.
 */
bool parallel_start(struct pfs_client *c, const struct pfs_request *req, pfs_done_fn *done,
                    void *arg);
/* The same for the writes among them; what parallel_start calls. */
bool parallel_write_start(struct pfs_client *c, const struct pfs_request *req, pfs_done_fn *done,
                          void *arg);
/* How many streams a transfer of c should use where the remote has that feature; 1: as usual. */
unsigned parallel_streams(struct pfs_client *c, unsigned feature);
/* The size of a part, for n_streams of which there is memory until parallel_release; 0: none. */
size_t parallel_reserve(unsigned n_streams);
void parallel_release(unsigned n_streams, size_t part_size);
/* Submits a request that belongs to a transfer; it fails once the client is being freed. */
void parallel_submit(struct pfs_client *c, const struct pfs_request *req, pfs_done_fn *done,
                     void *arg);

#endif
