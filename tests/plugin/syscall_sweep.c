/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Each system call of the plugin's life fails once (A111), in front of a real server: what the host
 * takes for a success is one, the plugin mounts again and works, and when it has been shut down no
 * descriptor and no thread is left. See remote.sh.
 *
 * usage: syscall_sweep LIBRARY CONFIG_JSON DIRECTORY
 */
#include "../support/syscall_fail.h"
#include "host.h"
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <time.h>

static const struct fault {
    const char *call;
    int fault;
    bool got_over; /* nothing may fail */
} faults[] = {
    {"socket", EMFILE, false},      {"connect", ECONNREFUSED, false},
    {"send", EPIPE, false},         {"send", EAGAIN, true},
    {"send", FAULT_SHORT, true},    {"recv", ECONNRESET, false},
    {"recv", FAULT_END, false},     {"recv", FAULT_SHORT, true},
    {"recv", EINTR, true},          {"epoll_create1", EMFILE, false},
    {"epoll_ctl", ENOMEM, false},   {"epoll_wait", EINTR, true},
    {"eventfd", EMFILE, false},     {"pthread_create", EAGAIN, false},
    {"getaddrinfo", EMFILE, false},
};

static char path[256], content[32] = "first";

static unsigned count_in(const char *dir)
{
    DIR *d = opendir(dir);
    unsigned n = 0;

    while (d && readdir(d)) {
        n++;
    }
    closedir(d);
    return n;
}

static void none_is_left(unsigned fds, unsigned threads)
{
    const struct timespec moment = {.tv_nsec = 1000000};

    for (int i = 0;
         i < 10000 && (count_in("/proc/self/fd") > fds || count_in("/proc/self/task") > threads);
         i++) {
        nanosleep(&moment, NULL);
    }
    CHECK(count_in("/proc/self/fd") <= fds, "%u descriptors, %u before", count_in("/proc/self/fd"),
          fds);
    CHECK(count_in("/proc/self/task") <= threads, "%u threads, %u before",
          count_in("/proc/self/task"), threads);
}

/* The file holds `one`, or else `other`, which is then what it holds from now on. */
static void holds(struct host *h, const char *one, const char *other)
{
    struct host_result r = host_read(h, path, 0, -1);

    CHECK(r.ok, "read: %s", r.text);
    bool is_one = r.n == (int64_t)strlen(one) && memcmp(r.text, one, strlen(one)) == 0;

    CHECK(is_one || (r.n == (int64_t)strlen(other) && memcmp(r.text, other, strlen(other)) == 0),
          "'%.*s' is neither '%s' nor '%s'", (int)r.n, r.text, one, other);
    free(r.text);
    memmove(content, is_one ? one : other, strlen(is_one ? one : other) + 1);
}

static void use(struct host *h, const struct fault *f)
{
    static unsigned uses;
    char next[sizeof content];
    struct host_result w, r;

    snprintf(next, sizeof next, "content %u", ++uses);
    w = host_write(h, path, next, (int64_t)strlen(next), 1 | 2 | 8);
    r = host_read(h, path, 0, -1);
    CHECK(!r.ok || (r.n > 0 && (memcmp(r.text, next, (size_t)r.n) == 0 ||
                                memcmp(r.text, content, (size_t)r.n) == 0)),
          "read '%.*s'", (int)r.n, r.text);
    CHECK(!f->got_over || (w.ok && r.ok), "write: %s, read: %s", w.text, r.text);
    free(r.text);
    r = host_stat(h, path);
    CHECK(!f->got_over || r.ok, "stat: %s", r.text);
    free(r.text);
    r = host_readdir(h, "/");
    CHECK(!f->got_over || r.ok, "readdir: %s", r.text);
    free(r.text);
    r = host_write(h, "/reload", "x", 1, 0);
    CHECK(!f->got_over || r.ok, "reload: %s", r.text);
    free(r.text);
    syscall_fail_nth(NULL, 0, 0);
    holds(h, next, w.ok ? next : content);
    free(w.text);
}

/* True: the call was made. */
static bool live(struct host *h, const char *config, const struct fault *f, unsigned long nth)
{
    h->plugin = h->PluginNew();
    CHECK(h->plugin, "PluginNew");
    syscall_fail_nth(f->call, f->fault, nth);
    const char *text = host_mount(h, config);

    CHECK(!text || (*text && !f->got_over), "mount: '%s'", text);
    if (!text) {
        use(h, f);
    }
    bool made = syscall_fail_count() >= nth;

    syscall_fail_nth(NULL, 0, 0);
    if (text) {
        text = host_mount(h, config);
        CHECK(!text, "it does not mount again: %s", text);
    }
    CHECK(!host_unmount(h), "unmount");
    return made;
}

int main(int argc, char **argv)
{
    struct host h;
    unsigned long failed = 0;

    CHECK(argc > 3, "usage: syscall_sweep LIBRARY CONFIG_JSON DIRECTORY");
    snprintf(path, sizeof path, "%s", argv[3]);
    host_load(&h, argv[1]);
    CHECK(!host_mount(&h, argv[2]), "mount");
    free(host_write(&h, path, content, (int64_t)strlen(content), 1 | 2 | 8).text);
    holds(&h, content, content); /* the host's own thread has started then */
    CHECK(!host_unmount(&h), "unmount");
    unsigned fds = count_in("/proc/self/fd"), threads = count_in("/proc/self/task");

    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        unsigned long nth = 1;

        while (live(&h, argv[2], &faults[i], nth)) {
            nth++;
        }
        none_is_left(fds, threads);
        printf("%s %d: %lu\n", faults[i].call, faults[i].fault, nth - 1);
        CHECK(nth > 1, "%s does not occur", faults[i].call);
        failed += nth - 1;
    }
    printf("%lu calls failed, one at a time\n", failed);
    return 0;
}
