/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "host.h"
#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

void host_load(struct host *h, const char *path)
{
    void *symbol;

    h->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    CHECK(h->handle, "%s", dlerror());
#define X(name)                                                                                    \
    symbol = dlsym(h->handle, #name);                                                              \
    CHECK(symbol, "%s", #name);                                                                    \
    memcpy(&h->name, &symbol, sizeof symbol);
    HOST_SYMBOLS(X)
#undef X
    h->plugin = h->PluginNew();
    CHECK(h->plugin, "PluginNew");
}

const char *host_mount(struct host *h, const char *config)
{
    const char *text = h->PluginValidate(h->plugin, config);

    return text ? text : h->PluginInitialize(h->plugin, config);
}

const char *host_unmount(struct host *h)
{
    const char *text = h->PluginShutdown(h->plugin);

    h->PluginFree(h->plugin);
    return text;
}

/* ---- copying on another thread ---- */

struct job {
    const void *from;
    int64_t n;
    void (*copy)(struct job *j);
    struct host_result result;
    bool done;
    struct job *next;
};

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct job *jobs;

static void *copier_main(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&mu);
    for (;;) {
        while (!jobs) {
            pthread_cond_wait(&cond, &mu);
        }
        struct job *j = jobs;

        jobs = j->next;
        pthread_mutex_unlock(&mu);
        j->copy(j);
        pthread_mutex_lock(&mu);
        j->done = true;
        pthread_cond_broadcast(&cond);
    }
    return NULL;
}

static void start_copier(void)
{
    pthread_t t;

    CHECK(pthread_create(&t, NULL, copier_main, NULL) == 0, "copier");
    pthread_detach(t);
}

static struct host_result copy_elsewhere(const void *from, int64_t n, void (*copy)(struct job *j))
{
    struct job j = {.from = from, .n = n, .copy = copy};

    pthread_once(&once, start_copier);
    pthread_mutex_lock(&mu);
    j.next = jobs; /* last in, first out: others wait longer */
    jobs = &j;
    pthread_cond_broadcast(&cond);
    while (!j.done) {
        pthread_cond_wait(&cond, &mu);
    }
    pthread_mutex_unlock(&mu);
    return j.result;
}

/* ---- what the host makes of results ---- */

static void copy_text(struct job *j)
{
    j->result.text = strdup(j->from);
}

struct host_result host_error_text(const char *text)
{
    struct host_result r = {.ok = true};

    if (text && text[0]) {
        r = copy_elsewhere(text, 0, copy_text);
        r.ok = false;
    }
    return r;
}

struct host_result host_change(struct host *h, __typeof__(FSCreate) *fn, const char *path)
{
    return host_error_text(fn(h->plugin, path));
}

static void copy_bytes(struct job *j)
{
    j->result = (struct host_result){.ok = true, .n = j->n, .text = malloc((size_t)j->n + 1)};
    memcpy(j->result.text, j->from, (size_t)j->n);
    j->result.text[j->n] = '\0';
}

struct host_result host_read(struct host *h, const char *path, int64_t offset, int64_t size)
{
    int64_t *len = calloc(1, sizeof *len); /* on the heap, as Go's */
    const char *p = h->FSRead(h->plugin, path, offset, size, len);
    int64_t n = *len;

    free(len);
    if (!p) {
        CHECK(n <= 0, "NULL with %lld bytes", (long long)n);
        return (struct host_result){.ok = n == 0};
    }
    CHECK(n >= 0 && n < INT32_MAX, "a length that kills the host: %lld", (long long)n);
    return copy_elsewhere(p, n, copy_bytes);
}

struct host_result host_write(struct host *h, const char *path, const char *data, int64_t n,
                              uint32_t flags)
{
    int64_t written = h->FSWrite(h->plugin, path, n ? data : NULL, n, -1, flags);

    return (struct host_result){.ok = written >= 0, .n = written};
}

static void append(char **text, const char *s)
{
    char *old = *text;

    CHECK(asprintf(text, "%s%s%s", old ? old : "", old ? "|" : "", s ? s : "") >= 0, "memory");
    free(old);
}

static void copy_list(struct job *j)
{
    const FileInfoArray *a = j->from;

    j->result = (struct host_result){.ok = true, .n = j->n};
    for (int64_t i = 0; i < j->n; i++) {
        append(&j->result.text, a->Items[i].Name);
    }
}

struct host_result host_readdir(struct host *h, const char *path)
{
    int64_t *count = calloc(1, sizeof *count);
    const FileInfoArray *a = h->FSReadDir(h->plugin, path, count);
    int64_t n = *count;

    free(count);
    CHECK(n >= 0 && n < 1000000 && (a || n == 0), "a count that kills the host: %lld",
          (long long)n);
    return a ? copy_elsewhere(a, n, copy_list) : (struct host_result){.ok = true};
}

static void copy_stat(struct job *j)
{
    const FileInfoC *f = j->from;

    j->result = (struct host_result){.ok = true, .n = f->Size, .stat = *f};
    append(&j->result.text, f->Name);
    append(&j->result.text, f->MetaName);
    append(&j->result.text, f->MetaType);
    append(&j->result.text, f->MetaContent);
}

struct host_result host_stat(struct host *h, const char *path)
{
    const FileInfoC *f = h->FSStat(h->plugin, path);

    return f ? copy_elsewhere(f, 0, copy_stat) : (struct host_result){.ok = false};
}
