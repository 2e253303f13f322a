/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* dlopen_test LIBRARY: opening, mounting, unmounting and closing 1000 times leaves nothing behind,
 * and calls afterwards are refused (A105). */
#include "host.h"
#include <dirent.h>
#include <dlfcn.h>

static unsigned count(const char *dir)
{
    DIR *d = opendir(dir);
    unsigned n = 0;

    CHECK(d, "%s", dir);
    while (readdir(d)) {
        n++;
    }
    closedir(d);
    return n;
}

int main(int argc, char **argv)
{
    unsigned fds = 0, threads = 0;
    struct host h;

    CHECK(argc == 2, "usage: dlopen_test LIBRARY");
    for (unsigned i = 0; i < 1000; i++) {
        host_load(&h, argv[1]);
        CHECK(!host_mount(&h, "{\"base_url\":\"fake:a\",\"mount_path\":\"/p\"}"), "mount");
        CHECK(h.FSStat(h.plugin, "/"), "stat");
        CHECK(!host_unmount(&h), "unmount");
        dlclose(h.handle);
        CHECK(!h.FSStat(h.plugin, "/"), "a call after dlclose");
        if (i == 9) {
            fds = count("/proc/self/fd");
            threads = count("/proc/self/task");
        }
    }
    CHECK(count("/proc/self/fd") == fds, "file descriptors: %u, were %u", count("/proc/self/fd"),
          fds);
    CHECK(count("/proc/self/task") == threads, "threads");
    puts("ok");
    return 0;
}
