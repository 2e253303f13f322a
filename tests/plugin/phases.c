/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "phases.h"
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define CREATE_TRUNCATE 10u /* what PUT sends */
#define CREATE_ONLY 2u      /* what touch of a missing file sends */

static void ok(struct host_result r, const char *what)
{
    CHECK(r.ok, "%s: %s", what, r.text ? r.text : "failed");
    free(r.text);
}

static void refused(struct host_result r, const char *words)
{
    CHECK(!r.ok, "%s", words);
    CHECK(!words || (r.text && strcasestr(r.text, words)), "%s: %s", words, r.text);
    free(r.text);
}

static char *join(const char *dir, const char *name)
{
    char *path;

    CHECK(asprintf(&path, "%s/%s", dir, name) >= 0, "memory");
    return path;
}

static void holds(struct host *h, const char *path, const char *want)
{
    struct host_result r = host_read(h, path, 0, -1);

    CHECK(r.ok && r.n == (int64_t)strlen(want), "%s: %lld bytes", path, (long long)r.n);
    CHECK(strcmp(r.text, want) == 0, "%s: %s", path, r.text);
    free(r.text);
}

static void check_reads(struct host *h, const char *path)
{
    struct host_result r = host_read(h, path, 6, 3);

    CHECK(r.ok && strcmp(r.text, "wor") == 0, "part of a file: %s", r.text);
    free(r.text);
    r = host_read(h, path, INT64_MIN, INT64_MIN);
    CHECK(r.ok && strcmp(r.text, "hello world") == 0, "negative offset and size: %s", r.text);
    free(r.text);
    r = host_read(h, path, 0, 0);
    CHECK(r.ok && r.n == 0, "size 0 is nothing");
    free(r.text);
    r = host_read(h, path, 1, INT64_MAX);
    CHECK(r.ok && strcmp(r.text, "ello world") == 0, "end beyond 2^63: %s", r.text);
    free(r.text);
}

static void check_stats(struct host *h, const char *dir, const char *path)
{
    struct host_result r = host_stat(h, path);

    CHECK(r.ok && r.n == 11 && !r.stat.IsDir, "stat: %s", r.text);
    CHECK(strncmp(r.text, "f|", 2) == 0, "name of a file: %s", r.text);
    free(r.text);
    r = host_stat(h, dir);
    CHECK(r.ok && r.stat.IsDir, "stat of a directory");
    free(r.text);
    r = host_stat(h, "/");
    CHECK(r.ok && r.stat.IsDir && strncmp(r.text, "/|", 2) == 0, "root: %s", r.text);
    free(r.text);
}

static bool lists(struct host *h, const char *dir, const char *name)
{
    struct host_result r = host_readdir(h, dir);
    char *all, *one;

    CHECK(asprintf(&all, "|%s|", r.text ? r.text : "") >= 0, "memory");
    CHECK(asprintf(&one, "|%s|", name) >= 0, "memory");
    bool found = strstr(all, one) != NULL;

    CHECK(!strstr(all, "|..|"), "a name that leads astray: %s", all);
    free(r.text);
    free(all);
    free(one);
    return found;
}

static void check_failures(struct host *h, const char *gone)
{
    int64_t n = 5;

    refused(host_read(h, gone, 0, -1), NULL);
    refused(host_stat(h, gone), NULL);
    CHECK(!h->FSRead(h->plugin, NULL, 0, -1, &n) && n == -1, "NULL path: %lld", (long long)n);
    CHECK(!h->FSRead(h->plugin, gone, 0, -1, NULL), "NULL length");
    CHECK(!h->FSReadDir(h->plugin, NULL, &n) && n == 0, "NULL path");
    CHECK(!h->FSReadDir(h->plugin, gone, NULL), "NULL count");
    CHECK(!h->FSStat(h->plugin, NULL) && !h->FSStat(NULL, "/"), "NULL");
    CHECK(h->FSWrite(h->plugin, gone, NULL, 3, -1, 10) == -1, "NULL data");
    CHECK(h->FSWrite(h->plugin, gone, "abc", -3, -1, 10) == -1, "negative length");
    CHECK(h->FSWrite(h->plugin, gone, "abc", 3, -1, 1u << 30) == -1, "unknown flag");
    refused(host_change(h, h->FSCreate, "/bad\xff"), "UTF-8");
    refused(host_error_text(h->FSRename(h->plugin, gone, NULL)), "invalid");
}

/* Texts differ between remotes; classes keep one of the two phrases in them. */
static void check_not_found(struct host *h, const char *gone)
{
    struct host_result r = host_change(h, h->FSRemove, gone);

    CHECK(!r.ok && (strcasestr(r.text, "not found") || strcasestr(r.text, "no such file")), "%s",
          r.text);
    free(r.text);
}

/* What ReadDir and Write cannot say is kept here (A119). */
static void check_error_list(struct host *h, const char *gone)
{
    struct host_result r = host_read(h, "/.proxyfs/errors", 0, -1);

    CHECK(r.ok && strstr(r.text, gone) && strstr(r.text, "notfound"), "errors: %s", r.text);
    free(r.text);
    r = host_stat(h, "/.proxyfs/errors");
    CHECK(r.ok && r.n > 0 && strncmp(r.text, "errors|", 7) == 0, "stat of the list");
    free(r.text);
    refused(host_write(h, "/.proxyfs/errors", "x", 1, CREATE_TRUNCATE), NULL);
    refused(host_change(h, h->FSRemove, "/.proxyfs/errors"), "permission denied");
}

void phase_files(struct host *h, const char *dir)
{
    char *file = join(dir, "f"), *other = join(dir, "g"), *gone = join(dir, "gone");

    ok(host_error_text(h->FSMkdir(h->plugin, dir, 0755)), "mkdir");
    ok(host_write(h, file, NULL, 0, CREATE_ONLY), "create by touch");
    ok(host_write(h, file, "hello world", 11, CREATE_TRUNCATE), "write");
    ok(host_write(h, file, NULL, 0, CREATE_ONLY), "touch of a file that exists");
    holds(h, file, "hello world");
    check_reads(h, file);
    check_stats(h, dir, file);
    CHECK(lists(h, dir, "f"), "listing of %s", dir);
    ok(host_error_text(h->FSChmod(h->plugin, file, 0600)), "chmod");
    ok(host_error_text(h->FSRename(h->plugin, file, other)), "rename");
    holds(h, other, "hello world");
    check_not_found(h, file);
    check_not_found(h, gone);
    check_failures(h, gone);
    check_error_list(h, gone);
    ok(host_write(h, other, NULL, 0, CREATE_TRUNCATE), "empty");
    holds(h, other, "");
    ok(host_change(h, h->FSRemove, other), "remove");
    ok(host_change(h, h->FSRemoveAll, dir), "remove all");
    free(file);
    free(other);
    free(gone);
}

struct worker {
    pthread_t thread;
    struct host *h;
    const char *dir;
    unsigned id, n_calls;
};

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    char name[32], content[64];

    snprintf(name, sizeof name, "t%u", w->id);
    char *path = join(w->dir, name);
    for (unsigned i = 0; i < w->n_calls; i++) {
        if (i % 16 == 0) {
            snprintf(content, sizeof content, "%u writes %u", w->id, i);
            ok(host_write(w->h, path, content, (int64_t)strlen(content), CREATE_TRUNCATE), path);
        } else if (i % 2) {
            holds(w->h, path, content);
        } else {
            struct host_result r = host_stat(w->h, path);

            CHECK(r.ok && r.n == (int64_t)strlen(content) &&
                      strncmp(r.text, name, strlen(name)) == 0,
                  "stat %s: %s", path, r.text);
            free(r.text);
        }
    }
    ok(host_change(w->h, w->h->FSRemove, path), "remove");
    free(path);
    return NULL;
}

void phase_threads(struct host *h, const char *dir, unsigned n_threads, unsigned n_calls)
{
    struct worker *w = calloc(n_threads, sizeof *w);

    ok(host_error_text(h->FSMkdir(h->plugin, dir, 0755)), "mkdir");
    for (unsigned i = 0; i < n_threads; i++) {
        w[i] = (struct worker){.h = h, .dir = dir, .id = i, .n_calls = n_calls};
        CHECK(pthread_create(&w[i].thread, NULL, worker_main, &w[i]) == 0, "thread %u", i);
    }
    for (unsigned i = 0; i < n_threads; i++) {
        pthread_join(w[i].thread, NULL);
    }
    free(w);
    ok(host_change(h, h->FSRemoveAll, dir), "remove all");
}

static long rss_mib(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    long total, pages;

    CHECK(f && fscanf(f, "%ld %ld", &total, &pages) == 2, "statm");
    fclose(f);
    return pages * sysconf(_SC_PAGESIZE) >> 20;
}

void phase_memory(struct host *h, const char *dir, unsigned long n_calls, long max_mib)
{
    char *path = join(dir, "m"), *gone = join(dir, "gone"), content[4096];
    long before = rss_mib(), most = 0;

    memset(content, 'x', sizeof content);
    ok(host_error_text(h->FSMkdir(h->plugin, dir, 0755)), "mkdir");
    ok(host_write(h, path, content, sizeof content, CREATE_TRUNCATE), "write");
    for (unsigned long i = 0; i < n_calls; i++) {
        int64_t len = 0;

        /* Looked at at once and on this thread: the grace period is very short here. */
        if (i % 3 == 0) {
            const char *p = h->FSRead(h->plugin, path, 0, -1, &len);

            CHECK(p && len == (int64_t)sizeof content && p[0] == 'x', "read");
        } else if (i % 3 == 1) {
            CHECK(h->FSStat(h->plugin, path), "stat");
        } else {
            CHECK(h->FSRemove(h->plugin, gone), "an error's text");
        }
        if (i % 1000 == 0 && rss_mib() > most) {
            most = rss_mib();
        }
    }
    printf("# %lu calls: %ld MiB before, %ld MiB at most\n", n_calls, before, most);
    CHECK(most - before <= max_mib, "grew by %ld MiB", most - before);
    ok(host_change(h, h->FSRemoveAll, dir), "remove all");
    free(path);
    free(gone);
}
