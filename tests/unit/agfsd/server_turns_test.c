/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* When a loop looks, sleeps and sends. */
#include "base/clock.h"
#include "rig.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static const bool never;

/* Submits one of several that make up a batch, each with a path of its own. Its index. */
static int submit_one(struct h2_peer *p, int i)
{
    char path[100];

    snprintf(path, sizeof path, "/hello?%d-a-request-of-some-fifty-bytes-for-all-%d", i, i * i);
    return h2_peer_get(p, path);
}

/* One request after the other, with pauses around the time for which a loop polls. */
Test(server_turns, nothing_is_missed_whether_the_loop_polls_or_sleeps)
{
    static const unsigned spins[] = {0, 50, 1000};

    for (size_t s = 0; s < sizeof spins / sizeof *spins; s++) {
        struct rig r = RIG_INIT;

        r.options.limits.spin_us = spins[s];
        rig_start(&r, NULL);
        for (int round = 0; round < 10; round++) {
            struct h2_peer p;

            h2_peer_open(&p, &r, 0);
            for (int i = 0; i < 200; i++) {
                cr_assert(h2_peer_finish(&p, h2_peer_get(&p, "/hello")));
                for (int64_t end = pfs_now() + i % 20 * 5000; pfs_now() < end;) {
                }
            }
            h2_peer_close(&p);
        }
        cr_expect(rig_stop(&r));
    }
}

/* Many at once: the first are answered while the server is still at work on the last. */
Test(server_turns, answers_leave_before_all_requests_have_been_looked_at)
{
    struct rig r = RIG_INIT;
    struct h2_peer p;
    int first, last;

    rig_start(&r, NULL);
    h2_peer_open(&p, &r, 0);
    cr_expect(h2_peer_finish(&p, h2_peer_get(&p, "/hello")));
    first = h2_peer_get(&p, "/hello?first");
    for (int i = 0; i < 14; i++) {
        last = submit_one(&p, i);
    }
    int hold = h2_peer_get(&p, "/hold");

    cr_expect(h2_peer_finish(&p, first));
    cr_expect_not(p.results[last].closed);
    atomic_store(&fake_held, 0);
    cr_expect(h2_peer_finish(&p, hold) && h2_peer_finish(&p, last));
    cr_expect_eq(p.results[hold].status, 200);
    cr_expect_eq(p.results[last].status, 200);
    h2_peer_close(&p);
    cr_expect(rig_stop(&r));
}

/* In the first half of what came at once the client breaks the protocol: the rest is not run. */
Test(server_turns, nothing_is_run_after_a_broken_frame_among_many_requests)
{
    static const char data_on_0[] = "\0\0\1\0\0\0\0\0\0x";
    struct rig r = RIG_INIT;
    struct h2_peer p;
    char batch[4096];
    size_t len = 0;
    const uint8_t *bytes;
    ssize_t n;

    rig_start(&r, NULL);
    h2_peer_open(&p, &r, 0);
    cr_expect(h2_peer_finish(&p, h2_peer_get(&p, "/hello")));
    h2_peer_flush(&p);
    for (int i = 0; i < 15; i++) {
        submit_one(&p, i);
        n = nghttp2_session_mem_send(p.s, &bytes);
        cr_assert(n > 0);
        memcpy(batch + len, bytes, (size_t)n);
        len += (size_t)n;
        if (i == 4) {
            memcpy(batch + len, data_on_0, sizeof data_on_0 - 1);
            len += sizeof data_on_0 - 1;
        }
    }
    cr_assert(len > 700 && len < 1500, "%zu", len);
    peer_send(p.fd, batch, len);
    cr_expect_not(h2_peer_until(&p, &never));
    cr_expect_eq(p.goaway, NGHTTP2_PROTOCOL_ERROR);
    cr_expect_eq(atomic_load(&fake_requests), 1 + 5);
    h2_peer_close(&p);
    cr_expect(rig_stop(&r));
}
