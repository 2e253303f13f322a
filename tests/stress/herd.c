/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * 200 client processes find their server away; when it returns they do not come all at once
 * (reliability bar A094).
 */
#include "base/random.h"
#include "stress.h"
#include "support/h2server.h"
#include <proxyfs/proxyfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define CLIENTS 200
#define WINDOW_NS (100 * PFS_MS)
#define SPREAD_MIN_NS (250 * PFS_MS) /* of the middle 80 % */
#define SAME_MAX (CLIENTS / 8)       /* clients that wait equally long, of 41 ways to wait */

/* So long the server stays away: some attempts of each client, whose jitter adds up. */
#define OUTAGE_NS (3 * PFS_SEC)

/* Calls until it gets through. When it has not for OUTAGE_NS it tells what its jitter
 * is made of. */
static int client_main(const char *url, int fd)
{
    struct pfs_option o[] = {{"base_url", url}, {"protocol", "h2"}, {"timeout", "30s"}};
    struct pfs_client *c;
    struct pfs_error err;
    int64_t began = pfs_now(), until = began + 60 * PFS_SEC;
    bool told = false, through = false;

    if (pfs_client_new(o, 3, &c, &err) != PFS_OK) {
        return 1;
    }
    while (!(through = pfs_health(c, &err) == PFS_OK) && pfs_now() < until) {
        if (!told && pfs_now() - began > OUTAGE_NS) {
            uint32_t chance = pfs_random();
            told = write(fd, &chance, sizeof chance) == sizeof chance;
        }
        usleep(20000);
    }
    pfs_client_free(c);
    return through && told ? 0 : 1;
}

static atomic_ullong came_ns[CLIENTS];
static atomic_uint n_came;

static void reply_health(struct h2peer *p, struct h2req *r, void *arg)
{
    h2peer_reply(p, r->stream, "200", "{\"status\":\"healthy\"}");
}

static void serve(struct h2server *s, struct h2peer *p)
{
    unsigned i = atomic_fetch_add(&n_came, 1);

    if (i < CLIENTS) {
        atomic_store(&came_ns[i], (unsigned long long)pfs_now());
    }
    h2peer_hello(p, 0, NULL);
    h2peer_serve(p, reply_health, NULL);
}

static int by_time(const void *a, const void *b)
{
    unsigned long long x = atomic_load((const atomic_ullong *)a),
                       y = atomic_load((const atomic_ullong *)b);

    return x < y ? -1 : x > y;
}

/* The most that came within a window. */
static unsigned crowd(unsigned n)
{
    unsigned most = 0;

    for (unsigned i = 0, first = 0; i < n; i++) {
        while (came_ns[i] - came_ns[first] > WINDOW_NS) {
            first++;
        }
        most = i - first + 1 > most ? i - first + 1 : most;
    }
    return most;
}

int main(void)
{
    struct h2server s = {.script = serve};
    pid_t pid[CLIENTS];
    int fds[2], status, failed = 0;
    unsigned waits[41] = {0}, same = 0;

    h2server_hold_port(&s);
    if (pipe(fds) != 0) {
        return 1;
    }
    for (int i = 0; i < CLIENTS; i++) {
        pid[i] = fork();
        if (pid[i] == 0) {
            _exit(client_main(s.url, fds[1]));
        }
    }
    for (int i = 0; i < CLIENTS; i++) {
        uint32_t chance;

        if (read(fds[0], &chance, sizeof chance) != sizeof chance) {
            return 1;
        }
        waits[chance % 41]++;
    }
    for (int i = 0; i < 41; i++) {
        same = waits[i] > same ? waits[i] : same;
    }
    h2server_start(&s);
    for (int i = 0; i < CLIENTS; i++) {
        failed += pid[i] < 0 || waitpid(pid[i], &status, 0) != pid[i] || status != 0;
    }
    h2server_stop(&s);
    unsigned n = atomic_load(&n_came);
    qsort(came_ns, n < CLIENTS ? n : CLIENTS, sizeof came_ns[0], by_time);
    unsigned most = n == CLIENTS ? crowd(n) : n;
    int64_t spread =
        n == CLIENTS ? (int64_t)(came_ns[CLIENTS * 9 / 10] - came_ns[CLIENTS / 10]) : 0;
    printf("%d clients failed; %u connections, the middle 80 %% within %lld ms, at most %u in 100 "
           "ms; at most %u with the same jitter\n",
           failed, n, (long long)(spread / PFS_MS), most, same);
    return failed == 0 && n == CLIENTS && same <= SAME_MAX && spread >= SPREAD_MIN_NS ? 0 : 1;
}
