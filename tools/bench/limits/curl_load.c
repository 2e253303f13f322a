/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * What programs reach that use libcurl, for comparison with libproxyfs in limits.sh: GETs of one
 * URL for a while; prints requests per second and, of `easy`, the median call in microseconds.
 *
 * usage: curl_load easy|multi|threads 1.1|2 URL CAFILE CALLERS SECONDS
 *   easy     one after the other, the connection kept
 *   multi    CALLERS at a time in one thread, multiplexed over HTTP/2 where the server can
 *   threads  CALLERS threads, each with a connection of its own that is kept
 */
#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CALLERS_MAX 1024
#define SAMPLES_MAX (1u << 20)

static const char *url, *ca;
static long version;
static double seconds;
static atomic_ulong n_done;
static float *samples; /* seconds of each call; NULL: not wanted */

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fail(const char *why)
{
    fprintf(stderr, "curl_load: %s: %s\n", url, why);
    exit(1);
}

static size_t drop(char *bytes, size_t size, size_t n, void *arg)
{
    return size * n;
}

static CURL *handle_new(void)
{
    CURL *h = curl_easy_init();

    if (!h) {
        fail("no memory");
    }
    curl_easy_setopt(h, CURLOPT_URL, url);
    curl_easy_setopt(h, CURLOPT_CAINFO, ca);
    curl_easy_setopt(h, CURLOPT_HTTP_VERSION, version);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, drop);
    curl_easy_setopt(h, CURLOPT_TLS13_CIPHERS, "TLS_AES_128_GCM_SHA256"); /* as libproxyfs */
    curl_easy_setopt(h, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_PIPEWAIT, 1L);
    return h;
}

static void *run_easy(void *end)
{
    CURL *h = handle_new();

    for (double began = now_s(), now; began < *(double *)end; began = now) {
        CURLcode rc = curl_easy_perform(h);

        if (rc != CURLE_OK) {
            fail(curl_easy_strerror(rc));
        }
        now = now_s();
        unsigned long i = atomic_fetch_add(&n_done, 1);
        if (samples && i < SAMPLES_MAX) {
            samples[i] = (float)(now - began);
        }
    }
    curl_easy_cleanup(h);
    return NULL;
}

static int by_length(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

static double median_us(void)
{
    size_t n = atomic_load(&n_done);

    n = n < SAMPLES_MAX ? n : SAMPLES_MAX;
    if (!samples || n == 0) {
        return 0;
    }
    qsort(samples, n, sizeof *samples, by_length);
    return (double)samples[n / 2] * 1e6;
}

/* Puts handles that are done back in, until the time is over. */
static void restart_finished(CURLM *m, bool again)
{
    CURLMsg *msg;
    int left;

    while ((msg = curl_multi_info_read(m, &left)) != NULL) {
        CURL *h = msg->easy_handle;

        if (msg->data.result != CURLE_OK) {
            fail(curl_easy_strerror(msg->data.result));
        }
        atomic_fetch_add(&n_done, 1);
        curl_multi_remove_handle(m, h);
        if (again) {
            curl_multi_add_handle(m, h);
        }
    }
}

static void run_multi(int n, double end)
{
    CURLM *m = curl_multi_init();
    CURL *handles[CALLERS_MAX];
    int running = 1;

    curl_multi_setopt(m, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
    for (int i = 0; i < n; i++) {
        curl_multi_add_handle(m, handles[i] = handle_new());
    }
    while (running > 0) {
        curl_multi_perform(m, &running);
        restart_finished(m, now_s() < end);
        if (now_s() < end) {
            running = 1;
        }
        curl_multi_poll(m, NULL, 0, 100, NULL);
    }
    for (int i = 0; i < n; i++) {
        curl_multi_remove_handle(m, handles[i]);
        curl_easy_cleanup(handles[i]);
    }
    curl_multi_cleanup(m);
}

static void run_threads(int n, double end)
{
    pthread_t threads[CALLERS_MAX];

    for (int i = 0; i < n; i++) {
        if (pthread_create(&threads[i], NULL, run_easy, &end) != 0) {
            fail("a thread cannot be started");
        }
    }
    for (int i = 0; i < n; i++) {
        pthread_join(threads[i], NULL);
    }
}

int main(int argc, char **argv)
{
    int n = argc == 7 ? (int)strtol(argv[5], NULL, 10) : 0;

    if (n < 1 || n > CALLERS_MAX) {
        fprintf(stderr, "usage: curl_load easy|multi|threads 1.1|2 URL CAFILE CALLERS SECONDS\n");
        return 2;
    }
    version = strcmp(argv[2], "2") == 0 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1;
    url = argv[3];
    ca = argv[4];
    seconds = strtod(argv[6], NULL);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    samples = strcmp(argv[1], "easy") == 0 ? calloc(SAMPLES_MAX, sizeof *samples) : NULL;
    double began = now_s();
    if (strcmp(argv[1], "multi") == 0) {
        run_multi(n, began + seconds);
    } else {
        run_threads(strcmp(argv[1], "easy") == 0 ? 1 : n, began + seconds);
    }
    printf("%.1f %.2f\n", (double)atomic_load(&n_done) / (now_s() - began), median_us());
    free(samples);
    return 0;
}
