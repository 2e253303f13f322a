/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Writes in parts, through one server and through two. Each word of the content says at which
 * version and where it was written: whoever reads has one version, the old one until the commit,
 * whatever ends in the middle: the writer, its client, its memory, its connections, the server.
 *
 * usage: parallel_write AGFSD PKIDIR [WRITES]
 */
#include "../support/fault_proxy.h"
#include "../support/spawn.h"
#include "../support/tls_client.h"
#include "base/alloc.h"
#include "stress.h"
#include <proxyfs/proxyfs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIZE ((5u << 20) + 800) /* five parts of 1 MiB, which 16 streams have, and some */
#define WORDS (SIZE / sizeof(uint64_t))
#define WRITERS 3
#define PIECE 300000u
#define CUTS 8

static uint16_t port; /* that open_client connects to */
static const char *pki;
static char dir[] = "/tmp/stress-parallel-write-XXXXXX";
static atomic_uint left, n_written, n_dropped;
static atomic_bool stop;

__attribute__((noreturn)) static void die(const char *what, const struct pfs_error *err)
{
    fprintf(stderr, "FAIL: %s: %s\n", what, err ? err->text : "");
    exit(1);
}

static uint64_t *content(uint64_t version)
{
    uint64_t *words = malloc(SIZE);

    if (!words) {
        die("memory", NULL);
    }
    for (size_t i = 0; i < WORDS; i++) {
        words[i] = version << 32 | i;
    }
    return words;
}

static struct pfs_client *open_client(void)
{
    static const struct pfs_option o[] = {{"transfer_streams", "16"}};

    return tls_client_up(port, pki, o, 1);
}

static unsigned long long calls(struct pfs_client *c)
{
    struct pfs_stats s;

    pfs_client_stats(c, &s);
    return s.calls;
}

/* Writes n bytes of it; the first error ends that. */
static enum pfs_class put(struct pfs_stream *s, const void *data, size_t n, struct pfs_error *err)
{
    enum pfs_class cls = PFS_OK;

    for (size_t at = 0; cls == PFS_OK && at < n; at += PIECE) {
        cls = pfs_stream_write(s, (const char *)data + at, n - at < PIECE ? n - at : PIECE, err);
    }
    return cls;
}

static enum pfs_class write_file(struct pfs_client *c, const char *path, uint64_t version,
                                 int64_t announced, size_t n, struct pfs_error *err)
{
    uint64_t *words = content(version);
    struct pfs_stream *s;
    enum pfs_class cls = pfs_open_write(c, path, announced, 0, &s, err);

    if (cls == PFS_OK) {
        cls = put(s, words, n, err);
        cls = cls == PFS_OK ? pfs_stream_finish(s, err) : cls;
        pfs_stream_close(s);
    }
    free(words);
    return cls;
}

/* The version of the n bytes that are there, all of the same. */
static uint64_t version_of(struct pfs_client *c, const char *path, size_t n)
{
    struct pfs_stream *s;
    struct pfs_error err;
    uint64_t *words = calloc(1, SIZE + 8);
    size_t have = 0;

    if (!words || pfs_open_read(c, path, 0, -1, &s, &err) != PFS_OK) {
        die(path, &err);
    }
    for (size_t got = 1; got > 0 && have <= SIZE; have += got) {
        if (pfs_stream_read(s, (char *)words + have, SIZE + 8 - have, &got, &err) != PFS_OK) {
            if (err.cls != PFS_TRUNCATED) {
                die(path, &err);
            }
            pfs_stream_close(s); /* replaced meanwhile */
            free(words);
            return version_of(c, path, n);
        }
    }
    pfs_stream_close(s);
    uint64_t version = words[0] >> 32;
    if (have != n) {
        die("the content has another length", NULL);
    }
    for (size_t i = 0; i < n / sizeof *words; i++) {
        if (words[i] != (version << 32 | i)) {
            die("the content is a mixture", NULL);
        }
    }
    free(words);
    return version;
}

static void expect(struct pfs_client *c, const char *path, size_t n, uint64_t version,
                   const char *what)
{
    if (version_of(c, path, n) != version) {
        die(what, NULL);
    }
}

/* The mount behind that path is made while the server is up already. */
static void await_mount(struct pfs_client *c, const char *path)
{
    struct pfs_stat st;
    struct pfs_error err;

    enum pfs_class cls = pfs_stat(c, path, &st, &err);

    for (int i = 0; i < 2000 && cls != PFS_OK; i++) {
        usleep(10000);
        cls = pfs_stat(c, path, &st, &err);
    }
    if (cls != PFS_OK) {
        die(path, &err);
    }
    pfs_stat_fini(&st);
}

/* ---- one at a time ---- */

/* Announced or not, large or not, where parts can be written and where not. */
static void all_kinds(struct pfs_client *c, const char *path, bool in_parts)
{
    static const size_t sizes[] = {0, 8, 1 << 20, (1 << 20) + 8, 2 << 20, SIZE};
    struct pfs_error err;

    for (uint64_t i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++) {
        size_t n = sizes[i / 2];
        unsigned long long before = calls(c);

        if (write_file(c, path, i + 1, i % 2 ? -1 : (int64_t)n, n, &err) != PFS_OK) {
            die(path, &err);
        }
        if (in_parts && n > 1 << 20 && calls(c) - before < 2 + n / (1 << 20)) {
            die("a large write came in one stream", NULL);
        }
        if (n <= 1 << 20 && calls(c) - before != 1) {
            die("a small write came in parts", NULL);
        }
        expect(c, path, n, n ? i + 1 : 0, "what was written is not there");
    }
}

/* Until the commit, and without it, the old content is there. */
static void not_before_the_commit(struct pfs_client *c)
{
    uint64_t *words = content(2);
    struct pfs_stream *s;
    struct pfs_error err;

    if (write_file(c, "/store/f", 1, SIZE, SIZE, &err) != PFS_OK ||
        pfs_open_write(c, "/store/f", SIZE, 0, &s, &err) != PFS_OK ||
        put(s, words, SIZE, &err) != PFS_OK) {
        die("write", &err);
    }
    expect(c, "/store/f", SIZE, 1, "it was seen before the commit");
    pfs_stream_close(s);
    expect(c, "/store/f", SIZE, 1, "it was seen without a commit");
    if (write_file(c, "/store/f", 2, SIZE, SIZE - 8, &err) != PFS_INVALID ||
        err.outcome != PFS_OUTCOME_NA) {
        die("less than was announced", &err);
    }
    expect(c, "/store/f", SIZE, 1, "less than was announced is there");
    if (pfs_open_write(c, "/store/f", SIZE, PFS_WRITE_EXCLUSIVE, &s, &err) != PFS_OK ||
        put(s, words, SIZE, &err) == PFS_OK || err.cls != PFS_EXISTS) {
        if (pfs_stream_finish(s, &err) != PFS_EXISTS) {
            die("exclusive", &err);
        }
    }
    pfs_stream_close(s);
    free(words);
}

/* The directory is removed before the commit: that is what is said. */
static void directory_goes(struct pfs_client *c)
{
    uint64_t *words = content(2);
    struct pfs_stream *s;
    struct pfs_error err;

    if (pfs_mkdir(c, "/store/d", 0755, &err) != PFS_OK ||
        pfs_open_write(c, "/store/d/f", SIZE, 0, &s, &err) != PFS_OK ||
        put(s, words, SIZE, &err) != PFS_OK || pfs_remove_all(c, "/store/d", &err) != PFS_OK) {
        die("write", &err);
    }
    if (pfs_stream_finish(s, &err) != PFS_NOTFOUND || err.outcome != PFS_OUTCOME_NA) {
        die("a commit into a directory that was removed", &err);
    }
    pfs_stream_close(s);
    free(words);
}

/* The client is freed while a writer has its stream: that says so, and can be closed. */
static void client_ends(void)
{
    struct pfs_client *c = open_client();
    uint64_t *words = content(9);
    struct pfs_stream *s;
    struct pfs_error err;

    if (pfs_open_write(c, "/store/f", SIZE, 0, &s, &err) != PFS_OK ||
        put(s, words, SIZE / 2, &err) != PFS_OK) {
        die("write", &err);
    }
    pfs_client_free(c);
    if (put(s, words, SIZE / 2, &err) == PFS_OK && pfs_stream_finish(s, &err) == PFS_OK) {
        die("a write ended well without its client", NULL);
    }
    pfs_stream_close(s);
    free(words);
}

/* Each allocation of a write fails once: it says so and nothing happened, or it is all there. */
static void without_memory(struct pfs_client *c)
{
    unsigned long n = 1;

    for (unsigned long nth = 0; nth <= n; nth += SWEEP_STEP) {
        uint64_t before = version_of(c, "/store/f", SIZE), version = nth + 100;
        struct pfs_error err = {.cls = PFS_OK};

        pfs_alloc_fail_nth(nth);
        enum pfs_class cls = write_file(c, "/store/f", version, SIZE, SIZE, &err);

        n = nth == 0 ? pfs_alloc_count() : n;
        pfs_alloc_fail_nth(0);
        uint64_t after = version_of(c, "/store/f", SIZE);
        bool good = cls == PFS_OK                   ? after == version
                    : err.outcome == PFS_OUTCOME_NA ? after == before
                    : err.outcome == PFS_OUTCOME_AP ? after == version
                                                    : after == before || after == version;
        if (!good) {
            fprintf(stderr, "%lu: %s, was %llu, wrote %llu, is %llu\n", nth, pfs_class_name(cls),
                    (unsigned long long)before, (unsigned long long)version,
                    (unsigned long long)after);
            die("without memory", &err);
        }
    }
    printf("%lu allocations of a write failed, one at a time\n", n);
}

/* ---- the network ends in the middle ---- */

/* Every connection is cut, again and again: what was lost is sent once more, and nothing else. */
static void network_cuts(const struct spawned *server)
{
    struct fault_proxy *proxy = fault_proxy_start(spawned_tls_port(server), 1);
    uint64_t *words = content(3);
    struct pfs_stream *s;
    struct pfs_error err;

    if (!proxy) {
        die("the proxy", NULL);
    }
    port = fault_proxy_port(proxy);
    struct pfs_client *c = open_client();
    if (pfs_open_write(c, "/store/f", SIZE, 0, &s, &err) != PFS_OK) {
        die("write", &err);
    }
    for (size_t at = 0; at < SIZE; at += SIZE / CUTS) {
        size_t n = SIZE - at < SIZE / CUTS ? SIZE - at : SIZE / CUTS;

        if (put(s, (const char *)words + at, n, &err) != PFS_OK) {
            die("write through a network that cuts", &err);
        }
        fault_proxy_cut_all(proxy);
    }
    if (pfs_stream_finish(s, &err) != PFS_OK) {
        die("write through a network that cuts", &err);
    }
    pfs_stream_close(s);
    pfs_client_free(c);
    port = spawned_tls_port(server);
    fault_proxy_stop(proxy);
    free(words);
}

/* ---- many at once ---- */

static void *writer(void *arg)
{
    struct pfs_client *c = open_client();
    unsigned seed = (unsigned)(uintptr_t)arg;
    uint64_t version = (uint64_t)(uintptr_t)arg << 20;
    struct pfs_stream *s;
    struct pfs_error err;

    while (atomic_fetch_sub(&left, 1) - 1 < UINT32_MAX / 2) {
        if (rand_r(&seed) % 4 > 0) {
            if (write_file(c, "/store/f", ++version, rand_r(&seed) % 2 ? (int64_t)SIZE : -1, SIZE,
                           &err) != PFS_OK) {
                die("write", &err);
            }
            atomic_fetch_add(&n_written, 1);
            continue;
        }
        uint64_t *words = content(UINT32_MAX);

        if (pfs_open_write(c, "/store/f", SIZE, 0, &s, &err) != PFS_OK ||
            put(s, words, (size_t)rand_r(&seed) % SIZE, &err) != PFS_OK) {
            die("write", &err);
        }
        pfs_stream_close(s);
        free(words);
        atomic_fetch_add(&n_dropped, 1);
    }
    pfs_client_free(c);
    return NULL;
}

static void *reader(void *arg)
{
    struct pfs_client *c = open_client();

    while (!atomic_load(&stop)) {
        if (version_of(c, "/store/f", SIZE) == UINT32_MAX) {
            die("what was dropped is there", NULL);
        }
    }
    pfs_client_free(c);
    return NULL;
}

static void many(void)
{
    pthread_t writers[WRITERS], r;

    pthread_create(&r, NULL, reader, NULL);
    for (uintptr_t i = 0; i < WRITERS; i++) {
        pthread_create(&writers[i], NULL, writer, (void *)(i + 1));
    }
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(writers[i], NULL);
    }
    atomic_store(&stop, true);
    pthread_join(r, NULL);
}

/* ---- the server ends in the middle ---- */

static void server_ends(const char *const *argv, const char *const *args, struct spawned *server)
{
    struct pfs_client *c = open_client();
    uint64_t *words = content(UINT32_MAX);
    struct pfs_stream *s;
    struct pfs_error err;

    if (write_file(c, "/store/f", 7, SIZE, SIZE, &err) != PFS_OK ||
        pfs_open_write(c, "/store/f", SIZE, 0, &s, &err) != PFS_OK ||
        put(s, words, SIZE / 2, &err) != PFS_OK) {
        die("write", &err);
    }
    spawned_kill(server);
    server = spawn_agfsd(argv[1], argv[2], port, args);
    enum pfs_class cls = put(s, (const char *)words + SIZE / 2, SIZE - SIZE / 2, &err);
    cls = cls == PFS_OK ? pfs_stream_finish(s, &err) : cls;
    bool good = cls == PFS_OK; /* nothing had reached the first server */
    if (!good && err.outcome != PFS_OUTCOME_NA) {
        die("the server was killed", &err);
    }
    printf("killed in the middle: %s\n", good ? "all of it went to the next one" : err.text);
    pfs_stream_close(s);
    expect(c, "/store/f", SIZE, good ? UINT32_MAX : 7, "half of a write is there");
    if (write_file(c, "/store/f", 8, SIZE, SIZE, &err) != PFS_OK) {
        die("write after that", &err);
    }
    expect(c, "/store/f", SIZE, 8, "the next write is not there");
    pfs_client_free(c);
    spawned_stop(server);
    free(words);
}

int main(int argc, char **argv)
{
    char mount[100], far[700], command[100];

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc < 3 || !mkdtemp(dir)) {
        fprintf(stderr, "usage: parallel_write AGFSD PKIDIR [WRITES]\n");
        return 2;
    }
    atomic_init(&left, argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 100);
    pki = argv[2];
    snprintf(mount, sizeof mount, "localfs:/store:local_dir=%s", dir);
    const char *const args[] = {"--mount", mount, NULL};
    struct spawned *server = spawn_agfsd(argv[1], argv[2], 0, args);
    snprintf(far, sizeof far, "proxyfs:/far:base_url=https://127.0.0.1:%u,ca_file=%s/ca.pem",
             spawned_tls_port(server), pki);
    const char *const near_args[] = {"--mount", far, "--mount", "memfs:/memory", NULL};
    struct spawned *near = spawn_agfsd(argv[1], argv[2], 0, near_args);

    port = spawned_tls_port(near);
    struct pfs_client *c = open_client();
    await_mount(c, "/far/store");
    all_kinds(c, "/far/store/g", true);
    all_kinds(c, "/memory/f", false);
    pfs_client_free(c);
    spawned_stop(near);

    port = spawned_tls_port(server);
    c = open_client();
    all_kinds(c, "/store/f", true);
    not_before_the_commit(c);
    directory_goes(c);
    client_ends();
    without_memory(c);
    network_cuts(server);
    expect(c, "/store/f", SIZE, 3, "what was written through a network that cuts is not there");
    pfs_client_free(c);
    many();
    server_ends((const char *const *)argv, args, server);
    snprintf(command, sizeof command, "test \"$(ls -A %s)\" = \"$(printf 'f\\ng')\"", dir);
    if (system(command) != 0) {
        die("temporary files were left behind", NULL);
    }
    snprintf(command, sizeof command, "rm -r %s", dir);
    printf("written %u, dropped %u\n", n_written, n_dropped);
    return system(command) == 0 ? 0 : 1;
}
