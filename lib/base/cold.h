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
/*
 * Of functions whose frames are large: made part of its caller, such a one would have each call
 * touch every page of it (-fstack-clash-protection), although few need it.
 */
#define PFS_APART __attribute__((noinline))

#endif
