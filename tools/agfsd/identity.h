/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_IDENTITY_H
#define AGFSD_IDENTITY_H

/*
 * The name in a client's certificate: shared by a connection and its requests, which may outlive it
 * while a handler is at work. On the loop's thread; others may read it while a request holds it.
 */

/* Copies name; NULL: out of memory. */
const char *identity_new(const char *name);
/* One more holder of what identity_new gave; NULL stays NULL. Returns id. */
const char *identity_share(const char *id);
/* The last holder frees it. NULL allowed. */
void identity_drop(const char *id);

#endif
