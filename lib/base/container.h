/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_BASE_CONTAINER_H
#define PFS_BASE_CONTAINER_H

#include <stddef.h>

/* The `type` whose `member` p points to; it need not be the first. */
#define container_of(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))

#endif
