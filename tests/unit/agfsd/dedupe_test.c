/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "dedupe.h"
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID "00112233445566778899aabbccddeeff"
static int n_woken;

static void woken(struct dedupe_wait *w)
{
    n_woken++;
}

static struct dedupe_response response(const char *body)
{
    return (struct dedupe_response){200, false, "text/plain", body, body ? strlen(body) : 0};
}

static bool says(struct dedupe *d, struct dedupe_entry *e, const char *body)
{
    struct dedupe_response r;

    cr_assert(dedupe_response(d, e, &r));
    dedupe_unref(d, e);
    bool same =
        body ? r.body && r.len == strlen(body) && memcmp(r.body, body, r.len) == 0 : !r.body;

    free((void *)(uintptr_t)r.body);
    return same && r.status == 200;
}

Test(dedupe, one_runs_the_others_get_its_response)
{
    struct dedupe *d = dedupe_new(10, 1000);
    struct dedupe_key key = {NULL, ID, 1, -1}, other = {NULL, ID, 2, -1};
    struct dedupe_key client = {"me", ID, 1, -1}, minus = {"", ID, 1, -1};
    struct dedupe_wait w[2] = {{.fn = woken}, {.fn = woken}};
    struct dedupe_entry *e, *waiting[2], *f;
    struct dedupe_response r = response("done");

    n_woken = 0;
    cr_assert_eq(dedupe_enter(d, &key, 0, NULL, &e), DEDUPE_NEW);
    cr_assert_eq(dedupe_enter(d, &key, 1, &w[0], &waiting[0]), DEDUPE_WAIT);
    cr_assert_eq(dedupe_enter(d, &key, 1, &w[1], &waiting[1]), DEDUPE_WAIT);
    cr_assert_eq(dedupe_enter(d, &other, 1, NULL, &f), DEDUPE_OTHER);
    cr_assert_eq(dedupe_enter(d, &client, 1, NULL, &f), DEDUPE_NEW); /* somebody else's id */
    dedupe_finish(d, f, &r, 2);
    cr_assert_eq(dedupe_enter(d, &minus, 1, NULL, &f), DEDUPE_NEW);
    dedupe_finish(d, f, &r, 2);
    cr_assert(dedupe_finish(d, e, &r, 2));
    cr_assert_eq(n_woken, 2);
    cr_assert(says(d, waiting[0], "done"));
    cr_assert(says(d, waiting[1], "done"));
    cr_assert_eq(dedupe_enter(d, &key, 3, NULL, &e), DEDUPE_DONE);
    cr_assert(says(d, e, "done"));
    cr_assert_eq(dedupe_enter(d, &other, 3, NULL, &e), DEDUPE_OTHER);
    dedupe_free(d);
}

Test(dedupe, what_reached_nobody_is_taken_back)
{
    struct dedupe *d = dedupe_new(10, 1000);
    struct dedupe_key key = {NULL, ID, 1, -1};
    struct dedupe_entry *e, *f;
    struct dedupe_response r = response("message");

    cr_assert_eq(dedupe_enter(d, &key, 0, NULL, &e), DEDUPE_NEW);
    dedupe_ref(d, e);
    cr_assert(dedupe_finish(d, e, &r, 1));
    cr_assert(dedupe_take_back(d, e));
    dedupe_unref(d, e);
    cr_assert_eq(dedupe_enter(d, &key, 2, NULL, &e), DEDUPE_NEW, "it runs again");
    dedupe_ref(d, e);
    cr_assert(dedupe_finish(d, e, &r, 3));
    cr_assert_eq(dedupe_enter(d, &key, 4, NULL, &f), DEDUPE_DONE);
    cr_assert(says(d, f, "message"));
    cr_assert_not(dedupe_take_back(d, e), "a repetition has it");
    dedupe_unref(d, e);
    dedupe_free(d);
}

Test(dedupe, what_was_not_carried_out_runs_again)
{
    struct dedupe *d = dedupe_new(10, 1000);
    struct dedupe_key key = {NULL, ID, 1, -1}, again = {NULL, ID, 1, 5};
    struct dedupe_wait w = {.fn = woken};
    struct dedupe_entry *e, *waiting;
    struct dedupe_response r = response("busy"), ok = response("ok");

    cr_assert_eq(dedupe_enter(d, &key, 0, NULL, &e), DEDUPE_NEW);
    cr_assert_eq(dedupe_enter(d, &key, 0, &w, &waiting), DEDUPE_WAIT);
    dedupe_forget(d, e, &r);
    cr_assert(says(d, waiting, "busy")); /* it came with the first one and goes with it */
    cr_assert_eq(dedupe_enter(d, &again, 5, NULL, &e), DEDUPE_NEW);
    dedupe_finish(d, e, &ok, 6);
    dedupe_free(d);
}

Test(dedupe, time_and_room_are_bounded)
{
    struct dedupe *d = dedupe_new(2, 1000);
    char ids[4][33];
    struct dedupe_key keys[4];
    struct dedupe_entry *e, *f;
    struct dedupe_response r = response("x");

    for (int i = 0; i < 4; i++) {
        snprintf(ids[i], sizeof ids[i], "%032d", i);
        keys[i] = (struct dedupe_key){.id = ids[i], .what = 1, .age_ms = -1};
    }
    cr_assert_eq(dedupe_enter(d, &keys[0], 100000, NULL, &e), DEDUPE_NEW);
    cr_assert_eq(dedupe_enter(d, &keys[1], 100001, NULL, &f), DEDUPE_NEW);
    cr_assert_eq(dedupe_enter(d, &keys[2], 100002, NULL, &f), DEDUPE_FULL); /* all are running */
    dedupe_finish(d, e, &r, 100003);
    cr_assert_eq(dedupe_enter(d, &keys[0], 100004, NULL, &e), DEDUPE_DONE);
    dedupe_unref(d, e);
    cr_assert_eq(dedupe_enter(d, &keys[2], 100005, NULL, &e), DEDUPE_NEW); /* pushes 0 out */
    dedupe_finish(d, e, &r, 100006);
    keys[0].age_ms = 10; /* a repetition of what was pushed out must not run */
    cr_assert_eq(dedupe_enter(d, &keys[0], 100010, NULL, &e), DEDUPE_LOST);
    keys[0].age_ms = DEDUPE_LIFE_MS;
    cr_assert_eq(dedupe_enter(d, &keys[0], 9999999, NULL, &e), DEDUPE_LOST);
    keys[3].age_ms = 10; /* long after that it may: nothing of its time is missing */
    cr_assert_eq(dedupe_enter(d, &keys[3], 9999999, NULL, &e), DEDUPE_NEW);
    dedupe_finish(d, e, &r, 9999999);
    cr_assert_eq(dedupe_enter(d, &keys[2], 9999999, NULL, &e), DEDUPE_NEW); /* its time is over */
    dedupe_finish(d, e, &r, 9999999);
    dedupe_forget(d, f, &r);
    dedupe_free(d);
}

Test(dedupe, large_bodies_go_first)
{
    struct dedupe *d = dedupe_new(10, 2000);
    struct dedupe_key keys[4];
    char ids[4][33], big[1001];
    struct dedupe_entry *e;
    struct dedupe_response r, huge = {.status = 200, .len = DEDUPE_BODY_MAX + 1, .body = big};
    struct dedupe_response stream = {.status = 200, .len = SIZE_MAX};

    memset(big, 'b', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    for (int i = 0; i < 4; i++) {
        snprintf(ids[i], sizeof ids[i], "%032d", i);
        keys[i] = (struct dedupe_key){.id = ids[i], .what = 1, .age_ms = -1};
        cr_assert_eq(dedupe_enter(d, &keys[i], 0, NULL, &e), DEDUPE_NEW);
        r = response(i == 0 ? "small" : big);
        cr_assert(i == 3 || dedupe_finish(d, e, &r, 0));
    }
    cr_assert(!dedupe_finish(d, e, &huge, 0));
    static const bool kept[] = {true, false, true, false};

    for (int i = 0; i < 4; i++) { /* what was done is known of all */
        cr_assert_eq(dedupe_enter(d, &keys[i], 1, NULL, &e), DEDUPE_DONE);
        cr_assert(says(d, e, !kept[i] ? NULL : i == 0 ? "small" : big), "%d", i);
    }
    struct dedupe_key key = {NULL, ID, 1, -1};

    cr_assert_eq(dedupe_enter(d, &key, 1, NULL, &e), DEDUPE_NEW);
    cr_assert(!dedupe_finish(d, e, &stream, 1));
    cr_assert_eq(dedupe_enter(d, &key, 1, NULL, &e), DEDUPE_DONE);
    cr_assert(says(d, e, NULL));
    dedupe_free(d);
}

/* ---- many threads, few ids ---- */

#define N_THREADS 4
#define N_IDS 500

static struct dedupe *shared;
static atomic_uint n_runs[N_IDS], n_ended;

static void ended(struct dedupe_wait *w)
{
    atomic_fetch_add(&n_ended, 1);
}

static void *ask_all(void *arg)
{
    struct dedupe_wait *waits = calloc(N_IDS, sizeof *waits);

    for (unsigned i = 0; i < N_IDS; i++) {
        char id[33];
        struct dedupe_entry *e;
        struct dedupe_response r = response("x");

        snprintf(id, sizeof id, "%032u", i);
        waits[i].fn = ended;
        struct dedupe_key key = {.id = id, .what = 1, .age_ms = -1};
        enum dedupe_verdict v = dedupe_enter(shared, &key, 0, &waits[i], &e);

        if (v == DEDUPE_NEW) {
            atomic_fetch_add(&n_runs[i], 1);
            dedupe_finish(shared, e, &r, 0);
        } else {
            dedupe_unref(shared, e);
        }
        if (v != DEDUPE_WAIT) {
            atomic_fetch_add(&n_ended, 1);
        }
    }
    *(struct dedupe_wait **)arg = waits;
    return NULL;
}

Test(dedupe, threads)
{
    pthread_t threads[N_THREADS];
    struct dedupe_wait *waits[N_THREADS];

    shared = dedupe_new(DEDUPE_ENTRIES_MAX, DEDUPE_BYTES_MAX);
    for (size_t i = 0; i < N_THREADS; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, ask_all, &waits[i]), 0);
    }
    for (size_t i = 0; i < N_THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    for (size_t i = 0; i < N_IDS; i++) {
        cr_assert_eq(n_runs[i], 1u);
    }
    cr_assert_eq(n_ended, N_THREADS * N_IDS);
    for (size_t i = 0; i < N_THREADS; i++) {
        free(waits[i]);
    }
    dedupe_free(shared);
}
