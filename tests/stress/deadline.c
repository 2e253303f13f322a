/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * No call returns late. Many callers with short deadlines over a network that delays and swallows;
 * what is counted is by how much each call outlived its deadline, less what a busy machine keeps
 * two sleepers waiting (the I/O thread with the timer, then the caller). Also: a failed call must
 * say UN or NA, and the attempts must stay below 1.1 per call.
 *
 * usage: deadline AGFSD PKIDIR [calls [seed]]
 */
#include "../support/fault_proxy.h"
#include "../support/spawn.h"
#include "../support/tls_client.h"
#include <proxyfs/proxyfs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CALLERS 32
#define TIMEOUT_MS 60
#define BUCKETS 2000 /* of one millisecond */

static struct pfs_client *client;
static unsigned long n_calls;
static atomic_ulong next, ok, na, un, over[BUCKETS];
static atomic_bool stop;
static atomic_ulong overslept_ms; /* the longest that a thread which only sleeps had to wait */

static int64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void *sleeper(void *arg)
{
    while (!atomic_load(&stop)) {
        int64_t began = now_us();

        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
        unsigned long late_ms = (unsigned long)((now_us() - began) / 1000 - 10);

        if (late_ms > atomic_load(&overslept_ms)) {
            atomic_store(&overslept_ms, late_ms);
        }
    }
    return NULL;
}

static void *call(void *arg)
{
    while (atomic_fetch_add(&next, 1) < n_calls) {
        struct pfs_stat st;
        struct pfs_error err;
        int64_t began = now_us();
        enum pfs_class cls = pfs_stat(client, "/memfs/README", &st, &err);
        int64_t late_ms = (now_us() - began - TIMEOUT_MS * 1000) / 1000;

        if (cls == PFS_OK) {
            pfs_stat_fini(&st);
            atomic_fetch_add(&ok, 1);
        } else {
            atomic_fetch_add(err.outcome == PFS_OUTCOME_NA ? &na : &un, 1);
        }
        late_ms = late_ms < 0 ? 0 : late_ms;
        atomic_fetch_add(&over[late_ms < BUCKETS ? late_ms : BUCKETS - 1], 1);
    }
    return NULL;
}

static unsigned long percentile_ms(double share)
{
    unsigned long total = 0;

    for (unsigned i = 0; i < BUCKETS; i++) {
        total += over[i];
        if ((double)total >= share * (double)n_calls) {
            return i;
        }
    }
    return BUCKETS;
}

int main(int argc, char **argv)
{
    static const char *const mounts[] = {"--mount", "memfs:/memfs", NULL};
    static const struct fault_rates bad = {.reset = 500,
                                           .close = 500,
                                           .black_hole = 200,
                                           .one_way = 200,
                                           .delay = 20000,
                                           .slice = 1000,
                                           .delay_ms = 80,
                                           .hole_ms = 1000};
    static const struct pfs_option o[] = {
        {"timeout", "60ms"}, {"connect_timeout", "1s"}, {"keepalive_timeout", "200ms"}};
    struct pfs_stats stats;
    pthread_t t[CALLERS], asleep;

    if (argc < 3) {
        fprintf(stderr, "usage: deadline AGFSD PKIDIR [calls [seed]]\n");
        return 2;
    }
    n_calls = argc > 3 ? strtoul(argv[3], NULL, 10) : 100000;
    struct spawned *server = spawn_agfsd(argv[1], argv[2], 0, mounts);
    struct fault_proxy *proxy =
        fault_proxy_start(spawned_tls_port(server), argc > 4 ? strtoul(argv[4], NULL, 10) : 1);
    client = tls_client_new(fault_proxy_port(proxy), argv[2], o, 3);
    fault_proxy_set(proxy, &bad);
    pthread_create(&asleep, NULL, sleeper, NULL);
    for (int i = 0; i < CALLERS; i++) {
        pthread_create(&t[i], NULL, call, NULL);
    }
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(t[i], NULL);
    }
    atomic_store(&stop, true);
    pthread_join(asleep, NULL);
    pfs_client_stats(client, &stats);
    unsigned long worst = 0, late = 0, most = 250 + 2 * atomic_load(&overslept_ms);
    for (unsigned long i = 0; i < BUCKETS; i++) {
        worst = over[i] ? i : worst;
        late += i > most ? over[i] : 0;
    }
    printf("faults %lu; calls %lu: OK %lu NA %lu UN %lu; attempts per call %.3f\n",
           fault_proxy_count(proxy), n_calls, ok, na, un,
           (double)stats.attempts / (double)stats.calls);
    printf("beyond the deadline: p99 %lu ms, p99.9 %lu ms, worst %lu ms; more than %lu ms: %lu\n",
           percentile_ms(0.99), percentile_ms(0.999), worst, most, late);
    pfs_client_free(client);
    fault_proxy_stop(proxy);
    spawned_stop(server);
    return late == 0 && stats.attempts * 10 <= stats.calls * 11 ? 0 : 1;
}
