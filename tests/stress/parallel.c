/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Reads in parts, while the file changes under them: by being replaced as a whole, and in place.
 * Each word of the content says at which version and where it was written, so a reader knows a
 * mixture; a read that ends well must be none. Some readers stop in the middle, and some clients
 * end with their streams open.
 *
 * usage: parallel AGFSD PKIDIR [READS]
 */
#include "../support/spawn.h"
#include "../support/tls_client.h"
#include "base/alloc.h"
#include "stress.h"
#include <fcntl.h>
#include <proxyfs/proxyfs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIZE (10u << 20) /* ten parts of 1 MiB, which 16 streams have */
#define WORDS (SIZE / sizeof(uint64_t))
#define READERS 3

static uint16_t port;
static const char *pki;
static char dir[] = "/tmp/stress-parallel-XXXXXX";
static atomic_uint left, n_parts, n_whole, n_changed, n_stopped;
static atomic_bool stop;

static void die(const char *what, const struct pfs_error *err)
{
    fprintf(stderr, "FAIL: %s: %s\n", what, err ? err->text : "");
    exit(1);
}

static void fill(uint64_t *words, uint64_t version)
{
    for (size_t i = 0; i < WORDS; i++) {
        words[i] = version << 32 | i;
    }
}

static struct pfs_client *open_client(const char *streams)
{
    const struct pfs_option o[] = {{"transfer_streams", streams}};

    return tls_client_up(port, pki, o, 1);
}

/* ---- who changes ---- */

static void replace(struct pfs_client *c, const uint64_t *words)
{
    struct pfs_stream *s;
    struct pfs_error err;

    if (pfs_open_write(c, "/store/replaced", SIZE, 0, &s, &err) != PFS_OK ||
        pfs_stream_write(s, words, SIZE, &err) != PFS_OK || pfs_stream_finish(s, &err) != PFS_OK) {
        die("replace", &err);
    }
    pfs_stream_close(s);
}

static void write_in_place(const uint64_t *words)
{
    char path[100];

    snprintf(path, sizeof path, "%s/rewritten", dir);
    int fd = open(path, O_WRONLY | O_CREAT, 0644);
    if (fd < 0 || pwrite(fd, words, SIZE, 0) != (ssize_t)SIZE) {
        die("write in place", NULL);
    }
    close(fd);
}

static void *change(void *arg)
{
    static uint64_t words[WORDS];
    struct pfs_client *c = open_client("16");

    for (uint64_t version = 1; !atomic_load(&stop); version++) {
        unsigned until = atomic_load(&n_parts) + READERS;

        fill(words, version);
        replace(c, words);
        write_in_place(words);
        if (arg) { /* the first time */
            break;
        }
        /* Some reads in peace, and then the next change into the middle of others. */
        while (!atomic_load(&stop) && atomic_load(&n_parts) < until) {
            usleep(10000);
        }
    }
    pfs_client_free(c);
    return NULL;
}

/* ---- who reads ---- */

/* True: read to its end, which is then no mixture, unless it came without a version. */
static bool read_file(struct pfs_client *c, const char *path, size_t stop_at, uint64_t *words)
{
    struct pfs_stream *s;
    struct pfs_error err;
    size_t have = 0, n = 1;

    if (pfs_open_read(c, path, 0, -1, &s, &err) != PFS_OK) {
        die(path, &err);
    }
    bool versioned = s->version[0];
    while (n > 0 && have < stop_at) {
        size_t room = have < SIZE ? SIZE - have : 1;

        if (pfs_stream_read(s, (char *)words + (have < SIZE ? have : 0), room, &n, &err) !=
            PFS_OK) {
            if (err.cls != PFS_TRUNCATED) {
                die(path, &err);
            }
            atomic_fetch_add(&n_changed, 1);
            pfs_stream_close(s);
            return false;
        }
        have += n;
    }
    pfs_stream_close(s);
    if (n > 0) {
        atomic_fetch_add(&n_stopped, 1);
        return false;
    }
    if (have != SIZE) {
        die("a read that ended well has another length", NULL);
    }
    for (size_t i = 0; i < WORDS && (versioned || strstr(path, "replaced")); i++) {
        if (words[i] != ((words[0] & ~(uint64_t)UINT32_MAX) | i)) {
            die("a read that ended well is a mixture", NULL);
        }
    }
    atomic_fetch_add(versioned ? &n_parts : &n_whole, 1);
    return true;
}

/* Opens it when it is old enough to have a version. */
static struct pfs_stream *open_settled(struct pfs_client *c)
{
    struct pfs_stream *s = NULL;
    struct pfs_error err;

    do {
        pfs_stream_close(s);
        if (pfs_open_read(c, "/store/replaced", 0, -1, &s, &err) != PFS_OK) {
            die("open", &err);
        }
    } while (!s->version[0]);
    return s;
}

/* Of two streams the last part is asked for once the first was read: that of another file. */
static void replace_under_a_reader(void)
{
    struct pfs_client *c = open_client("2");
    uint64_t *words = malloc(SIZE);
    struct pfs_error err = {.cls = PFS_OK};
    size_t n = 1;

    if (!words) {
        die("memory", NULL);
    }
    struct pfs_stream *s = open_settled(c);
    fill(words, UINT32_MAX);
    replace(c, words);
    pfs_stream_close(open_settled(c));
    for (size_t have = 0; n > 0 && have < SIZE; have += n) {
        if (pfs_stream_read(s, words, SIZE, &n, &err) != PFS_OK) {
            break;
        }
    }
    if (n == 0 || err.cls != PFS_TRUNCATED) {
        die("two files were put together", &err);
    }
    pfs_stream_close(s);
    pfs_client_free(c);
    free(words);
}

/* A read in which allocation nth fails says so, or has all of the content; how many there were. */
static unsigned long read_without(struct pfs_client *c, unsigned long nth, uint64_t *words)
{
    struct pfs_stream *s;
    struct pfs_error err;
    size_t have = 0, n = 1;

    pfs_alloc_fail_nth(nth);
    enum pfs_class cls = pfs_open_read(c, "/store/replaced", 0, -1, &s, &err);
    bool opened = cls == PFS_OK;

    while (cls == PFS_OK && n > 0 && have < SIZE) {
        cls = pfs_stream_read(s, (char *)words + have, SIZE - have, &n, &err);
        have += cls == PFS_OK ? n : 0;
    }
    if (opened) {
        pfs_stream_close(s);
    }
    if (cls == PFS_OK && (have != SIZE || words[WORDS - 1] != (words[0] | (WORDS - 1)))) {
        die("without memory: less than all of it looks complete", NULL);
    }
    if (cls != PFS_OK && cls != PFS_NOMEM && cls != PFS_TRUNCATED && cls != PFS_CONN_LOST &&
        cls != PFS_RESET) {
        die("without memory", &err);
    }
    return pfs_alloc_count();
}

/* Each allocation of such a read fails once. */
static void without_memory(void)
{
    struct pfs_client *c = open_client("16");
    uint64_t *words = malloc(SIZE);

    if (!words) {
        die("memory", NULL);
    }
    pfs_stream_close(open_settled(c));
    unsigned long n = read_without(c, 0, words);
    for (unsigned long nth = 1; nth <= n; nth += SWEEP_STEP) {
        read_without(c, nth, words);
    }
    pfs_alloc_fail_nth(0);
    printf("%lu allocations of a read failed, one at a time\n", n / SWEEP_STEP);
    pfs_client_free(c);
    free(words);
}

/* A client that ends while its stream is open: the stream says so, and can be closed after it. */
static void leave_open(void)
{
    struct pfs_client *c = open_client("16");
    struct pfs_stream *s;
    struct pfs_error err;
    char byte;
    size_t n;

    if (pfs_open_read(c, "/store/replaced", 0, -1, &s, &err) != PFS_OK) {
        die("open", &err);
    }
    pfs_client_free(c);
    for (size_t i = 0; i < SIZE && pfs_stream_read(s, &byte, 1, &n, &err) == PFS_OK && n; i++) {
    }
    pfs_stream_close(s);
}

static void *reader(void *arg)
{
    struct pfs_client *c = open_client("16");
    unsigned seed = (unsigned)(uintptr_t)arg;
    uint64_t *words = malloc(SIZE);

    while (words && atomic_fetch_sub(&left, 1) - 1 < UINT32_MAX / 2) {
        const char *path = rand_r(&seed) % 2 ? "/store/replaced" : "/store/rewritten";

        read_file(c, path, rand_r(&seed) % 4 ? SIZE_MAX : (size_t)rand_r(&seed) % SIZE, words);
        if (rand_r(&seed) % 16 == 0) {
            leave_open();
        }
    }
    pfs_client_free(c);
    free(words);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t readers[READERS], changer;
    char mount[100], file[100];

    if (argc < 3 || !mkdtemp(dir)) {
        fprintf(stderr, "usage: parallel AGFSD PKIDIR [READS]\n");
        return 2;
    }
    atomic_init(&left, argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 100);
    snprintf(mount, sizeof mount, "localfs:/store:local_dir=%s", dir);
    const char *const args[] = {"--mount", mount, NULL};
    struct spawned *server = spawn_agfsd(argv[1], argv[2], 0, args);
    port = spawned_tls_port(server);
    pki = argv[2];
    change(&stop);
    pthread_create(&changer, NULL, change, NULL);
    for (uintptr_t i = 0; i < READERS; i++) {
        pthread_create(&readers[i], NULL, reader, (void *)(i + 1));
    }
    for (int i = 0; i < READERS; i++) {
        pthread_join(readers[i], NULL);
    }
    atomic_store(&stop, true);
    pthread_join(changer, NULL);
    replace_under_a_reader();
    without_memory();
    spawned_stop(server);
    snprintf(file, sizeof file, "%s/replaced", dir);
    unlink(file);
    snprintf(file, sizeof file, "%s/rewritten", dir);
    unlink(file);
    rmdir(dir);
    printf("reads in parts %u, whole %u, refused as changed %u, stopped %u\n", n_parts, n_whole,
           n_changed, n_stopped);
    if (n_parts == 0) {
        die("nothing was read in parts", NULL);
    }
    return 0;
}
