/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Many large reads at once through a server that mounts another, and small calls meanwhile. One
 * thread reads all of them (HTTP/1.1 in clear text, so that the load costs little itself) and
 * compares every byte; another asks for stat, one at a time. Printed are the peak resident memory
 * of the near server and the 99th percentile of the stats, idle and meanwhile. More than 200 MiB is
 * a failure, a wrong byte is one; the times are figures.
 *
 * usage: crowd AGFSD PKIDIR [READS [MIB]]
 */
#include "../support/spawn.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define MIB (1u << 20)
#define PIECE (256u << 10)
#define RSS_MAX_KIB (200 * 1024)
#define IDLE_STATS 1000
#define STATS_MAX 100000
#define FILE_PATH "/remote/store/f"

static char pattern[PIECE];
static size_t size = 8 * MIB;
static uint16_t port;
static atomic_bool over;
static double idle[IDLE_STATS], busy[STATS_MAX];

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what)
{
    fprintf(stderr, "FAIL: %s\n", what);
    exit(1);
}

/* Sends a request on fd, -1: a new connection; what NULL: only connects. */
static int ask(const char *what, int fd)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    char request[200];
    int n =
        snprintf(request, sizeof request,
                 "GET /api/v1/%s?path=" FILE_PATH " HTTP/1.1\r\nHost: x\r\n\r\n", what ? what : "");

    if (fd < 0) {
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
            die("connect");
        }
    }
    if (what && write(fd, request, (size_t)n) != n) {
        die("send");
    }
    return fd;
}

/* ---- the small calls ---- */

static bool may_stat(int fd)
{
    char reply[4096];

    ask("stat", fd);
    ssize_t n = recv(fd, reply, sizeof reply, 0); /* it fits into one segment */
    return n >= 12 && memcmp(reply, "HTTP/1.1 200", 12) == 0;
}

static double stat_once(int fd)
{
    double began = now_s();

    if (!may_stat(fd)) {
        die("stat");
    }
    return now_s() - began;
}

/* A connection for stats, once the mount is up. */
static int open_stat(void)
{
    int fd = ask(NULL, -1);

    for (double began = now_s(); !may_stat(fd);) {
        if (now_s() - began > 30) {
            die("the mount is not up after 30 s");
        }
    }
    return fd;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double p99(double *values, size_t n)
{
    qsort(values, n, sizeof *values, by_value);
    return values[n * 99 / 100];
}

static void *stat_meanwhile(void *arg)
{
    size_t *n = arg;
    int fd = open_stat();

    while (!atomic_load(&over) && *n < STATS_MAX) {
        busy[(*n)++] = stat_once(fd);
    }
    close(fd);
    return NULL;
}

/* ---- the large reads ---- */

struct reader {
    int fd;
    bool in_body;
    size_t got;
};

/* Compares what came with what was written; false: the end. */
static bool take(struct reader *r, const char *p, size_t n)
{
    if (!r->in_body) { /* the head comes in one piece */
        const char *end = memmem(p, n, "\r\n\r\n", 4);

        if (memcmp(p, "HTTP/1.1 200", 12) != 0 || !end) {
            die("a read was refused");
        }
        r->in_body = true;
        n -= (size_t)(end + 4 - p);
        p = end + 4;
    }
    while (n > 0) {
        size_t from = r->got % PIECE, part = n < PIECE - from ? n : PIECE - from;

        if (memcmp(p, pattern + from, part) != 0) {
            die("what was read is not what was written");
        }
        r->got += part;
        p += part;
        n -= part;
    }
    return r->got < size;
}

static void read_all(unsigned n)
{
    static char buf[PIECE];
    struct reader *readers = calloc(n, sizeof *readers);
    int poll = epoll_create1(EPOLL_CLOEXEC);

    for (unsigned i = 0; readers && i < n; i++) {
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = &readers[i]};

        readers[i].fd = ask("files", -1);
        epoll_ctl(poll, EPOLL_CTL_ADD, readers[i].fd, &e);
    }
    for (unsigned left = n; left > 0;) {
        struct epoll_event events[64];
        int n_events = epoll_wait(poll, events, 64, 60000);

        if (n_events <= 0) {
            die("nothing comes any more");
        }
        for (int i = 0; i < n_events; i++) {
            struct reader *r = events[i].data.ptr;
            ssize_t got = recv(r->fd, buf, sizeof buf, 0);

            if (got <= 0) {
                die("a read was cut");
            }
            if (!take(r, buf, (size_t)got)) {
                close(r->fd);
                left--;
            }
        }
    }
    close(poll);
    free(readers);
}

/* ---- all of it ---- */

static void make_file(const char *path)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

    for (size_t i = 0; i < sizeof pattern; i++) {
        pattern[i] = (char)(i * 2654435761u >> 13);
    }
    for (size_t at = 0; at < size; at += PIECE) {
        if (write(fd, pattern, PIECE) != (ssize_t)PIECE) {
            die(path);
        }
    }
    close(fd);
}

int main(int argc, char **argv)
{
    char dir[] = "/tmp/stress-crowd-XXXXXX", local[100], mount[800], file[100];
    unsigned n = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 32;
    size_t n_busy = 0;
    pthread_t thread;

    if (argc < 3 || !mkdtemp(dir)) {
        fprintf(stderr, "usage: crowd AGFSD PKIDIR [READS [MIB]]\n");
        return 2;
    }
    size = argc > 4 ? (size_t)strtoul(argv[4], NULL, 10) * MIB : size;
    snprintf(file, sizeof file, "%s/f", dir);
    make_file(file);
    snprintf(local, sizeof local, "localfs:/store:local_dir=%s", dir);
    const char *const remote_args[] = {"--mount", local, NULL};
    struct spawned *remote = spawn_agfsd(argv[1], argv[2], 0, remote_args);
    snprintf(mount, sizeof mount, "proxyfs:/remote:base_url=https://127.0.0.1:%u,ca_file=%s/ca.pem",
             spawned_tls_port(remote), argv[2]);
    const char *const near_args[] = {"-addr", "127.0.0.1:0", "--mount", mount, NULL};
    struct spawned *near = spawn_agfsd(argv[1], argv[2], 0, near_args);
    port = spawned_clear_port(near);
    int fd = open_stat();
    for (int i = 0; i < IDLE_STATS; i++) {
        idle[i] = stat_once(fd);
    }
    close(fd);
    pthread_create(&thread, NULL, stat_meanwhile, &n_busy);
    double began = now_s();
    read_all(n);
    double took = now_s() - began;
    atomic_store(&over, true);
    pthread_join(thread, NULL);
    long peak = spawned_peak_kib(near);
    double quiet = p99(idle, IDLE_STATS) * 1000, loud = p99(busy, n_busy) * 1000;
    printf("%u reads of %zu MiB at once: %.0f MB/s, near server at most %ld KiB; stat p99 idle "
           "%.2f ms, meanwhile %.2f ms (x%.1f, %zu of them)\n",
           n, size / MIB, (double)size * n / took / 1e6, peak, quiet, loud, loud / quiet, n_busy);
    spawned_stop(near);
    spawned_stop(remote);
    unlink(file);
    rmdir(dir);
    if (peak > RSS_MAX_KIB && !getenv("ASAN_OPTIONS") && !getenv("TSAN_OPTIONS")) {
        die("the near server used too much memory");
    }
    return 0;
}
