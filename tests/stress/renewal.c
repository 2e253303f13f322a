/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Nothing fails when things are renewed in order: reloads of the client (reliability bar A102) and
 * graceful restarts of the server (A098), each under load; then kills (A099), after which only what
 * was in flight may have an unknown outcome.
 *
 * usage: renewal AGFSD PKIDIR [reloads [restarts]]
 */
#include "../support/spawn.h"
#include "../support/tls_client.h"
#include <proxyfs/proxyfs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CALLERS 8
#define READY_GRACE_MS 1800 /* lib/conn/outage.c, less what its attempts lie apart */

static struct pfs_client *client;
static atomic_bool stopping;
static atomic_ulong ok, not_applied, unknown;

static void pause_ms(long ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void count(enum pfs_class cls, const struct pfs_error *err)
{
    if (cls == PFS_OK) {
        atomic_fetch_add(&ok, 1);
        return;
    }
    if (atomic_fetch_add(err->outcome == PFS_OUTCOME_NA ? &not_applied : &unknown, 1) < 5) {
        fprintf(stderr, "%s/%s in phase %s: %s\n", pfs_class_name(err->cls),
                pfs_outcome_name(err->outcome), pfs_phase_name(err->phase), err->text);
    }
}

static void *call(void *arg)
{
    char path[32];

    snprintf(path, sizeof path, "/memfs/f%d", (int)(long)arg);
    while (!atomic_load(&stopping)) {
        struct pfs_stat st;
        struct pfs_error err;
        enum pfs_class cls = pfs_stat(client, "/memfs/README", &st, &err);

        count(cls, &err);
        if (cls == PFS_OK) {
            pfs_stat_fini(&st);
        }
        count(pfs_write(client, path, "content", 7, -1, 0, NULL, &err), &err);
    }
    return NULL;
}

/* Runs the load while `renew` does its work n times; returns how many calls failed. */
static unsigned long under_load(const char *what, unsigned n, bool (*renew)(void *), void *arg)
{
    pthread_t t[CALLERS];
    unsigned done = 0;

    atomic_store(&stopping, false);
    atomic_store(&ok, 0);
    atomic_store(&not_applied, 0);
    atomic_store(&unknown, 0);
    for (long i = 0; i < CALLERS; i++) {
        if (pthread_create(&t[i], NULL, call, (void *)i) != 0) {
            fprintf(stderr, "renewal: no thread\n");
            exit(1);
        }
    }
    while (done < n && renew(arg)) {
        done++;
    }
    atomic_store(&stopping, true);
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(t[i], NULL);
    }
    printf("%u of %u %s; calls OK %lu, not applied %lu, unknown %lu\n", done, n, what, ok,
           not_applied, unknown);
    return not_applied + unknown + (n - done);
}

static bool reload(void *arg)
{
    struct pfs_error err;

    if (pfs_reload(client, &err) != PFS_OK) {
        fprintf(stderr, "reload: %s\n", err.text);
        return false;
    }
    return true;
}

static const char *const mounts[] = {"--mount", "memfs:/memfs", NULL};

struct server {
    const char *agfsd, *pki;
    uint16_t port;
    struct spawned *process;
    int64_t longest_to_ok_ms; /* from its readiness after a kill to the first call that succeeds */
    unsigned n_late;          /* of those, how many took more than a second, and the gap before */
    int64_t longest_gap_ms;   /* from the signal to one process to the readiness of the next */
};

/* Until calls come through again; the load does not stop for it. */
static bool wait_for_service(void)
{
    unsigned long before = atomic_load(&ok);

    for (int i = 0; i < 6000 && atomic_load(&ok) < before + 100; i++) {
        pause_ms(10);
    }
    return atomic_load(&ok) >= before + 100;
}

/* Ends the server by `end` and starts it again; how long there was none. */
static int64_t replace(struct server *s, void (*end)(struct spawned *))
{
    int64_t t0 = now_ms();

    end(s->process);
    s->process = spawn_agfsd(s->agfsd, s->pki, s->port, mounts);
    int64_t gap = now_ms() - t0;
    s->longest_gap_ms = gap > s->longest_gap_ms ? gap : s->longest_gap_ms;
    return gap;
}

static bool restart(void *arg)
{
    replace(arg, spawned_stop);
    return wait_for_service();
}

static bool kill_and_start(void *arg)
{
    struct server *s = arg;
    int64_t gap = replace(s, spawned_kill);
    unsigned long before = atomic_load(&ok); /* what was in flight at the kill is none of them */
    int64_t t0 = now_ms();
    while (atomic_load(&ok) == before && now_ms() - t0 < 60000) {
        pause_ms(1);
    }
    int64_t to_ok = now_ms() - t0;
    s->n_late += to_ok > 1000 + gap; /* attempts lie the further apart, the longer it was away */
    s->longest_to_ok_ms = to_ok > s->longest_to_ok_ms ? to_ok : s->longest_to_ok_ms;
    return wait_for_service();
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: renewal AGFSD PKIDIR [reloads [restarts]]\n");
        return 2;
    }
    unsigned n_reloads = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 1000;
    unsigned n_restarts = argc > 4 ? (unsigned)strtoul(argv[4], NULL, 10) : 100;
    if (getenv("ASAN_OPTIONS") || getenv("TSAN_OPTIONS")) {
        n_reloads /= 10;
        n_restarts /= 20;
    }
    struct server s = {.agfsd = argv[1], .pki = argv[2]};
    s.process = spawn_agfsd(s.agfsd, s.pki, 0, mounts);
    s.port = spawned_tls_port(s.process);
    client = tls_client_new(s.port, argv[2], NULL, 0);
    unsigned long failed = under_load("reloads", n_reloads, reload, NULL);
    unsigned long by_restart = under_load("graceful restarts", n_restarts, restart, &s);
    printf("away for %lld ms at most\n", (long long)s.longest_gap_ms);
    /* Who finds no server for longer than a client waits for one may be told so. */
    failed += s.longest_gap_ms < READY_GRACE_MS ? by_restart : atomic_load(&unknown);
    unsigned n_kills = n_restarts / 5 + 1;
    s.longest_gap_ms = 0;
    unsigned long by_kill = under_load("kills and starts", n_kills, kill_and_start, &s);
    bool kills_ok = by_kill == atomic_load(&unknown) + atomic_load(&not_applied) &&
                    atomic_load(&unknown) <= 2ul * CALLERS * n_kills &&
                    (s.longest_gap_ms >= READY_GRACE_MS || atomic_load(&not_applied) == 0);
    printf("away for %lld ms at most; first success within %lld ms of the server's readiness; %u "
           "later than a second and the time before\n",
           (long long)s.longest_gap_ms, (long long)s.longest_to_ok_ms, s.n_late);
    kills_ok &= s.n_late <= 1 + n_kills / 100;
    pfs_client_free(client);
    spawned_stop(s.process);
    if (!kills_ok) {
        printf("after kills: more is unknown than was in flight, or a call failed that was not "
               "sent\n");
    }
    return failed == 0 && kills_ok ? 0 : 1;
}
