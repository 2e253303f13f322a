/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef TESTS_FAULT_PROXY_H
#define TESTS_FAULT_PROXY_H

/*
 * A TCP proxy on loopback that does to a connection what bad networks do: cuts, resets, swallows,
 * delays, slices, flips bytes. One thread; every decision comes from one seeded generator.
 */
#include <stdbool.h>
#include <stdint.h>

/* How many faults of each kind, per million chunks forwarded. 0: never. */
struct fault_rates {
    unsigned reset;      /* RST to both sides, what was in flight is lost */
    unsigned close;      /* FIN to both sides after what was received so far */
    unsigned black_hole; /* nothing goes either way any more; the connections stay open */
    unsigned one_way;    /* replies are swallowed, requests go on arriving */
    unsigned delay;      /* the chunk waits delay_ms */
    unsigned slice;      /* the chunk goes byte by byte */
    unsigned flip;       /* one bit of the chunk changes */
    unsigned delay_ms;
    unsigned hole_ms; /* a black hole or one-way connection is reset after so long */
};

struct fault_proxy;

/* Listens on a free port of 127.0.0.1 and forwards to 127.0.0.1:target_port. NULL: errno says why.
 */
struct fault_proxy *fault_proxy_start(uint16_t target_port, uint64_t seed);
uint16_t fault_proxy_port(const struct fault_proxy *p);
/* Any thread; takes effect at once for all connections. */
void fault_proxy_set(struct fault_proxy *p, const struct fault_rates *rates);
/* New connections go to another port from now on. */
void fault_proxy_retarget(struct fault_proxy *p, uint16_t target_port);
/* Resets every connection there is. */
void fault_proxy_cut_all(struct fault_proxy *p);
/* Faults injected so far, delays and slices not counted. */
unsigned long fault_proxy_count(const struct fault_proxy *p);
void fault_proxy_stop(struct fault_proxy *p);

#endif
