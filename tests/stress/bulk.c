/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Large content against a bare TLS pipe: both in one run, since only their ratio means something.
 * One file is written to a server and read back through libproxyfs, on one connection, and through
 * a second server that mounts the first. Every byte read is compared. What is printed are MB/s,
 * the ratio to the pipe (16 KiB records, one process at each end), and the peak resident memory of
 * both servers.
 *
 * usage: bulk AGFSD PKIDIR [MIB [DIRECTORY]]
 */
#include "../support/spawn.h"
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <proxyfs/proxyfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MIB (1u << 20)
#define PIECE (256u << 10) /* what a program like cp moves at once */
#define RECORD 16384
#define ROUNDS 3 /* the best counts: nothing makes a transfer faster by accident */

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

static const char *pki_file(const char *name)
{
    static char path[2][512];
    static int i;

    i = !i;
    snprintf(path[i], sizeof path[i], "%s/%s", pki, name);
    return path[i];
}

static SSL *pipe_end(int fd, bool server)
{
    SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    SSL *s;

    if (server &&
        (SSL_CTX_use_certificate_file(ctx, pki_file("server.pem"), SSL_FILETYPE_PEM) != 1 ||
         SSL_CTX_use_PrivateKey_file(ctx, pki_file("server.key"), SSL_FILETYPE_PEM) != 1)) {
        die("certificate", NULL);
    }
    /* As lib/net has it: the ratio must not be one between ciphers. */
    SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256");
    s = SSL_new(ctx);
    SSL_set_fd(s, fd);
    if ((server ? SSL_accept(s) : SSL_connect(s)) != 1) {
        die("handshake", NULL);
    }
    return s;
}

static void send_all(int listener)
{
    static char record[RECORD];
    SSL *s = pipe_end(accept(listener, NULL, NULL), true);

    for (int64_t left = total; left > 0; left -= RECORD) {
        if (SSL_write(s, record, RECORD) != RECORD) {
            _exit(1);
        }
    }
    _exit(0);
}

static double pipe_rate(void)
{
    static char record[RECORD];
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);

    if (bind(listener, (struct sockaddr *)&a, n) != 0 || listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&a, &n) != 0) {
        die("listen", NULL);
    }
    pid_t child = fork();
    if (child == 0) {
        send_all(listener);
    }
    if (child < 0 || connect(fd, (struct sockaddr *)&a, n) != 0) {
        die("connect", NULL);
    }
    SSL *s = pipe_end(fd, false);
    double began = now_s();
    int64_t left = total;
    for (int got; left > 0 && (got = SSL_read(s, record, RECORD)) > 0;) {
        left -= got;
    }
    double took = now_s() - began;
    waitpid(child, NULL, 0);
    close(fd);
    close(listener);
    if (left > 0) {
        die("pipe", NULL);
    }
    return (double)total / took / 1e6;
}

/* ---- through the library ---- */

static struct pfs_client *open_client(struct spawned *server)
{
    char url[64], ca[512];
    struct pfs_option o[] = {{"base_url", url},
                             {"ca_file", ca},
                             {"protocol", "h2"},
                             {"max_connections", "1"},
                             {"timeout", "5m"}};
    struct pfs_client *c;
    struct pfs_error err;

    snprintf(url, sizeof url, "https://127.0.0.1:%u", spawned_tls_port(server));
    snprintf(ca, sizeof ca, "%s/ca.pem", pki);
    if (pfs_client_new(o, 5, &c, &err) != PFS_OK || pfs_health(c, &err) != PFS_OK) {
        die(url, &err);
    }
    return c;
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

static long peak_kib(const struct spawned *s)
{
    char path[64], line[256];
    long kib = 0;

    snprintf(path, sizeof path, "/proc/%d/status", (int)spawned_pid(s));
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "VmHWM: %ld", &kib) == 1) {
            break;
        }
    }
    if (f) {
        fclose(f);
    }
    return kib;
}

static double best(double a, double b)
{
    return a > b ? a : b;
}

static void measure(const char *name, struct spawned *server, const char *path)
{
    struct pfs_client *c = open_client(server);
    double bare = 0, wrote = 0, read = 0;

    for (int i = 0; i < ROUNDS; i++) {
        bare = best(bare, pipe_rate());
        wrote = best(wrote, write_rate(c, path));
        read = best(read, read_rate(c, path));
    }
    printf("%s: %lld MiB: pipe %.0f MB/s, write %.0f (%.2f), read %.0f (%.2f)\n", name,
           (long long)(total / MIB), bare, wrote, wrote / bare, read, read / bare);
    pfs_client_free(c);
}

int main(int argc, char **argv)
{
    char dir[] = "/tmp/bulk-XXXXXX", local[600], mount[1400], file[600];

    if (argc < 3) {
        fprintf(stderr, "usage: bulk AGFSD PKIDIR [MIB [DIRECTORY]]\n");
        return 2;
    }
    snprintf(pki, sizeof pki, "%s", argv[2]);
    total = (int64_t)(argc > 3 ? strtol(argv[3], NULL, 10) : 256) * MIB;
    for (size_t i = 0; i < sizeof pattern; i++) {
        pattern[i] = (char)(i * 2654435761u >> 13);
    }
    if (argc <= 4 && !mkdtemp(dir)) {
        die(dir, NULL);
    }
    const char *store = argc > 4 ? argv[4] : dir;
    snprintf(local, sizeof local, "localfs:/store:local_dir=%s", store);
    const char *const remote_args[] = {"--mount", local, NULL};
    struct spawned *remote = spawn_agfsd(argv[1], pki, 0, remote_args);
    snprintf(mount, sizeof mount,
             "proxyfs:/remote:base_url=https://127.0.0.1:%u,ca_file=%s/ca.pem,max_connections=1",
             spawned_tls_port(remote), pki);
    const char *const near_args[] = {"--mount", mount, NULL};
    struct spawned *near = spawn_agfsd(argv[1], pki, 0, near_args);

    measure("one hop", remote, "/store/bulk");
    measure("two hops", near, "/remote/store/bulk");
    printf("peak resident memory: remote %ld KiB, near %ld KiB\n", peak_kib(remote),
           peak_kib(near));
    spawned_stop(near);
    spawned_stop(remote);
    snprintf(file, sizeof file, "%s/bulk", store);
    unlink(file);
    return argc <= 4 && rmdir(dir) != 0;
}
