/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * The plugin under a host that behaves as the stock one, in front of a fake file system:
 * host_test LIBRARY [CALLS]. CALLS: of the memory phase, default 100000.
 */
#include "host.h"
#include "phases.h"
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#define CONFIG                                                                                     \
    "{\"base_url\":\"fake:a\",\"mount_path\":\"/p\",\"workers\":\"4\",\"queue_depth\":100}"
#define SAME_CONFIG                                                                                \
    "{\"queue_depth\":\"100\",\"base_url\":\"fake:a\",\"mount_path\":\"/q\",\"workers\":4}"
#define OTHER_CONFIG "{\"base_url\":\"fake:b\",\"mount_path\":\"/p\"}"
#if defined(__SANITIZE_ADDRESS__)
#define GROWTH_MIB 1024 /* the sanitizer keeps what was freed */
#else
#define GROWTH_MIB 96
#endif
#define N_HOLD 3 /* fewer than workers, so that others can run */

static void refuses(struct host *h, const char *config, const char *words)
{
    const char *text = host_mount(h, config);

    CHECK(text && strstr(text, words), "%s: %s", config ? config : "NULL", text);
}

static void test_mounting(struct host *h)
{
    CHECK(strcmp(h->PluginName(h->plugin), "proxyfs-h2") == 0, "name");
    CHECK(strstr(h->PluginGetReadme(h->plugin), "base_url"), "readme");
    CHECK(((char *)h->plugin)[0] == '\0' && !*(void **)h->plugin, "the instance reads as zeros");
    CHECK(!h->FSStat(h->plugin, "/"), "not mounted");
    refuses(h, NULL, "base_url is required");
    refuses(h, "", "base_url is required");
    refuses(h, "[1]", "invalid configuration");
    refuses(h, "{\"base_url\":\"fake:a\"", "invalid configuration");
    refuses(h, "{\"base_url\":\"fake:a\",\"nonsense\":\"1\"}",
            "unknown configuration parameter: nonsense");
    refuses(h, "{\"base_url\":\"fake:a\",\"workers\":\"0\"}", "invalid value of option workers");
    refuses(h, "{\"base_url\":\"fake:a\",\"other\":null}", "invalid value of option other");
    refuses(h, "{\"base_url\":\"fake:down\"}", "connection refused");
    CHECK(!host_mount(h, CONFIG), "mount");
    CHECK(!host_mount(h, SAME_CONFIG), "the same options share the instance");
    refuses(h, OTHER_CONFIG, "load the library again for an independent instance");
    CHECK(h->PluginShutdown(h), "a foreign pointer");
    phase_files(h, "/t");
    CHECK(!host_unmount(h), "first unmount");
    CHECK(h->FSStat(h->plugin, "/"), "the other mount still works");
    CHECK(!host_unmount(h), "second unmount");
    CHECK(!h->FSStat(h->plugin, "/"), "closed");
    for (int i = 0; i < 3; i++) {
        CHECK(!host_unmount(h), "once more");
    }
    CHECK(strstr(h->FSRemove(h->plugin, "/x"), "shut down"), "after free");
    CHECK(!host_mount(h, OTHER_CONFIG), "a closed instance can be opened with other options");
    CHECK(h->FSStat(h->plugin, "/"), "open again");
    CHECK(!host_unmount(h), "unmount");
}

/* A075: the host's clients would take any number for all of it. */
static void test_short_write(struct host *h)
{
    CHECK(!host_mount(h, CONFIG), "mount");
    CHECK(h->FSWrite(h->plugin, "/short", "hello", 5, -1, 10) == -1, "4 of 5 bytes");
    struct host_result r = host_read(h, "/.proxyfs/errors", 0, -1);
    CHECK(r.ok && strstr(r.text, "write /short truncated/AP/reply: the remote wrote 4 of 5 bytes"),
          "errors: %s", r.text);
    free(r.text);
    CHECK(h->FSWrite(h->plugin, "/short", NULL, 0, -1, 10) == 0, "nothing is not short");
    CHECK(!host_unmount(h), "unmount");
}

/* A read that hangs in the plugin until it is told to go on. */
struct held {
    pthread_t thread;
    struct host *h;
    char path[64];
    bool was_ok;
};

static void *held_main(void *arg)
{
    struct held *x = arg;
    struct host_result r = host_read(x->h, x->path, 0, -1);

    x->was_ok = r.ok && r.n == 4 && strcmp(r.text, "held") == 0;
    free(r.text);
    return NULL;
}

static void *unmount_main(void *arg)
{
    CHECK(!host_unmount(arg), "unmount with calls in flight");
    return NULL;
}

static void hold_calls(struct host *h, struct held *held, const int go[2], const int in[2])
{
    char c;

    for (int i = 0; i < N_HOLD; i++) {
        held[i].h = h;
        snprintf(held[i].path, sizeof held[i].path, "/hold/%d/%d", go[0], in[1]);
        CHECK(pthread_create(&held[i].thread, NULL, held_main, &held[i]) == 0, "thread");
    }
    for (int i = 0; i < N_HOLD; i++) {
        CHECK(read(in[0], &c, 1) == 1, "a call is inside");
    }
}

static void release_calls(struct held *held, const int go[2])
{
    CHECK(write(go[1], "xxx", N_HOLD) == N_HOLD, "release");
    for (int i = 0; i < N_HOLD; i++) {
        pthread_join(held[i].thread, NULL);
        CHECK(held[i].was_ok, "call %d ended well", i);
    }
}

/* Shutdown waits for calls in flight; new ones fail meanwhile. */
static void test_shutdown_in_flight(struct host *h)
{
    struct held held[N_HOLD];
    int go[2], in[2];
    pthread_t unmounter;

    CHECK(pipe(go) == 0 && pipe(in) == 0, "pipe");
    CHECK(!host_mount(h, CONFIG), "mount");
    hold_calls(h, held, go, in);
    CHECK(pthread_create(&unmounter, NULL, unmount_main, h) == 0, "thread");
    while (h->FSStat(h->plugin, "/")) {
        sched_yield(); /* until Shutdown has closed the door */
    }
    release_calls(held, go);
    pthread_join(unmounter, NULL);

    /* One that does not end is left behind after the bound, and what it uses stays. */
    CHECK(!host_mount(h, CONFIG), "mount");
    hold_calls(h, held, go, in);
    CHECK(!host_unmount(h), "unmount gives up waiting");
    CHECK(!host_mount(h, OTHER_CONFIG), "a new mount while old calls hang");
    release_calls(held, go);
    CHECK(h->FSStat(h->plugin, "/"), "the new mount");
    CHECK(!host_unmount(h), "unmount");
    close(go[0]);
    close(go[1]);
    close(in[0]);
    close(in[1]);
}

static void *mount_main(void *arg)
{
    CHECK(!host_mount(arg, CONFIG), "mount");
    return NULL;
}

/* The stock server initialises the mounts of its configuration in parallel. */
static void test_parallel_mounts(struct host *h)
{
    pthread_t t[8];

    for (int i = 0; i < 8; i++) {
        CHECK(pthread_create(&t[i], NULL, mount_main, h) == 0, "thread");
    }
    for (int i = 0; i < 8; i++) {
        pthread_join(t[i], NULL);
    }
    for (int i = 0; i < 8; i++) {
        CHECK(h->FSStat(h->plugin, "/"), "%d are left", 8 - i);
        CHECK(!host_unmount(h), "unmount");
    }
    CHECK(!h->FSStat(h->plugin, "/"), "closed");
}

/* With one worker and no queue the second call is refused at once. */
static void test_overload(struct host *h)
{
    struct held held[N_HOLD];
    int go[2], in[2];
    char c;

    CHECK(pipe(go) == 0 && pipe(in) == 0, "pipe");
    CHECK(!host_mount(h, "{\"base_url\":\"fake:a\",\"workers\":1,\"queue_depth\":0}"), "mount");
    held[0].h = h;
    snprintf(held[0].path, sizeof held[0].path, "/hold/%d/%d", go[0], in[1]);
    CHECK(pthread_create(&held[0].thread, NULL, held_main, &held[0]) == 0, "thread");
    CHECK(read(in[0], &c, 1) == 1, "inside");
    const char *text = h->FSCreate(h->plugin, "/x");
    CHECK(text && strstr(text, "try again later"), "%s", text);
    struct host_result r = host_read(h, "/.proxyfs/errors", 0, -1);
    CHECK(r.ok && strstr(r.text, "overload"), "the list needs no worker: %s", r.text);
    free(r.text);
    CHECK(write(go[1], "x", 1) == 1, "release");
    pthread_join(held[0].thread, NULL);
    CHECK(!host_unmount(h), "unmount");
}

struct churn {
    pthread_t thread;
    struct host *h;
    unsigned n;
};

static void *churn_main(void *arg)
{
    struct churn *c = arg;

    for (unsigned i = 0; i < c->n; i++) {
        struct host_result r = host_read(c->h, "/big/5000", 0, -1);

        CHECK(!r.ok || (r.n == 5000 && r.text[4999] == 'a' + 4999 % 26), "content");
        free(r.text);
        r = host_change(c->h, c->h->FSRemove, "/gone/file");
        CHECK(!r.ok, "nothing is there");
        free(r.text);
    }
    return NULL;
}

/* Calls from 256 threads while the host mounts, shuts down and frees (A125). */
static void test_churn(struct host *h)
{
    struct churn c[256];

    for (unsigned i = 0; i < 256; i++) {
        c[i] = (struct churn){.h = h, .n = 20};
        CHECK(pthread_create(&c[i].thread, NULL, churn_main, &c[i]) == 0, "thread");
    }
    for (unsigned i = 0; i < 200; i++) {
        CHECK(!host_mount(h, i % 2 ? CONFIG : OTHER_CONFIG), "mount");
        sched_yield();
        CHECK(!host_unmount(h) && !host_unmount(h), "unmount twice");
    }
    for (unsigned i = 0; i < 256; i++) {
        pthread_join(c[i].thread, NULL);
    }
}

int main(int argc, char **argv)
{
    struct host h;
    unsigned long n_calls = argc > 2 ? strtoul(argv[2], NULL, 10) : 100000;

    CHECK(argc > 1, "usage: host_test LIBRARY [CALLS]");
    host_load(&h, argv[1]);
    test_mounting(&h);
    test_short_write(&h);
    test_parallel_mounts(&h);
    test_overload(&h);
    test_shutdown_in_flight(&h);
    test_churn(&h);
    CHECK(!host_mount(&h, CONFIG), "mount");
    phase_threads(&h, "/t", 64, 200);
    setenv("PROXYFS_RESULT_GRACE_MS", "20", 1);
    h.plugin = h.PluginNew();
    phase_memory(&h, "/m", n_calls, GROWTH_MIB);
    CHECK(!host_unmount(&h), "unmount");
    puts("ok");
    return 0;
}
