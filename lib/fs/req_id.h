/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_FS_REQ_ID_H
#define PFS_FS_REQ_ID_H

/*
 * A name for one operation, the same in all its attempts and different from every other's: 128 bits
 * in hexadecimal, random at the start of the process and counted up from there, so that an id costs
 * no system call. Any thread; a forked child starts anew.
 */
void req_id_make(char id[33]);

#endif
