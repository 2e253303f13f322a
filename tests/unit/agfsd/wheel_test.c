/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "h2_guard.h"
#include "wheel.h"
#include <criterion/criterion.h>

static unsigned n_due(struct wheel *w, int64_t now)
{
    struct list due;
    unsigned n = 0;

    list_init(&due);
    wheel_advance(w, now, &due);
    while (list_take_first(&due)) {
        n++;
    }
    return n;
}

Test(wheel, deadlines)
{
    struct wheel w;
    struct wheel_timer near, far, never;

    wheel_init(&w, 1000);
    wheel_timer_init(&near);
    wheel_timer_init(&far);
    wheel_timer_init(&never);
    wheel_set(&w, &near, 1250);
    wheel_set(&w, &far, 1000 + 200000); /* more than a turn of the wheel */
    wheel_set(&w, &never, WHEEL_NEVER);
    cr_expect_eq(w.n, 2);
    cr_expect_eq(n_due(&w, 1249), 0);
    cr_expect_eq(n_due(&w, 1300), 1);
    cr_expect_eq(n_due(&w, 200900), 0);
    cr_expect_eq(n_due(&w, 201000), 1);
    cr_expect_eq(w.n, 0);
}

Test(wheel, moving_deadlines)
{
    struct wheel w;
    struct wheel_timer t;

    wheel_init(&w, 0);
    wheel_timer_init(&t);
    wheel_set(&w, &t, 500);
    wheel_set(&w, &t, 900); /* later: found out when its slot comes round */
    cr_expect_eq(n_due(&w, 800), 0);
    wheel_set(&w, &t, 820); /* earlier */
    cr_expect_eq(n_due(&w, 900), 1);
    wheel_set(&w, &t, 300); /* already past: with the next tick */
    cr_expect_eq(n_due(&w, 1000), 1);
    wheel_set(&w, &t, 1200);
    wheel_set(&w, &t, WHEEL_NEVER);
    cr_expect_eq(n_due(&w, 100000), 0);
    wheel_set(&w, &t, 100200);
    wheel_remove(&w, &t);
    wheel_remove(&w, &t);
    cr_expect_eq(w.n, 0);
    cr_expect_eq(n_due(&w, 10000000), 0);
}

Test(wheel, removal_while_due)
{
    struct wheel w;
    struct wheel_timer a, b;
    struct list due;

    wheel_init(&w, 0);
    wheel_timer_init(&a);
    wheel_timer_init(&b);
    wheel_set(&w, &a, 100);
    wheel_set(&w, &b, 100);
    list_init(&due);
    wheel_advance(&w, 100, &due);
    wheel_remove(&w, &b); /* closed by what a's end does */
    cr_expect_eq(list_take_first(&due), &a.node);
    cr_expect(list_is_empty(&due));
    cr_expect_eq(w.n, 0);
}

Test(h2_guard, buckets_and_events)
{
    struct bucket b = {0};
    struct h2_guard g = {0};

    for (int i = 0; i < 10; i++) {
        cr_expect(bucket_take(&b, 10, 5, 1000));
    }
    cr_expect_not(bucket_take(&b, 10, 5, 1000));
    cr_expect(bucket_take(&b, 10, 5, 1200));
    cr_expect_not(bucket_take(&b, 10, 5, 1200));

    for (int i = 0; i < H2_RESET_BURST / 2; i++) { /* D06: both from one bucket */
        cr_expect(h2_guard_note(&g, H2_EV_PEER_RESET, 1000));
        cr_expect(h2_guard_note(&g, H2_EV_OWN_RESET, 1000));
    }
    cr_expect_not(h2_guard_note(&g, H2_EV_PEER_RESET, 1000));
    cr_expect_not(h2_guard_note(&g, H2_EV_OWN_RESET, 1000));
}

Test(h2_guard, pings_and_settings)
{
    struct h2_guard g = {0};

    for (int i = 0; i < 100; i++) { /* keepalive, and measuring while data flow */
        cr_expect(h2_guard_note(&g, H2_EV_PING, 1000 + i * 5000));
        cr_expect(h2_guard_note(&g, H2_EV_DATA, 0));
        cr_expect(h2_guard_note(&g, H2_EV_PING, 1001 + i * 5000));
        cr_expect(h2_guard_note(&g, H2_EV_DATA_SENT, 0));
    }
    for (int i = 0; i <= H2_PING_STRIKES; i++) {
        cr_expect(h2_guard_note(&g, H2_EV_PING, 600000 + i));
    }
    cr_expect_not(h2_guard_note(&g, H2_EV_PING, 600010));
    for (int i = 0; i < H2_SETTINGS_PER_MIN; i++) {
        cr_expect(h2_guard_note(&g, H2_EV_SETTINGS, 600000));
    }
    cr_expect_not(h2_guard_note(&g, H2_EV_SETTINGS, 600000));
    cr_expect(h2_guard_note(&g, H2_EV_SETTINGS, 660000));
}

Test(h2_guard, pings_that_go_with_resets_belong_to_them)
{
    struct h2_guard g = {0};

    for (int i = 0; i < 50; i++) { /* requests that time out one after the other, no answers */
        cr_expect(h2_guard_note(&g, H2_EV_PING, 1000 + i * 100)); /* overtakes the reset */
        cr_expect(h2_guard_note(&g, H2_EV_PEER_RESET, 1000 + i * 100));
        cr_expect(h2_guard_note(&g, H2_EV_PING, 1000 + i * 100));
    }
    g = (struct h2_guard){0};
    for (int i = 0; i < H2_RESET_BURST; i++) {
        cr_expect(h2_guard_note(&g, H2_EV_PEER_RESET, 1000));
    }
    cr_expect_not(h2_guard_note(&g, H2_EV_PEER_RESET, 1000), "as many as ever");
    unsigned n = 0;

    while (h2_guard_note(&g, H2_EV_PING, 1000)) {
        n++;
    }
    cr_expect_leq(n, H2_RESET_BURST + H2_RESET_PINGS + H2_PING_STRIKES + 1, "%u", n);
}

Test(h2_guard, window_updates_follow_data)
{
    struct h2_guard g = {0};
    unsigned n = 0;

    for (int i = 0; i < 10000; i++) { /* an honest download: two per frame of ours */
        h2_guard_note(&g, H2_EV_DATA_SENT, 0);
        cr_expect(h2_guard_note(&g, H2_EV_WINDOW_UPDATE, 0));
        cr_expect(h2_guard_note(&g, H2_EV_WINDOW_UPDATE, 0));
    }
    g = (struct h2_guard){0};
    while (h2_guard_note(&g, H2_EV_WINDOW_UPDATE, 0)) {
        n++;
    }
    cr_expect_eq(n, 5 + H2_GLITCH_BURST);
}
