/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef TESTS_DELAY_PROXY_H
#define TESTS_DELAY_PROXY_H

/*
 * A TCP proxy on loopback that is a long line: each direction carries so many bytes a second and
 * hands them on so much later, with room for what is on the way. Nothing is lost or reordered.
 */
#include <stdint.h>

struct delay_proxy;

/*
 * Listens on a free port of 127.0.0.1 and forwards to 127.0.0.1:target_port; one_way_ms in each
 * direction, rate in bytes a second. NULL: errno says why. It ends with the process.
 */
struct delay_proxy *delay_proxy_start(uint16_t target_port, unsigned one_way_ms, uint64_t rate);
uint16_t delay_proxy_port(const struct delay_proxy *p);

#endif
