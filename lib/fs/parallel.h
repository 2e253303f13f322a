/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_FS_PARALLEL_H
#define PFS_FS_PARALLEL_H

/*
 * One large read as several streams: parts of the content are asked for side by side, over as many
 * connections as there are, and delivered in order. Each part comes with the version of the content
 * (an HTTP range with its ETag); parts of different versions are never put together.
 */
#include "base/clock.h"
#include "fs/op.h"

/* What all reads of this process together may hold; a read that finds no room uses one stream. */
#define PARALLEL_MEMORY (64u << 20)
/* What one read holds: so many streams times the size of a part. */
#define PARALLEL_READ_MEMORY (16u << 20)
#define PARALLEL_PART_MAX (4u << 20)
#define PARALLEL_STREAMS_MAX 16
/* transfer_streams=0: so many streams, where the quickest reply took at least so long. */
#define PARALLEL_AUTO_STREAMS 4
#define PARALLEL_AUTO_DELAY_NS (5 * PFS_MS)

/* Flag of OPEN_READ beside those of driver.h: what comes is taken at once, up to size. */
#define READ_HAS_ROOM 0x80000000u

/*
 * Takes over a read that is better made this way: done is called as by pfs_submit. False: it is
 * not, and nothing has happened. The caller is counted in n_inside.
 */
bool parallel_start(struct pfs_client *c, const struct pfs_request *req, pfs_done_fn *done,
                    void *arg);

#endif
