/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Who drives a connection (lib/conn/conn.h): a lone caller, handed over to the I/O thread when
 * others come, and back. A lost wake-up would leave a call waiting for a sleeper's second look, so
 * slow calls are counted: many of them are a fault, whatever the machine.
 */
#include "stress.h"
#include "support/h2server.h"
#include <proxyfs/proxyfs.h>
#include <string.h>

#define CROWD 4
/* So many calls in flight get a second connection, on a second I/O thread (conn/choose.c). */
#define BURST 24
#define ROUNDS 10
/* A sleeper looks again after 500 ms; nothing else takes so long. */
#define SLOW_NS (450 * PFS_MS)

static struct pfs_client *client;
static atomic_uint n_calls, n_slow, n_async_open;
static pthread_barrier_t barrier;

static void script(struct h2server *s, struct h2peer *p)
{
    h2peer_hello(p, 0, NULL);
    h2peer_serve(p, NULL, NULL);
}

static void call(void)
{
    struct pfs_error err;
    int64_t t0 = pfs_now();

    REQUIRE(pfs_touch(client, "/f", &err) == PFS_OK, "%s", err.text);
    atomic_fetch_add(&n_calls, 1);
    if (pfs_now() - t0 > SLOW_NS) {
        atomic_fetch_add(&n_slow, 1);
    }
}

static void on_done(void *arg, struct pfs_reply *r)
{
    (void)arg;
    REQUIRE(r->err.cls == PFS_OK, "%s", r->err.text);
    pfs_reply_fini(r);
    atomic_fetch_add(&n_calls, 1);
    atomic_fetch_sub(&n_async_open, 1);
}

static void call_async(void)
{
    struct pfs_request req = PFS_REQUEST_INIT;

    req.op = PFS_OP_TOUCH;
    req.path = "/f";
    atomic_fetch_add(&n_async_open, 1);
    pfs_submit(client, &req, on_done, NULL);
}

/* Thread 0 is alone, then all are there, each for a few calls, now and then many; some leave early.
 */
static void *member(void *arg)
{
    size_t me = (size_t)arg;
    unsigned seed = (unsigned)me * 31 + 5;

    for (unsigned round = 0; round < ROUNDS; round++) {
        if (me == 0) {
            for (unsigned i = 0; i < 40; i++) { /* long enough to be thought alone */
                call();
            }
        }
        pthread_barrier_wait(&barrier);
        for (unsigned i = stress_random(&seed) % 8 ? 0 : BURST; i > 0; i--) {
            call_async();
        }
        for (unsigned i = stress_random(&seed) % 12; i > 0; i--) {
            if (stress_random(&seed) % 4 == 0) {
                call_async();
            } else {
                call();
            }
        }
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    struct leaks before = leaks_now();
    struct h2server server = {.script = script};
    int64_t stop_at = stress_until(argc, argv, 3);
    struct pfs_error err;

    h2server_start(&server);
    struct pfs_option o[] = {{"base_url", server.url}, {"protocol", "h2"}, {"timeout", "20s"}};
    REQUIRE(pfs_client_new(o, 3, &client, &err) == PFS_OK, "%s", err.text);
    do {
        pthread_t threads[CROWD];

        pthread_barrier_init(&barrier, NULL, CROWD);
        for (size_t i = 0; i < CROWD; i++) {
            pthread_create(&threads[i], NULL, member, (void *)i);
        }
        for (size_t i = 0; i < CROWD; i++) {
            pthread_join(threads[i], NULL);
        }
        pthread_barrier_destroy(&barrier);
    } while (pfs_now() < stop_at);
    while (atomic_load(&n_async_open) > 0) {
        sched_yield();
    }
    pfs_client_free(client);
    h2server_stop(&server);
    printf("%u calls, %u slow\n", atomic_load(&n_calls), atomic_load(&n_slow));
    REQUIRE(atomic_load(&n_slow) * 1000 <= atomic_load(&n_calls), "%u of %u calls were slow",
            atomic_load(&n_slow), atomic_load(&n_calls));
    REQUIRE(leaks_none(&before), "left behind");
    return 0;
}
