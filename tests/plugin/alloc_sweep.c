/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Each allocation of a plugin's life fails once: making it, mounting, one call of each kind. What
 * the host then sees is a success that is whole, or a failure as the interface spells it; and
 * afterwards the same plugin works.
 */
#include "base/alloc.h"
#include <proxyfs/agfs_plugin.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG "{\"base_url\":\"fake:up\",\"mount_path\":\"/p\"}"

#define CHECK(cond, ...)                                                                           \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "allocation %lu: %s: ", nth, #cond);                                   \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fputc('\n', stderr);                                                                   \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static unsigned long nth;

/* NULL: it went well; else a text that says something. */
static bool went_well(const char *text)
{
    CHECK(!text || *text, "an empty text means success to the host");
    return !text;
}

static void read_file(void *p, bool sure)
{
    int64_t n = 0;
    const char *data = FSRead(p, "/f", 0, -1, &n);

    CHECK(data ? n == 5 && memcmp(data, "hello", 5) == 0 : n == -1, "%lld bytes", (long long)n);
    CHECK(data || !sure, "no content");
}

static void list(void *p, bool sure)
{
    int64_t n = 0;
    FileInfoArray *a = FSReadDir(p, "/", &n);

    CHECK(n >= 0 && (n == 0 || (a && a->Items)), "%lld entries", (long long)n);
    CHECK(n > 0 || !sure, "no entries");
    for (int64_t i = 0; i < n; i++) {
        CHECK(a->Items[i].Name && *a->Items[i].Name, "entry %lld has no name", (long long)i);
    }
}

static void stat_file(void *p, bool sure)
{
    FileInfoC *i = FSStat(p, "/f");

    CHECK(i || !sure, "no stat");
    CHECK(!i || (i->Name && strcmp(i->Name, "f") == 0 && i->Size == 5), "wrong stat");
}

/* One of each kind. */
static void use(void *p, bool sure)
{
    int64_t written = FSWrite(p, "/f", "hello", 5, -1, 10);

    CHECK(written == 5 || (written == -1 && !sure), "%lld written", (long long)written);
    if (written == 5) {
        read_file(p, sure);
        list(p, sure);
        stat_file(p, sure);
    }
    bool made = went_well(FSCreate(p, "/g")), chmod = went_well(FSChmod(p, "/f", 0600));
    bool moved = went_well(FSRename(p, "/g", "/h")), gone = went_well(FSRemove(p, "/h"));

    CHECK((made && chmod && moved && gone) || !sure, "changes");
    FSRemove(p, "/g");
    FSRemove(p, "/h");
    went_well(FSMkdir(p, "/d", 0755));
    went_well(FSRemoveAll(p, "/d"));
}

int main(void)
{
    bool over = false;

    for (nth = 1; !over; nth++) {
        pfs_alloc_fail_nth(nth);
        void *p = PluginNew();

        if (p && went_well(PluginValidate(p, CONFIG)) && went_well(PluginInitialize(p, CONFIG))) {
            use(p, false);
        }
        over = pfs_alloc_count() < nth;
        pfs_alloc_fail_nth(0);
        p = p ? p : PluginNew();
        PluginShutdown(p);
        CHECK(went_well(PluginInitialize(p, CONFIG)), "it does not mount again");
        use(p, true);
        PluginShutdown(p);
        PluginFree(p);
    }
    printf("%lu allocations failed, one at a time\n", nth - 2);
    return 0;
}
