/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * The real plugin under a host that behaves as the stock one, in front of a real server:
 * remote_test LIBRARY CONFIG_JSON DIRECTORY [CALLS]. See remote.sh.
 */
#include "host.h"
#include "phases.h"
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define GROWTH_MIB 1024 /* the sanitizer keeps what was freed */
#else
#define GROWTH_MIB 128
#endif

static void test_status_file(struct host *h)
{
    struct host_result r = host_read(h, "/.proxyfs/status", 0, -1);

    CHECK(r.ok && r.n > 0, "the status file");
    free(r.text);
}

static void test_shared_mounts(struct host *h, const char *config)
{
    CHECK(!host_mount(h, config), "a second mount with the same options");
    CHECK(!host_unmount(h), "unmount one");
    CHECK(h->FSStat(h->plugin, "/"), "the other still works");
}

int main(int argc, char **argv)
{
    struct host h;
    const char *text;

    CHECK(argc > 3, "usage: remote_test LIBRARY CONFIG_JSON DIRECTORY [CALLS]");
    unsigned long n_calls = argc > 4 ? strtoul(argv[4], NULL, 10) : 20000;
    host_load(&h, argv[1]);
    text = host_mount(&h, "{\"base_url\":\"http://127.0.0.1:1/api/v1\",\"nonsense\":1}");
    CHECK(text && strstr(text, "nonsense"), "an unknown option is named: %s", text);
    text = host_mount(&h, "{\"base_url\":\"http://127.0.0.1:1/api/v1\"}");
    CHECK(text, "a remote that is not there");
    text = host_mount(&h, argv[2]);
    CHECK(!text, "%s", text);
    phase_files(&h, argv[3]);
    test_status_file(&h);
    test_shared_mounts(&h, argv[2]);
    phase_threads(&h, argv[3], 64, 50);
    setenv("PROXYFS_RESULT_GRACE_MS", "20", 1);
    h.plugin = h.PluginNew();
    phase_memory(&h, argv[3], n_calls, GROWTH_MIB);
    for (int i = 0; i < 20; i++) {
        CHECK(!host_unmount(&h), "unmount");
        CHECK(!h.FSStat(h.plugin, "/"), "closed");
        CHECK(!host_mount(&h, argv[2]), "mount again");
        CHECK(h.FSStat(h.plugin, "/"), "open");
    }
    CHECK(!host_unmount(&h) && !host_unmount(&h), "unmount");
    puts("ok");
    return 0;
}
