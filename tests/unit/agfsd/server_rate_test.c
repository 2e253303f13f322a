/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Clients that take their responses slowly, while memory for those is scarce and while it is not.
 */
#include "base/clock.h"
#include "meters.h"
#include "rig.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define LIMIT (1 << 20)
#define SCARCE (LIMIT / 4 * 3)
#define PLENTY (LIMIT / 2)
#define WINDOW_MS 200

static void start(struct rig *r)
{
    r->options.limits.tick_ms = 50;
    r->options.limits.body_window_ms = WINDOW_MS;
    r->options.limits.body_memory = LIMIT;
    rig_start(r, NULL);
}

static bool over(int64_t since)
{
    return pfs_now() - since > 5 * WINDOW_MS * PFS_MS;
}

/* Asks for a body that the socket does not take at once. */
static int ask(const struct rig *r)
{
    int small = 4096, fd = peer_connect(r);

    peer_say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    free(peer_read_until(fd, "hello\n"));
    setsockopt(rig_other_end(fd), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    peer_say(fd, "GET /told?n=200000 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    return fd;
}

/* Takes a byte now and then, until the server gives up or `since` is some windows ago. */
static void nibble(int fd, int64_t since)
{
    char byte;

    while (gauge_read(GAUGE_CONNECTIONS) > 0 && !over(since)) {
        recv(fd, &byte, 1, MSG_DONTWAIT);
        usleep(1000);
    }
}

Test(server_rate, who_takes_a_byte_now_and_then_is_cut_off_when_memory_is_scarce)
{
    struct rig r = RIG_INIT;

    start(&r);
    gauge_add(GAUGE_BODY_MEMORY, SCARCE);
    int fd = ask(&r);

    nibble(fd, pfs_now() + 10 * PFS_SEC);
    cr_expect_eq(gauge_read(GAUGE_CONNECTIONS), 0);
    gauge_add(GAUGE_BODY_MEMORY, -SCARCE);
    close(fd);
    cr_expect(rig_stop(&r));
}

Test(server_rate, and_is_served_as_long_as_there_is_enough)
{
    struct rig r = RIG_INIT;
    size_t n = 0;

    start(&r);
    gauge_add(GAUGE_BODY_MEMORY, PLENTY);
    int fd = ask(&r);

    nibble(fd, pfs_now());
    char *rest = peer_read_all(fd, &n);

    cr_expect_gt(n, 190000); /* the rest has come */
    free(rest);
    gauge_add(GAUGE_BODY_MEMORY, -PLENTY);
    close(fd);
    cr_expect(rig_stop(&r));
    cr_expect_eq(atomic_load(&fake_sent), 1);
}

/* Its stream alone; one that has nothing to send, and others, go on. */
Test(server_rate, who_gives_no_window_loses_the_stream_and_followers_stay)
{
    struct rig r = RIG_INIT;
    struct h2_peer p;

    start(&r);
    gauge_add(GAUGE_BODY_MEMORY, SCARCE);
    h2_peer_open(&p, &r, 1000);
    cr_assert(h2_peer_settle(&p));
    int follows = h2_peer_get(&p, "/follow"), slow = h2_peer_get(&p, "/told?n=50000");
    int fd = peer_connect(&r); /* the same over HTTP/1.1 */

    peer_say(fd, "GET /follow HTTP/1.1\r\nHost: a\r\n\r\n");
    h2_peer_flush(&p);
    while (!p.results[slow].closed && h2_peer_read(&p, 10000)) { /* and does not answer */
    }
    cr_expect_eq(p.results[slow].code, NGHTTP2_CANCEL);
    cr_expect_leq(p.results[slow].n, 2000);
    for (int64_t since = pfs_now(); !over(since);) {
        cr_assert(h2_peer_finish(&p, h2_peer_get(&p, "/hello")));
        usleep(20000);
    }
    cr_expect_not(p.results[follows].closed);
    cr_expect_eq(gauge_read(GAUGE_CONNECTIONS), 2);
    h2_peer_close(&p);
    close(fd);
    gauge_add(GAUGE_BODY_MEMORY, -SCARCE);
    cr_expect(rig_stop(&r));
}
