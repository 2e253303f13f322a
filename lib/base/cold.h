/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_BASE_COLD_H
#define PFS_BASE_COLD_H

/*
 * Of functions that a call which goes well never reaches: the compiler takes the branches that lead
 * to them for unlikely and puts their code apart, so that the usual way lies close together. Two
 * programs on one core find little of it in the processor's caches when they are switched to.
 */
#define PFS_COLD __attribute__((cold))

#endif
