/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "rig.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const bool never;

Test(server_h2, simple_exchanges)
{
    struct rig r = RIG_INIT;
    struct h2_peer p;

    rig_start(&r, NULL);
    for (int drip = 0; drip < 2; drip++) {
        h2_peer_open(&p, &r, 0);
        p.drip = drip;
        int get = h2_peer_get(&p, "/hello");
        int fields = h2_peer_get(&p, "/fields?q=1");
        int missing = h2_peer_get(&p, "/none");
        int put = h2_peer_put(&p, "/sink", 1000, 1000);
        int odd = h2_peer_put(&p, "/sink?how=thread", 1000, -1);
        int empty = h2_peer_put(&p, "/sink", 0, -1);
        int lie = h2_peer_put(&p, "/sink", 10, 11);
        cr_expect(h2_peer_finish(&p, get) && h2_peer_finish(&p, fields) &&
                  h2_peer_finish(&p, missing) && h2_peer_finish(&p, put) &&
                  h2_peer_finish(&p, odd) && h2_peer_finish(&p, empty) && h2_peer_finish(&p, lie));
        cr_expect_eq(p.results[get].status, 200);
        cr_expect_str_eq(p.results[get].head, "hello\n");
        cr_expect_str_eq(p.results[fields].head, "0 /fields q=1 test - 0");
        cr_expect_eq(p.results[missing].status, 404);
        cr_expect_str_eq(p.results[put].head, "1000");
        cr_expect_str_eq(p.results[odd].head, "1000");
        cr_expect_str_eq(p.results[empty].head, "0");
        cr_expect_eq(p.results[lie].code, NGHTTP2_PROTOCOL_ERROR);
        cr_expect_eq(p.max_streams, H2_STREAMS);
        h2_peer_close(&p);
    }
    cr_expect(rig_stop(&r));
}

Test(server_h2, both_protocols_on_one_port)
{
    struct rig r = RIG_INIT;
    struct h2_peer p;

    rig_start(&r, NULL);
    h2_peer_open(&p, &r, 0);
    cr_expect(h2_peer_finish(&p, h2_peer_get(&p, "/hello")));
    char *text = peer_talk(&r, "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    cr_expect(strncmp(text, "HTTP/1.1 200", 12) == 0);
    free(text);
    text = peer_talk(&r, "PRI * HTTP/1.1\r\nHost: a\r\n\r\n"); /* nearly the preface */
    cr_expect(strncmp(text, "HTTP/1.1 ", 9) == 0, "%s", text);
    free(text);
    text = peer_talk(&r, "\x16\x03\x01 ClientHello");
    cr_expect_str_eq(text, "");
    free(text);
    cr_expect(h2_peer_finish(&p, h2_peer_get(&p, "/hello")));
    h2_peer_close(&p);
    cr_expect(rig_stop(&r));
}

Test(server_h2, bodies_pumped_both_ways)
{
    static const char *const how[] = {"inline", "thread", "block"};
    struct rig r = RIG_INIT;
    struct h2_peer p;
    char path[100];

    rig_start(&r, NULL);
    for (int i = 0; i < 3; i++) {
        h2_peer_open(&p, &r, i == 1 ? 1000 : 0); /* once with a window that hinders */
        snprintf(path, sizeof path, "/sink?how=%s", how[i]);
        int up = h2_peer_put(&p, path, 5000000, 5000000);
        snprintf(path, sizeof path, "/source?n=2000000&how=%s&size=%d", how[i], i);
        int down = h2_peer_get(&p, path);
        cr_expect(h2_peer_finish(&p, up) && h2_peer_finish(&p, down), "%s", how[i]);
        cr_expect_str_eq(p.results[up].head, "5000000");
        cr_expect_eq(p.results[down].n, 2000000);
        cr_expect(p.results[down].pattern);
        cr_expect_eq(p.results[down].code, 0);
        h2_peer_close(&p);
    }
    cr_expect(rig_stop(&r));
}

Test(server_h2, a_consumer_that_waits_holds_back_the_peer)
{
    struct rig r = RIG_INIT;
    struct h2_peer p;

    rig_start(&r, NULL);
    h2_peer_open(&p, &r, 0);
    int up = h2_peer_put(&p, "/hang", 1000000, 1000000); /* nobody takes its body */
    cr_assert(fake_wait(&fake_hanging, 0));
    int get = h2_peer_get(&p, "/hello"); /* others go on */
    cr_expect(h2_peer_finish(&p, get));
    while (h2_peer_read(&p, 50)) {
        h2_peer_flush(&p);
    }
    h2_peer_flush(&p);
    cr_expect_leq(nghttp2_session_get_stream_remote_window_size(p.s, up * 2 + 1), 0);
    cr_expect_gt(nghttp2_session_get_remote_window_size(p.s), 1000000);
    fake_release();
    cr_expect(h2_peer_finish(&p, up)); /* answered, then told to stop */
    cr_expect_eq(p.results[up].status, 200);
    cr_expect_eq(p.results[up].code, NGHTTP2_NO_ERROR);
    h2_peer_close(&p);
    cr_expect(rig_stop(&r));
}

static uint32_t first_window(const struct h2_peer *p)
{
    return nghttp2_session_get_remote_settings(p->s, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE);
}

Test(server_h2, streams_begin_with_the_window_that_others_needed)
{
    struct rig r = RIG_INIT;
    struct h2_peer p;
    const int large = 1000000;

    rig_start(&r, NULL);
    h2_peer_open(&p, &r, 0);
    cr_expect(h2_peer_finish(&p, h2_peer_put(&p, "/echo", H2_STREAM_WINDOW, H2_STREAM_WINDOW)));
    cr_expect_eq(first_window(&p), H2_STREAM_WINDOW, "it sufficed");
    int hang = h2_peer_put(&p, "/hang", 1000, 1000); /* open while the window changes */
    cr_assert(fake_wait(&fake_hanging, 0));
    int echo = h2_peer_put(&p, "/echo", (size_t)large, large);
    cr_expect(h2_peer_finish(&p, echo));
    cr_expect_eq(p.results[echo].status, 200);
    cr_expect_geq(first_window(&p), large);
    cr_expect_leq(first_window(&p), H2_FIRST_WINDOW_MAX);
    echo = h2_peer_put(&p, "/echo", (size_t)large, large);
    h2_peer_flush(&p);
    cr_expect_eq(p.results[echo].sent, large, "all of it leaves at once");
    cr_expect(h2_peer_finish(&p, echo));
    cr_expect_eq(p.results[echo].status, 200);
    fake_release();
    cr_expect(h2_peer_finish(&p, hang));
    cr_expect_eq(p.results[hang].status, 200);
    h2_peer_close(&p);
    cr_expect(rig_stop(&r));
}

Test(server_h2, failing_streams_and_large_bodies)
{
    struct rig r = RIG_INIT;
    struct h2_peer p;

    r.options.limits.upload_grace_ms = 100;
    rig_start(&r, NULL);
    h2_peer_open(&p, &r, 0);
    int cut = h2_peer_get(&p, "/source?n=500000&fail=100000");
    int late = h2_peer_get(&p, "/source?n=500000&fail=100000&how=block&size=0");
    int big = h2_peer_put(&p, "/echo", 4000000, 4000000);
    int longer = h2_peer_put(&p, "/echo", 4000000, -1);
    int full = h2_peer_put(&p, "/sink?fail=10000", 4000000, -1);
    cr_expect(h2_peer_finish(&p, cut) && h2_peer_finish(&p, late) && h2_peer_finish(&p, big) &&
              h2_peer_finish(&p, longer) && h2_peer_finish(&p, full));
    cr_expect_eq(p.results[cut].code, NGHTTP2_INTERNAL_ERROR);
    cr_expect_eq(p.results[late].code, NGHTTP2_INTERNAL_ERROR);
    cr_expect_eq(p.results[big].status, 413);
    cr_expect_str_eq(p.results[big].head, "toobig");
    cr_expect_eq(p.results[longer].status, 413);
    cr_expect_eq(p.results[full].status, 500);
    cr_expect(h2_peer_finish(&p, h2_peer_get(&p, "/hello"))); /* the connection lives on */
    h2_peer_close(&p);
    cr_expect(rig_stop(&r));
}

Test(server_h2, resets_end_what_they_must)
{
    struct rig r = RIG_INIT;
    struct h2_peer p;

    rig_start(&r, NULL);
    h2_peer_open(&p, &r, 0);
    int down = h2_peer_get(&p, "/follow");
    int up = h2_peer_put(&p, "/sink", 100000000, -1);
    int hang = h2_peer_get(&p, "/hang");
    h2_peer_flush(&p);
    cr_assert(fake_wait(&fake_streams, 2));
    cr_assert(fake_wait(&fake_hanging, 1));
    int streams[] = {down, up, hang};
    for (int i = 0; i < 3; i++) {
        nghttp2_submit_rst_stream(p.s, 0, streams[i] * 2 + 1, NGHTTP2_CANCEL);
    }
    h2_peer_flush(&p);
    cr_expect(fake_wait(&fake_streams, 0));
    cr_expect_eq(atomic_load(&fake_body_class), PFS_TRUNCATED);
    fake_release();
    cr_expect(fake_wait(&fake_hanging, 0));
    cr_expect(h2_peer_finish(&p, h2_peer_get(&p, "/hello")));
    h2_peer_get(&p, "/follow");
    h2_peer_flush(&p);
    cr_assert(fake_wait(&fake_streams, 1));
    h2_peer_close(&p); /* and the whole connection */
    cr_expect(fake_wait(&fake_streams, 0));
    cr_expect(rig_stop(&r));
}

/* Rapid Reset: a stream that is reset does not make room for more work. */
Test(server_h2, D04_work_counts_until_it_stops)
{
    struct rig r = RIG_INIT;
    struct h2_peer p;

    r.options.limits.max_running = 10;
    r.options.limits.max_waiting = 10;
    rig_start(&r, NULL);
    h2_peer_open(&p, &r, 0);
    for (int i = 0; i < 10; i++) {
        int hang = h2_peer_get(&p, "/hang");

        h2_peer_flush(&p);
        nghttp2_submit_rst_stream(p.s, 0, hang * 2 + 1, NGHTTP2_CANCEL);
    }
    int waiting[10];
    for (int i = 0; i < 10; i++) {
        waiting[i] = h2_peer_get(&p, "/hello");
    }
    int refused = h2_peer_get(&p, "/hello");
    cr_expect(h2_peer_finish(&p, refused));
    cr_expect_eq(p.results[refused].code, NGHTTP2_REFUSED_STREAM);
    cr_expect_eq(atomic_load(&fake_requests), 10);
    nghttp2_submit_rst_stream(p.s, 0, waiting[0] * 2 + 1, NGHTTP2_CANCEL); /* never runs */
    cr_expect(h2_peer_settle(&p)); /* the reset is there before anything is released */
    fake_release();
    for (int i = 1; i < 10; i++) {
        cr_expect(h2_peer_finish(&p, waiting[i]));
        cr_expect_eq(p.results[waiting[i]].status, 200);
    }
    cr_expect_eq(atomic_load(&fake_requests), 19);
    h2_peer_close(&p);
    cr_expect(rig_stop(&r));
}

Test(server_h2, D05_reset_flood_ends_the_connection)
{
    struct rig r = RIG_INIT;
    struct h2_peer p;

    rig_start(&r, NULL);
    h2_peer_open(&p, &r, 0);
    for (int i = 0; i <= H2_RESET_BURST + 20 && !p.ended; i++) {
        int get = h2_peer_get(&p, "/follow");

        h2_peer_flush(&p);
        nghttp2_submit_rst_stream(p.s, 0, get * 2 + 1, NGHTTP2_CANCEL);
        h2_peer_flush(&p);
    }
    h2_peer_until(&p, &never);
    cr_expect(p.ended);
    cr_expect_eq(p.goaway, NGHTTP2_ENHANCE_YOUR_CALM);
    h2_peer_close(&p);
    cr_expect(rig_stop(&r));
}

/* MadeYouReset: the same with resets that we are made to send. */
Test(server_h2, D06_resets_of_our_own_count_too)
{
    struct rig r = RIG_INIT;
    struct h2_peer p;

    rig_start(&r, NULL);
    h2_peer_open(&p, &r, 0);
    for (int i = 0; i <= H2_RESET_BURST + 20 && !p.ended; i++) {
        if (!h2_peer_finish(&p, h2_peer_put(&p, "/sink", 10, 11))) {
            break;
        }
    }
    h2_peer_until(&p, &never);
    cr_expect(p.ended);
    cr_expect_eq(p.goaway, NGHTTP2_ENHANCE_YOUR_CALM);
    h2_peer_close(&p);
    cr_expect(rig_stop(&r));
}

static int submit_fields(struct h2_peer *p, int n, size_t len)
{
    nghttp2_nv nv[500];
    static char names[500][16];
    char *value = calloc(1, len + 1);
    static const char *const pseudo[] = {":method", "GET",  ":path",      "/hello",
                                         ":scheme", "http", ":authority", "test"};

    memset(value, 'v', len);
    for (int i = 0; i < n; i++) {
        snprintf(names[i], sizeof names[i], "x-%d", i);
        nv[i] = (nghttp2_nv){(uint8_t *)names[i], (uint8_t *)value, strlen(names[i]), len, 0};
    }
    for (int i = 0; i < 4; i++) {
        nv[i] = (nghttp2_nv){(uint8_t *)(uintptr_t)pseudo[2 * i],
                             (uint8_t *)(uintptr_t)pseudo[2 * i + 1], strlen(pseudo[2 * i]),
                             strlen(pseudo[2 * i + 1]), 0};
    }
    int id = nghttp2_submit_request(p->s, NULL, nv, (size_t)n, NULL, NULL);

    free(value);
    return (id - 1) / 2;
}

Test(server_h2, D08_header_bombs)
{
    struct rig r = RIG_INIT;
    struct h2_peer p;

    rig_start(&r, NULL);
    h2_peer_open(&p, &r, 0);
    int fits = submit_fields(&p, 3 + REQ_FIELDS_MAX, 10);
    int many = submit_fields(&p, 3 + REQ_FIELDS_MAX + 1, 10);
    int large = submit_fields(&p, 20, 2500);
    cr_expect(h2_peer_finish(&p, fits) && h2_peer_finish(&p, many) && h2_peer_finish(&p, large));
    cr_expect_eq(p.results[fits].status, 200);
    cr_expect_eq(p.results[many].status, 431);
    cr_expect_eq(p.results[large].status, 431);
    cr_expect_eq(atomic_load(&fake_requests), 1);
    /* the same 3000 bytes again and again, one byte each on the wire */
    nghttp2_hd_deflater *deflater = NULL;
    cr_assert_eq(nghttp2_hd_deflate_new(&deflater, 4096), 0);
    uint8_t block[16384], head[9] = {0, 0, 0, 1, 5, 0, 0, 0, 0};
    static char value[3001];
    memset(value, 'v', 3000);
    nghttp2_nv nv[5] = {{(uint8_t *)(uintptr_t) ":method", (uint8_t *)(uintptr_t) "GET", 7, 3, 0},
                        {(uint8_t *)(uintptr_t) ":path", (uint8_t *)(uintptr_t) "/hello", 5, 6, 0},
                        {(uint8_t *)(uintptr_t) ":scheme", (uint8_t *)(uintptr_t) "http", 7, 4, 0},
                        {(uint8_t *)(uintptr_t) "x", (uint8_t *)value, 1, 3000, 0}};
    ssize_t n = nghttp2_hd_deflate_hd(deflater, block, sizeof block, nv, 4);
    cr_assert_gt(n, 0);
    memset(block + n, 0x80 | 62, 200); /* the newest entry of the table */
    n += 200;
    head[1] = (uint8_t)(n >> 8);
    head[2] = (uint8_t)n;
    head[8] = (uint8_t)(2 * large + 3);
    nghttp2_hd_deflate_del(deflater);
    h2_peer_close(&p);
    h2_peer_open(&p, &r, 0);
    h2_peer_flush(&p);
    peer_send(p.fd, head, 9);
    peer_send(p.fd, block, (size_t)n);
    h2_peer_until(&p, &never);
    cr_expect(p.ended);
    cr_expect_eq(p.goaway, NGHTTP2_ENHANCE_YOUR_CALM);
    cr_expect_eq(atomic_load(&fake_requests), 1);
    h2_peer_close(&p);
    cr_expect(rig_stop(&r));
}

Test(server_h2, D07_floods_of_small_frames)
{
    static const struct {
        uint8_t frame[17];
        size_t n;
    } floods[] = {
        {{0, 0, 8, 6, 0, 0, 0, 0, 0}, 17},             /* PING */
        {{0, 0, 0, 0, 0, 0, 0, 0, 1}, 9},              /* empty DATA, on an open stream */
        {{0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 13}, /* WINDOW_UPDATE */
        {{0, 0, 5, 2, 0, 0, 0, 0, 9, 0, 0, 0, 3}, 14}, /* PRIORITY */
        {{0, 0, 0, 0xee, 0, 0, 0, 0, 0}, 9},           /* a type that nobody knows */
        {{0, 0, 8, 7, 0, 0, 0, 0, 0}, 17},             /* GOAWAY */
        {{0, 0, 4, 3, 0, 0, 0, 0, 1}, 13},             /* RST_STREAM, again and again */
    };
    struct rig r = RIG_INIT;
    struct h2_peer p;

    rig_start(&r, NULL);
    for (size_t i = 0; i < sizeof floods / sizeof *floods; i++) {
        h2_peer_open(&p, &r, 0);
        h2_peer_put(&p, "/sink", 1000000000, -1);
        h2_peer_flush(&p); /* until the window is used up */
        for (int k = 0; k < 5000; k++) {
            peer_send(p.fd, floods[i].frame, floods[i].n);
        }
        h2_peer_until(&p, &never);
        cr_expect(p.ended, "flood %zu was taken", i);
        cr_expect_eq(p.goaway, NGHTTP2_ENHANCE_YOUR_CALM, "flood %zu: %u", i, p.goaway);
        h2_peer_close(&p);
    }
    h2_peer_open(&p, &r, 0);
    for (int k = 0; k <= H2_SETTINGS_PER_MIN; k++) {
        nghttp2_submit_settings(p.s, 0, NULL, 0);
    }
    h2_peer_until(&p, &never);
    cr_expect(p.ended);
    cr_expect_eq(p.goaway, NGHTTP2_ENHANCE_YOUR_CALM);
    h2_peer_close(&p);
    cr_expect(rig_stop(&r));
}

Test(server_h2, D02_deadlines)
{
    struct rig r = RIG_INIT;
    struct h2_peer p;

    r.options.limits.tick_ms = 100;
    r.options.limits.settings_ms = r.options.limits.header_ms = 800;
    r.options.limits.idle_h2_ms = r.options.limits.body_window_ms = 800;
    r.options.limits.stream_stall_ms = 800;
    rig_start(&r, NULL);
    h2_peer_open(&p, &r, 0); /* no SETTINGS, no answer to ours */
    peer_send(p.fd, NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN);
    free(peer_read_all(p.fd, NULL));
    h2_peer_close(&p);
    h2_peer_open(&p, &r, 100);
    int stalled = h2_peer_get(&p, "/source?n=100000");
    h2_peer_flush(&p); /* and the window is never opened: SETTINGS 100, no WINDOW_UPDATE */
    nghttp2_session_set_local_window_size(p.s, 0, stalled * 2 + 1, 100);
    cr_expect(fake_wait(&fake_streams, 1));
    nghttp2_submit_settings(p.s, NGHTTP2_FLAG_ACK, NULL, 0);
    cr_expect(fake_wait(&fake_streams, 0));
    h2_peer_close(&p);
    h2_peer_open(&p, &r, 0);
    cr_expect(h2_peer_finish(&p, h2_peer_get(&p, "/hello")));
    h2_peer_until(&p, &never); /* idle */
    cr_expect(p.ended);
    cr_expect_eq(p.n_goaway, 1);
    cr_expect_eq(p.goaway, NGHTTP2_NO_ERROR);
    h2_peer_close(&p);
    cr_expect(rig_stop(&r));
}
