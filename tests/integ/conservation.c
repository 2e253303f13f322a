/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * conservation BASE_URL QUEUE THREADS N: each thread enqueues N numbers and dequeues as often, and
 * what every call said is written to stdout, one line each:
 *
 *     E NUMBER OUTCOME      an enqueue: OK, NA, UN or AP
 *     D OUTCOME [NUMBER]    a dequeue: OK with the number, OK alone when the queue was empty
 *
 * It judges nothing: queue_conservation_test.py does.
 */
#include <proxyfs/proxyfs.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS_MAX 64

static struct pfs_client *client;
static const char *queue;
static int n_each;

static const char *outcome_of(enum pfs_class cls, const struct pfs_error *err)
{
    return cls == PFS_OK ? "OK" : pfs_outcome_name(err->outcome);
}

static void explain(const char *what, enum pfs_class cls, const struct pfs_error *err)
{
    if (cls != PFS_OK) {
        fprintf(stderr, "%s: %s %s %s: %s\n", what, pfs_class_name(cls),
                pfs_outcome_name(err->outcome), pfs_phase_name(err->phase), err->text);
    }
}

static void enqueue(int number)
{
    char path[256], text[24];
    struct pfs_error err;

    snprintf(path, sizeof path, "%s/enqueue", queue);
    snprintf(text, sizeof text, "%d", number);
    enum pfs_class cls = pfs_write(client, path, text, strlen(text), -1, 0, NULL, &err);

    explain("enqueue", cls, &err);
    printf("E %d %s\n", number, outcome_of(cls, &err));
}

static void dequeue(void)
{
    char path[256];
    struct pfs_data data = {0};
    struct pfs_error err;

    snprintf(path, sizeof path, "%s/dequeue", queue);
    enum pfs_class cls = pfs_read(client, path, 0, -1, &data, &err);
    const char *number = data.len ? memmem(data.bytes, data.len, "\"data\":\"", 8) : NULL;

    explain("dequeue", cls, &err);
    if (number) {
        printf("D %s %d\n", outcome_of(cls, &err), atoi(number + 8));
    } else {
        printf("D %s\n", outcome_of(cls, &err));
    }
    pfs_data_fini(&data);
}

static void *work(void *arg)
{
    int first = (int)(intptr_t)arg * n_each;

    for (int i = 0; i < n_each; i++) {
        enqueue(first + i);
        dequeue();
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS_MAX];
    struct pfs_stats stats;
    struct pfs_error err;
    int n = argc == 5 ? atoi(argv[3]) : 0;

    if (n < 1 || n > THREADS_MAX) {
        fprintf(stderr, "usage: conservation BASE_URL QUEUE THREADS N\n");
        return 2;
    }
    const struct pfs_option options[] = {{"base_url", argv[1]}, {"protocol", "h2"}};

    queue = argv[2];
    n_each = atoi(argv[4]);
    if (pfs_client_new(options, 2, &client, &err) != PFS_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    for (int i = 0; i < n; i++) {
        if (pthread_create(&threads[i], NULL, work, (void *)(intptr_t)i) != 0) {
            return 1;
        }
    }
    for (int i = 0; i < n; i++) {
        pthread_join(threads[i], NULL);
    }
    pfs_client_stats(client, &stats);
    fprintf(stderr, "calls %llu attempts %llu connects %llu\n", (unsigned long long)stats.calls,
            (unsigned long long)stats.attempts, (unsigned long long)stats.connects);
    pfs_client_free(client);
    return fflush(stdout) == 0 ? 0 : 1;
}
