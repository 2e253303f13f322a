/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Many large reads at once through a server that mounts another, and small calls meanwhile. One
 * thread reads all of them (HTTP/1.1 in clear text, so that the load costs little itself) and
 * compares every byte; others ask for stat, one at a time: through the mount, and for reference of
 * the near server's own root and of the file at the far server itself. Both serve small calls and
 * large reads on the same event loops, and a call through the mount passes both: about as much as
 * the two together take is to be expected, and what is far above that is the library's. By how much
 * a thread that does little is late when it wakes, of which a call through the mount has seven
 * (near loop, far loop, worker, far loop, I/O thread, near loop, client), says what the processors
 * leave. Printed are the peak resident memory of the near server and the 99th percentiles, idle and
 * meanwhile. More than 200 MiB is a failure, a wrong byte is one; the times are figures.
 *
 * With --at the two servers are others, which somebody has started (tools/bench/crowd.sh: nginx):
 * of the same file under /api/v1/files, near by way of far, and of a small answer under
 * /api/v1/stat.
 *
 * usage: crowd AGFSD PKIDIR [READS [MIB]]
 *        crowd --at NEARPORT FARPORT FILE [READS [MIB]]
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
/* Between two calls of an asker, so that it is no load itself. */
#define PAUSE_NS 1000000

/* Somebody who asks for stat, again and again. */
struct asker {
    const char *path;
    uint16_t port;
    size_t n_busy;
    double idle[IDLE_STATS], busy[STATS_MAX];
    double late[STATS_MAX]; /* by how much it woke after its pauses */
    pthread_t thread;
};

static char pattern[PIECE];
static size_t size = 8 * MIB;
static atomic_bool over;
static struct asker mount = {.path = "/remote/store/f"}, own = {.path = "/"},
                    far = {.path = "/store/f"};

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

/* Connects to a server in clear text. */
static int open_conn(uint16_t port)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
        die("connect");
    }
    return fd;
}

static void ask(int fd, const char *what, const char *path)
{
    char request[200];
    int n = snprintf(request, sizeof request, "GET /api/v1/%s?path=%s HTTP/1.1\r\nHost: x\r\n\r\n",
                     what, path);

    if (write(fd, request, (size_t)n) != n) {
        die("send");
    }
}

/* ---- the small calls ---- */

static bool may_stat(const struct asker *a, int fd)
{
    char reply[4096];

    size_t n = 0;
    ssize_t got = 1;

    ask(fd, "stat", a->path);
    while (got > 0 && !(n > 0 && memmem(reply, n, "}}", 2))) { /* the end of a stat */
        got = recv(fd, reply + n, sizeof reply - n, 0);
        n += got > 0 ? (size_t)got : 0;
        if (n >= 12 && memcmp(reply, "HTTP/1.1 200", 12) != 0) {
            return false;
        }
    }
    return got > 0;
}

static double stat_once(const struct asker *a, int fd)
{
    double began = now_s();

    if (!may_stat(a, fd)) {
        die("stat");
    }
    return now_s() - began;
}

/* A connection for stats, once the mount is up. */
static int open_stat(const struct asker *a)
{
    int fd = open_conn(a->port);

    for (double began = now_s(); !may_stat(a, fd);) {
        if (now_s() - began > 30) {
            die("the mount is not up after 30 s");
        }
    }
    return fd;
}

static void stat_idle(struct asker *a, uint16_t port)
{
    a->port = port;
    int fd = open_stat(a);

    for (int i = 0; i < IDLE_STATS; i++) {
        a->idle[i] = stat_once(a, fd);
    }
    close(fd);
}

static void *stat_meanwhile(void *arg)
{
    struct asker *a = arg;
    int fd = open_stat(a);

    while (!atomic_load(&over) && a->n_busy < STATS_MAX) {
        a->busy[a->n_busy] = stat_once(a, fd);
        double began = now_s();
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
        a->late[a->n_busy++] = now_s() - began - PAUSE_NS / 1e9;
    }
    close(fd);
    return NULL;
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

/* Prints both percentiles of a; returns the one meanwhile, in ms. */
static double print_asker(struct asker *a, const char *who)
{
    double quiet = p99(a->idle, IDLE_STATS) * 1000, loud = p99(a->busy, a->n_busy) * 1000;

    printf("  stat p99 %s: idle %.2f ms, meanwhile %.2f ms (x%.1f, %zu of them)\n", who, quiet,
           loud, loud / quiet, a->n_busy);
    return loud;
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

        readers[i].fd = open_conn(mount.port);
        ask(readers[i].fd, "files", mount.path);
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

/* The servers, and their ports for clear text. NULL: others have started them. */
struct servers {
    struct spawned *near, *far;
    uint16_t near_port, far_port;
};

static struct servers start_agfsd(char **argv, const char *dir)
{
    char local[100], proxy[800];
    struct servers s;

    snprintf(local, sizeof local, "localfs:/store:local_dir=%s", dir);
    const char *const far_args[] = {"-addr", "127.0.0.1:0", "--mount", local, NULL};
    s.far = spawn_agfsd(argv[1], argv[2], 0, far_args);
    snprintf(proxy, sizeof proxy, "proxyfs:/remote:base_url=https://127.0.0.1:%u,ca_file=%s/ca.pem",
             spawned_tls_port(s.far), argv[2]);
    const char *const near_args[] = {"-addr", "127.0.0.1:0", "--mount", proxy, NULL};
    s.near = spawn_agfsd(argv[1], argv[2], 0, near_args);
    s.near_port = spawned_clear_port(s.near);
    s.far_port = spawned_clear_port(s.far);
    return s;
}

/* The reads, and stats before and meanwhile. Returns how long the reads took. */
static double load(const struct servers *s, unsigned n)
{
    struct asker *const askers[] = {&mount, &own, &far};

    stat_idle(&mount, s->near_port);
    stat_idle(&own, s->near_port);
    stat_idle(&far, s->far_port);
    for (int i = 0; i < 3; i++) {
        pthread_create(&askers[i]->thread, NULL, stat_meanwhile, askers[i]);
    }
    double began = now_s();
    read_all(n);
    double took = now_s() - began;
    atomic_store(&over, true);
    for (int i = 0; i < 3; i++) {
        pthread_join(askers[i]->thread, NULL);
    }
    return took;
}

int main(int argc, char **argv)
{
    bool at = argc > 4 && strcmp(argv[1], "--at") == 0;
    int more = at ? 5 : 3; /* the first optional argument */
    char dir[] = "/tmp/stress-crowd-XXXXXX", file[400];
    unsigned n = argc > more ? (unsigned)strtoul(argv[more], NULL, 10) : 32;
    struct servers s = {0};

    if (argc < 3 || (!at && !mkdtemp(dir))) {
        fprintf(stderr, "usage: crowd AGFSD PKIDIR [READS [MIB]]\n"
                        "       crowd --at NEARPORT FARPORT FILE [READS [MIB]]\n");
        return 2;
    }
    size = argc > more + 1 ? (size_t)strtoul(argv[more + 1], NULL, 10) * MIB : size;
    snprintf(file, sizeof file, "%s%s", at ? argv[4] : dir, at ? "" : "/f");
    make_file(file);
    if (at) {
        s.near_port = (uint16_t)strtoul(argv[2], NULL, 10);
        s.far_port = (uint16_t)strtoul(argv[3], NULL, 10);
    } else {
        s = start_agfsd(argv, dir);
    }
    double took = load(&s, n);
    long peak = at ? 0 : spawned_peak_kib(s.near);
    printf("%u reads of %zu MiB at once: %.0f MB/s\n", n, size / MIB,
           (double)size * n / took / 1e6);
    double through = print_asker(&mount, "through the mount");
    double least = print_asker(&own, "of the near server") + print_asker(&far, "of the far server");
    printf("  through the mount meanwhile: x%.2f of both servers together\n", through / least);
    printf("  one wake-up of an idle thread meanwhile: p99 %.2f ms late\n",
           p99(mount.late, mount.n_busy) * 1000);
    if (at) {
        return 0;
    }
    printf("  near server: at most %ld KiB resident\n", peak);
    spawned_stop(s.near);
    spawned_stop(s.far);
    unlink(file);
    rmdir(dir);
    if (peak > RSS_MAX_KIB && !getenv("ASAN_OPTIONS") && !getenv("TSAN_OPTIONS")) {
        die("the near server used too much memory");
    }
    return 0;
}
