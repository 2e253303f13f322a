/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef TOOLS_DESCRIPTORS_H
#define TOOLS_DESCRIPTORS_H

/*
 * To be called before anything else in main. A descriptor 0 to 2 that is closed would become a
 * socket or a file, into which messages then go, and an event loop takes none of them. Opens each
 * the wrong way round, so that who uses it gets an error, not silence.
 */
void fill_descriptors(void);

#endif
