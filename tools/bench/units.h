/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef BENCH_UNITS_H
#define BENCH_UNITS_H

/* Times, sizes and rates as people write them. The whole text must match; else false. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "5s", "250ms", "50us", "2m", "1h"; a plain number means seconds. Up to a day. */
bool parse_duration(const char *s, int64_t *ret_ns);
/* "0", "4096", "64KiB", "64k", "1M", "1GiB": powers of 1024. Up to 1 TiB. */
bool parse_size(const char *s, int64_t *ret);
/* "1000", "2.5k", "1M": powers of 1000, not negative. */
bool parse_number(const char *s, double *ret);

#define UNIT_TEXT_MAX 32
/* "19.2 us", "1.25 ms", "3.40 s". Returns buf. */
char *format_us(char buf[UNIT_TEXT_MAX], double us);
/* "0 B", "4 KiB", "1.5 MiB". Returns buf. */
char *format_bytes(char buf[UNIT_TEXT_MAX], double bytes);

#endif
