/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef TESTS_AGFSD_FAKE_API_H
#define TESTS_AGFSD_FAKE_API_H

/*
 * An api_on_request for tests of the transport, by path:
 *   /hello    "hello\n" at once          /echo      collects up to 1 MiB, answers the same bytes
 *   /fields   "METHOD path query host client" and how many bytes the declared body has
 *   /source?n=N&how=H&fail=F&size=0   N bytes of a pattern from a stream; H: inline, thread (ends
 *             come from another thread), block (runs on the pool); F: fails after so many bytes;
 *             size=0: the length is not declared
 *   /sink?how=H&fail=F&max=M   pumps the body into a stream and checks the pattern; answers the
 *             count, or 4xx/5xx and the class of the error
 *   /follow   a stream that never has data and never ends
 *   /hang     answered by fake_release
 *   /told?n=N N bytes of the pattern; counts whether they have left
 *   /late     answered before its body, which is never asked for
 *   /hold     holds the loop up until fake_held is set to 0 (10 s at most)
 */
#include "http.h"
#include <stdatomic.h>

/* Streams of ours that have not been closed; requests that wait in /hang; handed to us in all. */
extern atomic_int fake_streams, fake_hanging, fake_requests;
/* What /hold waits for. */
extern atomic_int fake_held;
/* Requests for /hang whose client went away. */
extern atomic_int fake_gone;
/* Who asked for the last /hang that was answered, "-" without certificate. Once none hangs. */
extern char fake_hung_client[64];
/* Answers to /told that may have left as a whole, and those that surely have not. */
extern atomic_int fake_sent, fake_unsent;
/* How often a graceful end was over. */
extern atomic_int fake_cuts;
/* The class with which the last /echo or /sink ended. */
extern atomic_int fake_body_class;

/* Answers all that hang, and those that come from now on, at once. */
void fake_release(void);
/* The byte at position `at` of the pattern; never NUL. */
static inline char fake_pattern(uint64_t at)
{
    return (char)((at * 31 + (at >> 8)) | 1);
}
/* Waits (10 s at most) until *v is `want`. False: it never was. */
bool fake_wait(atomic_int *v, int want);

#endif
