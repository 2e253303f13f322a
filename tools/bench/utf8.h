/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef BENCH_UTF8_H
#define BENCH_UTF8_H

/* Text of unknown origin: names and arguments may hold any bytes. */

/*
 * How many bytes of s are one character of UTF-8 beyond ASCII; 0: they are none. Surrogates, forms
 * that are longer than they have to be and what is above U+10FFFF are none.
 */
int utf8_length(const char *s);

#endif
