/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_BASE_MASK_H
#define PFS_BASE_MASK_H

/*
 * A URL, good or bad, for messages: with user and password, and with a query, as "***". Where a URL
 * is wrong nobody knows where they end, so that all before the last '@' is hidden, and all of it
 * when that may stand in a query. malloc'ed; NULL: out of memory. Any thread.
 */
char *pfs_mask_url(const char *url);

#endif
