/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/clock.h"
#include "meters.h"
#include "rig.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define END "Host: a\r\nConnection: close\r\n\r\n"

static void expect(const struct rig *r, const char *request, const char *start, const char *part)
{
    char *answer = peer_talk(r, request);

    cr_expect(strncmp(answer, start, strlen(start)) == 0, "%s\n-> %s", request, answer);
    cr_expect_not_null(strstr(answer, part), "%s\n-> %s", request, answer);
    free(answer);
}

Test(server_h1, simple_exchanges)
{
    struct rig r = RIG_INIT;

    rig_start(&r, NULL);
    expect(&r, "GET /hello HTTP/1.1\r\n" END, "HTTP/1.1 200 OK\r\n",
           "Content-Type: text/plain\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n");
    expect(&r, "GET /hello HTTP/1.0\r\n\r\n", "HTTP/1.1 200", "Connection: close\r\n\r\nhello\n");
    expect(&r, "\r\nGET /hello HTTP/1.1\r\n" END, "HTTP/1.1 200", "hello\n");
    expect(&r, "HEAD /hello HTTP/1.1\r\n" END, "HTTP/1.1 200", "Content-Length: 6\r\n");
    char *head = peer_talk(&r, "HEAD /hello HTTP/1.1\r\n" END);
    cr_expect_null(strstr(head, "hello"));
    free(head);
    expect(&r, "GET /fields?a=b&c HTTP/1.1\r\n" END, "HTTP/1.1 200", "0 /fields a=b&c a - 0");
    expect(&r, "PUT /fields HTTP/1.1\r\nContent-Length: 3\r\n" END "abc", "HTTP/1.1 200",
           "1 /fields  a - 3");
    expect(&r, "OPTIONS /fields HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" END "0\r\n\r\n",
           "HTTP/1.1 200", "5 /fields  a - -1");
    expect(&r, "PATCH /fields HTTP/1.1\r\n" END, "HTTP/1.1 200", "6 /fields");
    expect(&r, "POST /echo HTTP/1.1\r\nContent-Length: 5\r\n" END "abcde", "HTTP/1.1 200",
           "X-Echo: yes\r\nConnection: close\r\n\r\nabcde");
    expect(&r, "POST /echo HTTP/1.1\r\n" END, "HTTP/1.1 200", "Content-Length: 0\r\n");
    expect(&r,
           "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" END
           "3\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n",
           "HTTP/1.1 200", "\r\n\r\nabcde");
    expect(&r, "GET /source?n=10&size=0 HTTP/1.1\r\n" END, "HTTP/1.1 200",
           "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\na\r\n");
    cr_expect(rig_stop(&r));
}

Test(server_h1, bad_requests_are_answered_and_closed)
{
    struct rig r = RIG_INIT;
    char *big = malloc(REQ_BLOCK_MAX + 100);

    rig_start(&r, NULL);
    /* what follows a bad request must not be taken for another one */
    expect(&r, "GET /hello HTTP/1.1\r\nHost : a\r\n\r\nGET /hello HTTP/1.1\r\n" END,
           "HTTP/1.1 400 Bad Request\r\n", "Connection: close\r\n\r\n{\"error\":\"");
    expect(&r,
           "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: "
           "chunked\r\n\r\n0\r\n\r\nGET /hello HTTP/1.1\r\n" END,
           "HTTP/1.1 400", "ambiguous body length");
    expect(&r, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
           "HTTP/1.1 502", "truncated");
    memset(big, 'a', REQ_BLOCK_MAX + 100);
    big[REQ_LINE_MAX + 50] = '\0';
    memcpy(big, "GET /", 5);
    expect(&r, big, "HTTP/1.1 414", "close");
    big[REQ_LINE_MAX + 50] = 'a';
    big[REQ_BLOCK_MAX + 50] = '\0';
    memcpy(big, "GET / HTTP/1.1\r\nX: ", 19);
    expect(&r, big, "HTTP/1.1 431", "close");
    cr_expect_eq(atomic_load(&fake_requests), 1);
    free(big);
    cr_expect(rig_stop(&r));
}

Test(server_h1, pipelining_and_one_byte_segments)
{
    static const char requests[] = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
                                   "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none"
                                   "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
                                   "chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n"
                                   "GET /source?n=2&how=thread HTTP/1.1\r\nHost: a\r\n\r\n"
                                   "GET /late HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nlost"
                                   "GET /fields?last HTTP/1.1\r\n" END;
    struct rig r = RIG_INIT;

    rig_start(&r, NULL);
    for (int drip = 0; drip < 2; drip++) {
        int fd = peer_connect(&r);

        (drip ? peer_drip : peer_send)(fd, requests, sizeof requests - 1);
        char *text = peer_read_all(fd, NULL);
        cr_assert_not_null(text);
        cr_expect_eq(count_of(text, "HTTP/1.1 200 OK\r\n"), 6, "%s", text);
        const char *one = strstr(text, "\r\n\r\none"), *two = strstr(text, "\r\n\r\ntwo");
        cr_expect(one && two && one < two && two < strstr(text, "/fields last"), "%s", text);
        cr_expect_eq(count_of(text, "hello\n"), 2);
        free(text);
        close(fd);
    }
    cr_expect(rig_stop(&r));
}

Test(server_h1, end_of_input_still_gets_its_answers)
{
    static const char requests[] = "GET /source?n=9&how=thread HTTP/1.1\r\nHost: a\r\n\r\n"
                                   "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
    struct rig r = RIG_INIT;

    rig_start(&r, NULL);
    int fd = peer_connect(&r);
    peer_send(fd, requests, sizeof requests - 1);
    shutdown(fd, SHUT_WR);
    char *text = peer_read_all(fd, NULL);
    cr_assert_not_null(text);
    cr_expect_eq(count_of(text, "HTTP/1.1 200 OK\r\n"), 2, "%s", text);
    free(text);
    close(fd);
    /* ... but half a body is not a body */
    fd = peer_connect(&r);
    peer_say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc");
    shutdown(fd, SHUT_WR);
    text = peer_read_all(fd, NULL);
    cr_expect_not_null(strstr(text, "truncated"), "%s", text);
    free(text);
    close(fd);
    cr_expect(rig_stop(&r));
}

Test(server_h1, a_client_that_has_ended_is_asked_whether_it_is_still_there)
{
    static const char hang[] = "GET /hang HTTP/1.1\r\nHost: a\r\n\r\n";
    struct rig r = RIG_INIT;

    rig_start(&r, NULL);
    int stays = peer_connect(&r), leaves = peer_connect(&r);
    peer_say(stays, hang);
    peer_say(leaves, hang);
    cr_assert(fake_wait(&fake_hanging, 2));
    shutdown(stays, SHUT_WR);
    close(leaves);
    cr_expect(fake_wait(&fake_gone, 1));
    free(peer_read_until(stays, "HTTP/1.1 100 Continue\r\n\r\n"));
    fake_release();
    char *text = peer_read_all(stays, NULL);
    cr_assert_not_null(text);
    cr_expect_not_null(strstr(text, "released"), "%s", text);
    cr_expect_eq(atomic_load(&fake_gone), 1);
    free(text);
    close(stays);
    cr_expect(rig_stop(&r));
}

Test(server_h1, expect_continue)
{
    struct rig r = RIG_INIT;

    rig_start(&r, NULL);
    int fd = peer_connect(&r);
    const char *head = "PUT /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: "
                       "100-continue\r\nConnection: close\r\n\r\n";
    char body[2] = {fake_pattern(0), fake_pattern(1)};
    peer_say(fd, head);
    char *text = peer_read_until(fd, "HTTP/1.1 100 Continue\r\n\r\n");
    cr_expect_not_null(text);
    free(text);
    peer_send(fd, body, 2);
    text = peer_read_all(fd, NULL);
    cr_expect_not_null(strstr(text, "HTTP/1.1 200 OK"), "%s", text);
    free(text);
    close(fd);
    /* not wanted: no 100, and no waiting for a body that may never come */
    expect(&r, "GET /late HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n",
           "HTTP/1.1 200", "Connection: close");
    expect(&r,
           "PUT /sink?max=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: "
           "100-continue\r\n\r\n",
           "HTTP/1.1 413", "toobig");
    cr_expect(rig_stop(&r));
}

/* A body that is too long gets its 413 although the client is still writing it. */
Test(server_h1, too_big_bodies)
{
    static const char *const heads[] = {
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3d0900\r\n",
        "PUT /sink?max=1000 HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n",
    };
    struct rig r = RIG_INIT;
    char *body = malloc(4000000);

    for (size_t i = 0; i < 4000000; i++) {
        body[i] = fake_pattern(i);
    }
    rig_start(&r, NULL);
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        int fd = peer_connect(&r);

        peer_say(fd, heads[i]);
        peer_send(fd, body, 4000000);
        char *text = peer_read_all(fd, NULL);
        cr_assert_not_null(text);
        cr_expect(strncmp(text, "HTTP/1.1 413", 12) == 0, "%s", text);
        cr_expect_not_null(strstr(text, "Connection: close"));
        cr_expect_eq(atomic_load(&fake_body_class), PFS_TOOBIG);
        free(text);
        close(fd);
    }
    free(body);
    cr_expect(rig_stop(&r));
}

Test(server_h1, bodies_pumped_both_ways)
{
    static const char *const how[] = {"inline", "thread", "block"};
    enum { LEN = 3000000 };
    struct rig r = RIG_INIT;
    char *body = malloc(LEN);
    char head[200];

    for (size_t i = 0; i < LEN; i++) {
        body[i] = fake_pattern(i);
    }
    rig_start(&r, NULL);
    for (int i = 0; i < 6; i++) {
        int fd = peer_connect(&r);
        size_t n;

        snprintf(head, sizeof head,
                 "PUT /sink?how=%s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", how[i % 3],
                 LEN);
        peer_say(fd, head);
        peer_send(fd, body, LEN);
        char *text = peer_read_until(fd, "\r\n\r\n3000000");
        cr_expect(text && strstr(text, "\r\n\r\n3000000"), "%s: %s", how[i % 3], text);
        free(text);
        /* now down, on the same connection; the reader is slow to begin */
        snprintf(head, sizeof head, "GET /source?n=%d&how=%s HTTP/1.1\r\n" END, LEN, how[i % 3]);
        peer_say(fd, head);
        usleep(20000);
        text = peer_read_all(fd, &n);
        cr_assert(text && n > LEN);
        cr_expect_eq(memcmp(text + n - LEN, body, LEN), 0, "%s", how[i % 3]);
        free(text);
        close(fd);
    }
    free(body);
    cr_expect(rig_stop(&r));
}

Test(server_h1, failing_streams_break_the_framing)
{
    struct rig r = RIG_INIT;

    rig_start(&r, NULL);
    for (int block = 0; block < 2; block++) {
        char request[200];

        snprintf(request, sizeof request,
                 "GET /source?n=500000&size=0&fail=100000&how=%s HTTP/1.1\r\n" END,
                 block ? "block" : "inline");
        char *text = peer_talk(&r, request);
        cr_expect_null(strstr(text, "\r\n0\r\n\r\n"));
        free(text);
    }
    expect(&r, "PUT /sink?fail=2 HTTP/1.1\r\nContent-Length: 3\r\n" END "abc", "HTTP/1.1 500",
           "io");
    cr_expect(rig_stop(&r));
}

#define PIPELINED (100 * 1024)

/* Sends so many bytes of requests, and waits until the server reads no more of them; how many. */
static unsigned pipeline(int fd)
{
    static const char one[] = "GET /hello HTTP/1.1\r\nHost: aaaaaaaaaaaaaaaaaaaaaaaaa\r\n\r\n";
    int64_t end = pfs_now() + 30 * PFS_SEC;
    int theirs = rig_other_end(fd), waiting = 0;
    size_t n = 0;

    for (; n < PIPELINED; n += sizeof one - 1) {
        peer_say(fd, one);
    }
    do {
        cr_assert(pfs_now() < end, "%d of %zu bytes wait", waiting, n);
        usleep(1000);
        cr_assert_eq(ioctl(theirs, FIONREAD, &waiting), 0);
    } while (n - (size_t)waiting < READ_CHUNK);
    return (unsigned)(n / (sizeof one - 1));
}

/* While its answer is under way the server has no wish to read or to write. */
Test(server_h1, who_has_sent_much_ahead_is_seen_to_leave)
{
    struct rig r = RIG_INIT;

    r.options.limits.eof_stall_ms = r.options.limits.tick_ms = 100;
    rig_start(&r, NULL);
    for (int reset = 0; reset < 2; reset++) {
        struct linger now = {.l_onoff = reset, .l_linger = 0};
        int64_t end = pfs_now() + 30 * PFS_SEC;
        int fd = peer_connect(&r);

        peer_say(fd, "GET /follow HTTP/1.1\r\nHost: a\r\n\r\n");
        free(peer_read_until(fd, "\r\n\r\n"));
        pipeline(fd);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        close(fd);
        while (gauge_read(GAUGE_CONNECTIONS) > 0) {
            cr_assert(pfs_now() < end, "%s: nobody noticed", reset ? "reset" : "close");
            usleep(1000);
        }
    }
    cr_expect(rig_stop(&r));
}

Test(server_h1, who_has_sent_much_ahead_and_ended_its_side_gets_all_answers)
{
    struct rig r = RIG_INIT;

    rig_start(&r, NULL);
    int fd = peer_connect(&r);

    peer_say(fd, "GET /hang HTTP/1.1\r\nHost: a\r\n\r\n");
    cr_expect(fake_wait(&fake_hanging, 1));
    unsigned n = pipeline(fd);

    shutdown(fd, SHUT_WR);
    fake_release();
    char *all = peer_read_all(fd, NULL);

    cr_assert_not_null(all);
    cr_expect_eq(count_of(all, "released"), 1);
    cr_expect_eq(count_of(all, "hello"), n);
    free(all);
    close(fd);
    cr_expect(rig_stop(&r));
}

Test(server_h1, client_gone)
{
    struct rig r = RIG_INIT;

    rig_start(&r, NULL);
    int fd = peer_connect(&r);
    peer_say(fd, "GET /hang HTTP/1.1\r\nHost: a\r\n\r\n");
    cr_assert(fake_wait(&fake_hanging, 1));
    close(fd); /* its answer is dropped */
    fd = peer_connect(&r);
    peer_say(fd, "PUT /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n");
    cr_assert(fake_wait(&fake_streams, 1));
    close(fd);
    cr_expect(fake_wait(&fake_streams, 0));
    cr_expect_eq(atomic_load(&fake_body_class), PFS_TRUNCATED);
    fd = peer_connect(&r);
    peer_say(fd, "GET /source?n=50000000&how=thread HTTP/1.1\r\nHost: a\r\n\r\n");
    char *text = peer_read_until(fd, "\r\n\r\n");
    free(text);
    close(fd);
    cr_expect(fake_wait(&fake_streams, 0));
    fake_release();
    cr_expect(fake_wait(&fake_hanging, 0));
    cr_expect(rig_stop(&r));
}

Test(server_h1, D02_deadlines)
{
    struct rig r = RIG_INIT;

    r.options.limits.header_ms = r.options.limits.idle_h1_ms = 800;
    r.options.limits.handshake_ms = r.options.limits.body_window_ms = 800;
    r.options.limits.eof_stall_ms = r.options.limits.tick_ms = 100;
    rig_start(&r, NULL);
    free(peer_talk(&r, "")); /* says nothing */
    expect(&r, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200", "hello"); /* idle */
    expect(&r, "GET /hello HTTP/1.1\r\nHo", "HTTP/1.1 408", "in time");
    expect(&r, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc", "HTTP/1.1 502",
           "truncated");
    int fd = peer_connect(&r); /* follows a stream without end, then goes */
    peer_say(fd, "GET /follow HTTP/1.1\r\nHost: a\r\n\r\n");
    char *text = peer_read_until(fd, "\r\n\r\n");
    free(text);
    cr_expect_eq(atomic_load(&fake_streams), 1);
    shutdown(fd, SHUT_WR);
    cr_expect(fake_wait(&fake_streams, 0));
    close(fd);
    cr_expect(rig_stop(&r));
}
