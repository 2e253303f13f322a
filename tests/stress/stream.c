/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Streams and small calls on one connection: whoever waits may drive it, so they take it from each
 * other all the time. Content is written in pieces of any size, read back and compared; some
 * streams are closed half-way, which must leave the old content, and clients come and go meanwhile.
 *
 * usage: stream AGFSD PKIDIR [transfers [seed]]
 */
#include "../support/spawn.h"
#include "../support/tls_client.h"
#include <proxyfs/proxyfs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOVERS 3
#define CALLERS 2
#define LEN_MAX (3u << 20)
#define PIECE_MAX (300u << 10)

static struct spawned *server;
static const char *pki_dir;
static atomic_long left;
static atomic_ulong calls, cut;
static atomic_bool over;
static unsigned seed;

static void die(const char *what, const struct pfs_error *err)
{
    fprintf(stderr, "FAIL: %s: %s\n", what, err ? err->text : "");
    _exit(1);
}

static struct pfs_client *open_client(void)
{
    static const struct pfs_option o[] = {
        {"protocol", "h2"}, {"max_connections", "1"}, {"timeout", "60s"}};

    return tls_client_new(spawned_tls_port(server), pki_dir, o, 3);
}

struct mover {
    pthread_t thread;
    unsigned index, random;
    char *content, *back;
    char path[32];
};

static size_t pick(struct mover *m, size_t max)
{
    return (size_t)rand_r(&m->random) % max + 1;
}

/* Writes len bytes in pieces; false: given up on the way, on purpose. */
static bool put(struct mover *m, struct pfs_client *c, size_t len, bool give_up)
{
    struct pfs_stream *s;
    struct pfs_error err;
    bool known = rand_r(&m->random) & 1;
    size_t stop = give_up ? pick(m, len) - 1 : len;

    if (pfs_open_write(c, m->path, known ? (int64_t)len : -1, 0, &s, &err) != PFS_OK) {
        die(m->path, &err);
    }
    for (size_t at = 0, n; at < stop; at += n) {
        n = pick(m, PIECE_MAX);
        n = n < stop - at ? n : stop - at;
        if (pfs_stream_write(s, m->content + at, n, &err) != PFS_OK) {
            die(m->path, &err);
        }
    }
    if (!give_up && pfs_stream_finish(s, &err) != PFS_OK) {
        die(m->path, &err);
    }
    pfs_stream_close(s);
    return !give_up;
}

static void compare(struct mover *m, struct pfs_client *c, size_t len)
{
    struct pfs_stream *s;
    struct pfs_error err;
    size_t at = 0, n;
    bool half = rand_r(&m->random) % 8 == 0;

    if (pfs_open_read(c, m->path, 0, -1, &s, &err) != PFS_OK) {
        die(m->path, &err);
    }
    do {
        if (pfs_stream_read(s, m->back + at, pick(m, PIECE_MAX), &n, &err) != PFS_OK) {
            die(m->path, &err);
        }
        at += n;
    } while (n > 0 && !(half && at > len / 2));
    pfs_stream_close(s);
    if (memcmp(m->back, m->content, at) != 0 || (!half && at != len)) {
        die("what was read is not what was written", NULL);
    }
}

static void *move(void *arg)
{
    struct mover *m = arg;

    while (atomic_fetch_sub(&left, 1) > 0) {
        struct pfs_client *c = open_client(); /* the connection outlives it: others share it */
        size_t len = pick(m, LEN_MAX);

        for (size_t i = 0; i < len; i += 64) {
            m->content[i] = (char)rand_r(&m->random);
        }
        put(m, c, len, false);
        if (rand_r(&m->random) % 4 == 0) {
            atomic_fetch_add(&cut, 1);
            put(m, c, len, true);
        }
        compare(m, c, len);
        pfs_client_free(c);
    }
    return NULL;
}

static void *call(void *arg)
{
    struct pfs_client *c = open_client();
    struct pfs_stat st;
    struct pfs_error err;
    unsigned random = seed;

    while (!atomic_load(&over)) {
        if (pfs_stat(c, "/store", &st, &err) != PFS_OK) {
            die("stat", &err);
        }
        pfs_stat_fini(&st);
        atomic_fetch_add(&calls, 1);
        usleep(rand_r(&random) % 3 * 1000); /* alone at times, so that streams take over */
    }
    pfs_client_free(c);
    return arg;
}

int main(int argc, char **argv)
{
    static struct mover movers[MOVERS];
    pthread_t callers[CALLERS];
    char dir[] = "/tmp/stress-stream-XXXXXX", mount[100], file[100];

    if (argc < 3 || !mkdtemp(dir)) {
        fprintf(stderr, "usage: stream AGFSD PKIDIR [transfers [seed]]\n");
        return 2;
    }
    pki_dir = argv[2];
    atomic_store(&left, argc > 3 ? strtol(argv[3], NULL, 10) : 100);
    long n = atomic_load(&left);
    seed = argc > 4 ? (unsigned)strtoul(argv[4], NULL, 10) : 1;
    snprintf(mount, sizeof mount, "localfs:/store:local_dir=%s", dir);
    const char *const args[] = {"--mount", mount, NULL};
    server = spawn_agfsd(argv[1], pki_dir, 0, args);
    for (unsigned i = 0; i < MOVERS; i++) {
        movers[i] = (struct mover){.index = i,
                                   .random = seed + i,
                                   .content = malloc(LEN_MAX),
                                   .back = malloc(LEN_MAX + PIECE_MAX)};
        memset(movers[i].content, 0, LEN_MAX);
        snprintf(movers[i].path, sizeof movers[i].path, "/store/f%u", i);
        pthread_create(&movers[i].thread, NULL, move, &movers[i]);
    }
    for (int i = 0; i < CALLERS; i++) {
        pthread_create(&callers[i], NULL, call, NULL);
    }
    for (unsigned i = 0; i < MOVERS; i++) {
        pthread_join(movers[i].thread, NULL);
        free(movers[i].content);
        free(movers[i].back);
        snprintf(file, sizeof file, "%s/f%u", dir, i);
        unlink(file);
    }
    atomic_store(&over, true);
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(callers[i], NULL);
    }
    spawned_stop(server);
    printf("%ld transfers, %lu given up half-way, %lu calls meanwhile; %s\n", n, atomic_load(&cut),
           atomic_load(&calls), rmdir(dir) == 0 ? "no file left" : "a file is left");
    return access(dir, F_OK) == 0;
}
