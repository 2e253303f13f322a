/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Large content against a bare TLS pipe: both in one run, since only their ratio means something.
 * One file is written to a server and read back through libproxyfs, on one connection, and through
 * a second server that mounts the first. Every byte read is compared. What is printed are MB/s,
 * the ratio to the pipe (16 KiB records, one process at each end) of each hop, of which two share
 * the machine where a server is between, and the peak resident memory of all three processes. More
 * than 64 MiB of memory is a failure.
 *
 * A plain copy of that length goes to DIRECTORY first: its rate bounds every write, and where it is
 * memory (tmpfs), pages that no one had before cost a virtual machine more than all the rest.
 *
 * usage: bulk AGFSD PKIDIR [MIB [DIRECTORY]]
 */
#include "../support/spawn.h"
#include "../support/tls_client.h"
#include "limit.h"
#include <proxyfs/proxyfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MIB (1u << 20)
#define PIECE (256u << 10)  /* what a program like cp moves at once */
#define ROUNDS 3            /* the best counts: nothing makes a transfer faster by accident, */
#define LONG (1024LL * MIB) /* unless it takes that long: then one does */
#define RSS_MAX_KIB (64 * 1024)

static char pki[400];
static int64_t total;
static char pattern[PIECE];

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what, const struct pfs_error *err)
{
    fprintf(stderr, "%s: %s\n", what, err ? err->text : "failed");
    exit(1);
}

/* ---- the bare pipe ---- */

static double pipe_rate(struct limit *bare)
{
    struct pfs_error err;
    void *tls = limit_connect(bare, OP_PIPE, &err);
    int64_t n = total < LONG ? total : LONG;
    double began = now_s();

    for (int64_t left = n; left > 0; left -= LIMIT_PIECE) {
        if (!tls || limit_call(tls, OP_PIPE, &err) != PFS_OK) {
            die("pipe", &err);
        }
    }
    double took = now_s() - began;
    limit_disconnect(tls);
    return (double)n / took / 1e6;
}

/* ---- through the library ---- */

static struct pfs_client *open_client(struct spawned *server)
{
    static const struct pfs_option o[] = {
        {"protocol", "h2"}, {"max_connections", "1"}, {"timeout", "5m"}};

    return tls_client_up(spawned_tls_port(server), pki, o, 3);
}

static double write_rate(struct pfs_client *c, const char *path)
{
    struct pfs_stream *s;
    struct pfs_error err;
    double began = now_s();

    if (pfs_open_write(c, path, total, PFS_WRITE_CREATE | PFS_WRITE_TRUNCATE, &s, &err) != PFS_OK) {
        die(path, &err);
    }
    for (int64_t left = total; left > 0; left -= PIECE) {
        if (pfs_stream_write(s, pattern, PIECE, &err) != PFS_OK) {
            die(path, &err);
        }
    }
    if (pfs_stream_finish(s, &err) != PFS_OK) {
        die(path, &err);
    }
    pfs_stream_close(s);
    return (double)total / (now_s() - began) / 1e6;
}

static double read_rate(struct pfs_client *c, const char *path)
{
    static char buf[PIECE];
    struct pfs_stream *s;
    struct pfs_error err;
    int64_t at = 0;
    size_t n;
    double began = now_s();

    if (pfs_open_read(c, path, 0, -1, &s, &err) != PFS_OK) {
        die(path, &err);
    }
    for (;;) {
        if (pfs_stream_read(s, buf, sizeof buf, &n, &err) != PFS_OK) {
            die(path, &err);
        }
        if (n == 0) {
            break;
        }
        size_t from = (size_t)(at % PIECE), first = n < PIECE - from ? n : PIECE - from;
        if (memcmp(buf, pattern + from, first) != 0 ||
            memcmp(buf + first, pattern, n - first) != 0) {
            die("what was read is not what was written", NULL);
        }
        at += (int64_t)n;
    }
    pfs_stream_close(s);
    if (at != total) {
        die("the length read is not the length written", NULL);
    }
    return (double)total / (now_s() - began) / 1e6;
}

/* What the store itself takes; it is left as empty as it was found. */
static double store_rate(const char *file)
{
    FILE *f = fopen(file, "w");
    double began = now_s();

    for (int64_t left = total; f && left > 0; left -= PIECE) {
        if (fwrite(pattern, 1, PIECE, f) != PIECE) {
            die(file, NULL);
        }
    }
    if (!f || fclose(f) != 0) {
        die(file, NULL);
    }
    double took = now_s() - began;

    unlink(file);
    return (double)total / took / 1e6;
}

static double best(double a, double b)
{
    return a > b ? a : b;
}

static void measure(struct limit *bare_tls, unsigned hops, struct spawned *server, const char *path)
{
    struct pfs_client *c = open_client(server);
    double bare = 0, wrote = 0, read = 0;
    struct pfs_error err;

    for (int i = 0; i < (total > LONG ? 1 : ROUNDS); i++) {
        bare = best(bare, pipe_rate(bare_tls));
        wrote = best(wrote, write_rate(c, path));
        read = best(read, read_rate(c, path));
    }
    printf("%u hop%s: %lld MiB: pipe %.0f MB/s, write %.0f (%.2f a hop), read %.0f (%.2f a hop)\n",
           hops, hops > 1 ? "s" : "", (long long)(total / MIB), bare, wrote, hops * wrote / bare,
           read, hops * read / bare);
    fflush(stdout);
    if (pfs_remove(c, path, &err) != PFS_OK) { /* the next write is not to need twice the room */
        die(path, &err);
    }
    pfs_client_free(c);
}

int main(int argc, char **argv)
{
    struct limit *bare;
    struct pfs_error err;
    char dir[] = "/tmp/bulk-XXXXXX", local[600], mount[1400], file[600];

    if (argc < 3) {
        fprintf(stderr, "usage: bulk AGFSD PKIDIR [MIB [DIRECTORY]]\n");
        return 2;
    }
    snprintf(pki, sizeof pki, "%s", argv[2]);
    total = (int64_t)(argc > 3 ? strtol(argv[3], NULL, 10) : 256) * MIB;
    if (limit_start(&bare, &err) != PFS_OK) {
        die("bare TLS", &err);
    }
    for (size_t i = 0; i < sizeof pattern; i++) {
        pattern[i] = (char)(i * 2654435761u >> 13);
    }
    if (argc <= 4 && !mkdtemp(dir)) {
        die(dir, NULL);
    }
    const char *store = argc > 4 ? argv[4] : dir;
    snprintf(file, sizeof file, "%s/bulk", store);
    printf("%s takes %.0f MB/s\n", store, store_rate(file));
    snprintf(local, sizeof local, "localfs:/store:local_dir=%s", store);
    const char *const remote_args[] = {"--mount", local, NULL};
    struct spawned *remote = spawn_agfsd(argv[1], pki, 0, remote_args);
    snprintf(mount, sizeof mount,
             "proxyfs:/remote:base_url=https://127.0.0.1:%u,ca_file=%s/ca.pem,max_connections=1",
             spawned_tls_port(remote), pki);
    const char *const near_args[] = {"--mount", mount, NULL};
    struct spawned *near = spawn_agfsd(argv[1], pki, 0, near_args);

    measure(bare, 1, remote, "/store/bulk");
    measure(bare, 2, near, "/remote/store/bulk");
    long far_kib = spawned_peak_kib(remote), near_kib = spawned_peak_kib(near),
         own_kib = peak_kib(getpid());
    printf("peak resident memory: remote %ld KiB, near %ld KiB, client %ld KiB\n", far_kib,
           near_kib, own_kib);
    spawned_stop(near);
    spawned_stop(remote);
    limit_stop(bare);
    if (far_kib > RSS_MAX_KIB || near_kib > RSS_MAX_KIB || own_kib > RSS_MAX_KIB) {
        die("memory: a process had more than 64 MiB", NULL);
    }
    return argc <= 4 && rmdir(dir) != 0;
}
