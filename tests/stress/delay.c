/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * One large transfer over a long line (50 ms there and back, 100 MB/s a connection), against a bare
 * TCP stream over the same line in the same run: with one stream, and as the library does it by
 * itself there, which is in parts over several connections. Windows that did not grow would
 * move 5 MB/s; less than twice that is a failure, everything else is a figure.
 *
 * usage: delay AGFSD PKIDIR [MIB]
 */
#include "../support/delay_proxy.h"
#include "../support/spawn.h"
#include "../support/tls_client.h"
#include <arpa/inet.h>
#include <proxyfs/proxyfs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MIB (1u << 20)
#define PIECE (256u << 10)
#define ONE_WAY_MS 25
#define RATE 100000000
#define FIRST_WINDOW (256u << 10) /* of lib/h2 and agfsd */

/* Sanitizers make both ends slower than a line of that window. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RATES_COUNT false
#else
#define RATES_COUNT true
#endif

static int64_t total;
static char buf[PIECE], pattern[PIECE];

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what, const struct pfs_error *err)
{
    fprintf(stderr, "FAIL: %s: %s\n", what, err ? err->text : "");
    exit(1);
}

/* ---- bare TCP ---- */

static void *send_all(void *arg)
{
    static char zeros[PIECE];
    int fd = accept(*(int *)arg, NULL, NULL);

    for (int64_t left = total; left > 0;) {
        ssize_t n = send(fd, zeros, sizeof zeros, MSG_NOSIGNAL);
        if (n <= 0) {
            break;
        }
        left -= n;
    }
    shutdown(fd, SHUT_WR);
    return NULL;
}

static double tcp_rate(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
    pthread_t thread;

    if (bind(listener, (struct sockaddr *)&a, len) != 0 || listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&a, &len) != 0) {
        die("listen", NULL);
    }
    struct delay_proxy *p = delay_proxy_start(ntohs(a.sin_port), ONE_WAY_MS, RATE);
    pthread_create(&thread, NULL, send_all, &listener);
    a.sin_port = htons(p ? delay_proxy_port(p) : 0);
    double began = now_s();
    if (connect(fd, (struct sockaddr *)&a, len) != 0) {
        die("connect", NULL);
    }
    int64_t got = 0;
    for (ssize_t n; (n = recv(fd, buf, sizeof buf, 0)) > 0;) {
        got += n;
    }
    pthread_join(thread, NULL);
    close(fd);
    close(listener);
    return (double)got / (now_s() - began) / 1e6;
}

/* ---- through the library ---- */

static double write_rate(struct pfs_client *c)
{
    struct pfs_stream *s;
    struct pfs_error err;
    double began = now_s();

    if (pfs_open_write(c, "/store/f", total, 0, &s, &err) != PFS_OK) {
        die("write", &err);
    }
    for (int64_t left = total; left > 0; left -= PIECE) {
        if (pfs_stream_write(s, pattern, PIECE, &err) != PFS_OK) {
            die("write", &err);
        }
    }
    if (pfs_stream_finish(s, &err) != PFS_OK) {
        die("write", &err);
    }
    pfs_stream_close(s);
    return (double)total / (now_s() - began) / 1e6;
}

static double read_rate(struct pfs_client *c)
{
    struct pfs_stream *s;
    struct pfs_error err;
    int64_t got = 0;
    size_t n = 1;
    double began = now_s();

    if (pfs_open_read(c, "/store/f", 0, -1, &s, &err) != PFS_OK) {
        die("read", &err);
    }
    while (n > 0) {
        if (pfs_stream_read(s, buf, sizeof buf, &n, &err) != PFS_OK) {
            die("read", &err);
        }
        size_t from = (size_t)(got % PIECE), first = n < PIECE - from ? n : PIECE - from;
        if (memcmp(buf, pattern + from, first) != 0 ||
            memcmp(buf + first, pattern, n - first) != 0) {
            die("what was read is not what was written", NULL);
        }
        got += (int64_t)n;
    }
    pfs_stream_close(s);
    if (got != total) {
        die("the length read is not the length written", NULL);
    }
    return (double)total / (now_s() - began) / 1e6;
}

/* Small calls while a large read has the line, as many as fit into it. */
struct stats_meanwhile {
    struct pfs_client *client;
    atomic_bool over;
    double sum_s, worst_s;
    unsigned n;
};

static double stat_s(struct pfs_client *c)
{
    double began = now_s();
    struct pfs_stat st;
    struct pfs_error err;

    if (pfs_stat(c, "/store/f", &st, &err) != PFS_OK) {
        die("stat", &err);
    }
    pfs_stat_fini(&st);
    return now_s() - began;
}

static void *stat_meanwhile(void *arg)
{
    struct stats_meanwhile *m = arg;

    while (!atomic_load(&m->over)) {
        double took = stat_s(m->client);

        m->worst_s = took > m->worst_s ? took : m->worst_s;
        m->sum_s += took;
        m->n++;
    }
    return NULL;
}

static void stats_beside_a_read(struct pfs_client *c)
{
    struct stats_meanwhile m = {.client = c};
    pthread_t thread;
    double idle = stat_s(c);

    pthread_create(&thread, NULL, stat_meanwhile, &m);
    read_rate(c);
    atomic_store(&m.over, true);
    pthread_join(thread, NULL);
    printf("stat alone %.0f ms, beside a large read %.0f ms, %.0f at most (%u of them)\n",
           idle * 1000, m.sum_s / m.n * 1000, m.worst_s * 1000, m.n);
}

static struct pfs_client *open_client(const struct delay_proxy *p, const char *pki,
                                      const char *streams)
{
    const struct pfs_option o[] = {{"timeout", "10m"}, {"transfer_streams", streams}};

    return tls_client_up(delay_proxy_port(p), pki, o, 2);
}

int main(int argc, char **argv)
{
    char dir[] = "/tmp/stress-delay-XXXXXX", mount[100], file[100];
    double fixed = FIRST_WINDOW / (2.0 * ONE_WAY_MS / 1000) / 1e6;

    if (argc < 3 || !mkdtemp(dir)) {
        fprintf(stderr, "usage: delay AGFSD PKIDIR [MIB]\n");
        return 2;
    }
    total = (argc > 3 ? strtol(argv[3], NULL, 10) : 32) * (int64_t)MIB;
    for (size_t i = 0; i < sizeof pattern; i++) {
        pattern[i] = (char)(i * 2654435761u >> 13);
    }
    snprintf(mount, sizeof mount, "localfs:/store:local_dir=%s", dir);
    const char *const args[] = {"--mount", mount, NULL};
    struct spawned *server = spawn_agfsd(argv[1], argv[2], 0, args);
    struct delay_proxy *p = delay_proxy_start(spawned_tls_port(server), ONE_WAY_MS, RATE);
    if (!p) {
        die("the proxy", NULL);
    }
    struct pfs_client *one = open_client(p, argv[2], "1"), *parts = open_client(p, argv[2], "0");
    double tcp = tcp_rate(), wrote = write_rate(one), read = read_rate(one),
           wrote_parts = write_rate(parts), side = read_rate(parts);
    struct pfs_stats stats;

    pfs_client_stats(parts, &stats);
    printf("%lld MiB over %d ms: TCP %.1f MB/s, read %.1f (%.2f), write %.1f (%.2f); in parts over "
           "%u connections: read %.1f (%.2f), write %.1f (%.2f)\n",
           (long long)(total / MIB), 2 * ONE_WAY_MS, tcp, read, read / tcp, wrote, wrote / tcp,
           stats.connections, side, side / tcp, wrote_parts, wrote_parts / tcp);
    stats_beside_a_read(one);
    pfs_client_free(one);
    pfs_client_free(parts);
    spawned_stop(server);
    snprintf(file, sizeof file, "%s/f", dir);
    unlink(file);
    rmdir(dir);
    if (RATES_COUNT &&
        (read < 2 * fixed || wrote < 2 * fixed || side < 2 * fixed || wrote_parts < 2 * fixed)) {
        die("the windows do not grow", NULL);
    }
    if (stats.connections < 2) {
        die("transfers over a long line used one connection", NULL);
    }
    return 0;
}
