/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Which responses are said to have left: those that a client can have read, and no others. */
#include "base/clock.h"
#include "meters.h"
#include "rig.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define N_BYTES 12000 /* of a response: ten are gathered for one send(2) */
#define N_H1 300
#define N_H2 90

/* The server's end of a connection takes little at once. */
static void make_narrow(int fd)
{
    int small = 4096;

    cr_assert_eq(setsockopt(rig_other_end(fd), SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
}

/* Until the server has given the connection up, whose peer does not read. */
static void wait_for_end(void)
{
    int64_t end = pfs_now() + 30 * PFS_SEC;

    while (gauge_read(GAUGE_CONNECTIONS) > 0) {
        cr_assert(pfs_now() < end, "the connection stands");
        usleep(1000);
    }
}

/* n_read: complete responses that the client has got in the end. */
static void compare(int n_read)
{
    cr_expect_gt(n_read, 0);
    cr_expect_eq(atomic_load(&fake_sent), n_read, "%d are said to have left, %d came",
                 atomic_load(&fake_sent), n_read);
    cr_expect_gt(atomic_load(&fake_unsent), 0);
}

Test(server_sent, h1_responses_that_wait_in_the_server_have_not_left)
{
    struct rig r = RIG_INIT;
    char hello[] = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";
    char ask[] = "GET /told?n=12000 HTTP/1.1\r\nHost: x\r\n\r\n";
    size_t n = 0;
    int n_read = 0;

    r.options.limits.write_stall_ms = 300;
    rig_start(&r, NULL);
    int fd = peer_connect(&r);

    peer_say(fd, hello);
    free(peer_read_until(fd, "hello\n"));
    make_narrow(fd);
    for (int i = 0; i < N_H1; i++) {
        peer_say(fd, ask);
    }
    wait_for_end();
    char *all = peer_read_all(fd, &n);

    cr_assert_not_null(all);
    for (char *p = all; (p = memmem(p, n - (size_t)(p - all), "\r\n\r\n", 4));) {
        p += 4;
        n_read += n - (size_t)(p - all) >= N_BYTES;
    }
    compare(n_read);
    free(all);
    close(fd);
    cr_expect(rig_stop(&r));
}

Test(server_sent, h2_responses_that_wait_in_the_server_have_not_left)
{
    struct rig r = RIG_INIT;
    struct h2_peer p;
    int asked[N_H2], n_read = 0;

    r.options.limits.write_stall_ms = 300;
    rig_start(&r, NULL);
    h2_peer_open(&p, &r, 1 << 20);
    nghttp2_session_set_local_window_size(p.s, NGHTTP2_FLAG_NONE, 0, 1 << 28);
    cr_assert(h2_peer_settle(&p));
    make_narrow(p.fd);
    for (int i = 0; i < N_H2; i++) {
        asked[i] = h2_peer_get(&p, "/told?n=12000");
    }
    h2_peer_flush(&p);
    wait_for_end();
    while (h2_peer_read(&p, 10000)) {
    }
    for (int i = 0; i < N_H2; i++) {
        n_read += p.results[asked[i]].n == N_BYTES;
    }
    compare(n_read);
    h2_peer_close(&p);
    cr_expect(rig_stop(&r));
}

Test(server_sent, what_is_read_has_left_also_when_it_is_empty)
{
    struct rig r = RIG_INIT;
    struct h2_peer p;

    rig_start(&r, NULL);
    h2_peer_open(&p, &r, 0);
    cr_expect(h2_peer_finish(&p, h2_peer_get(&p, "/told?n=0")));
    cr_expect(h2_peer_finish(&p, h2_peer_get(&p, "/told?n=50000")));
    cr_expect(fake_wait(&fake_sent, 2));
    h2_peer_close(&p);
    free(peer_talk(&r, "GET /told?n=0 HTTP/1.1\r\nHost: x\r\n\r\n"
                       "GET /told?n=300000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
    cr_expect(rig_stop(&r));
    cr_expect_eq(atomic_load(&fake_sent), 4);
    cr_expect_eq(atomic_load(&fake_unsent), 0);
}
