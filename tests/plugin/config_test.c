/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/alloc.h"
#include "base/clock.h"
#include "config.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Test(config, values_of_all_kinds_become_text)
{
    struct config c;
    struct pfs_error e;

    cr_assert_eq(
        config_parse("{\"base_url\":\"http://h/\\u003ca\",\"lazy\":true,\"mount_path\":\"/p\","
                     "\"queue_depth\":7,\"retries\":\"3\",\"timeout\":\"250ms\","
                     "\"workers\":\"2\"}",
                     &c, &e),
        PFS_OK, "%s", e.text);
    cr_expect_eq(c.n, 6);
    cr_expect_str_eq(config_get(&c, "base_url"), "http://h/<a");
    cr_expect_str_eq(config_get(&c, "lazy"), "true");
    cr_expect_str_eq(config_get(&c, "queue_depth"), "7");
    cr_expect_null(config_get(&c, "mount_path"));
    cr_expect_eq(c.workers, 2);
    cr_expect_eq(c.queue_depth, 7);
    cr_expect_eq(c.timeout_ns, 250 * PFS_MS);
    config_fini(&c);
    config_fini(&c);
}

static bool refuses(const char *json, const char *words)
{
    struct config c;
    struct pfs_error e = {0};
    enum pfs_class cls = config_parse(json, &c, &e);

    if (cls != PFS_CONFIG || !strstr(e.text, words)) {
        cr_log_error("%s: %s: %s", json, pfs_class_name(cls), e.text);
        return false;
    }
    return true;
}

Test(config, what_is_wrong_is_named)
{
    cr_expect(refuses(NULL, "base_url is required"));
    cr_expect(refuses("", "base_url is required"));
    cr_expect(refuses("{\"base_url\":\"\"}", "base_url is required"));
    cr_expect(refuses("{\"base_url\":\"u\",\"x\":null}", "option x"));
    cr_expect(refuses("{\"base_url\":\"u\",\"x\":{}}", "option x"));
    cr_expect(refuses("{\"base_url\":\"u\\u0000v\"}", "base_url"));
    cr_expect(refuses("{\"base_url\":\"u\",\"base_url\":\"v\"}", "invalid configuration"));
    cr_expect(refuses("{\"base_url\":\"u\",\"workers\":-1}", "workers"));
    cr_expect(refuses("{\"base_url\":\"u\",\"workers\":\"16x\"}", "workers"));
    cr_expect(refuses("{\"base_url\":\"u\",\"queue_depth\":4294967296}", "queue_depth"));
    cr_expect(refuses("{\"base_url\":\"u\",\"timeout\":\"0\"}", "timeout"));
    cr_expect(refuses("{\"base_url\":\"u\",\"timeout\":\"5 s\"}", "timeout"));
    cr_expect(refuses("{\"base_url\":\"u\",\"timeout\":\"2h\"}", "timeout"));
    cr_expect(refuses("\"base_url\"", "not a JSON object"));
    cr_expect(refuses("{\"base_url\":\"u\"} x", "invalid configuration"));
}

Test(config, a_huge_text_and_too_many_options_are_refused)
{
    char *big = malloc((2u << 20) + 1);

    memset(big, ' ', 2u << 20);
    big[2u << 20] = '\0';
    cr_expect(refuses(big, "longer than 1 MiB"));
    strcpy(big, "{\"base_url\":\"u\"");
    for (int i = 0; i < CONFIG_OPTIONS_MAX; i++) {
        sprintf(big + strlen(big), ",\"k%d\":1", i);
    }
    strcat(big, "}");
    cr_expect(refuses(big, "options"));
    free(big);
}

Test(config, sameness_is_of_values_not_of_spelling_or_order)
{
    struct config a, b, c;

    cr_assert_eq(config_parse("{\"base_url\":\"u\",\"x\":1,\"mount_path\":\"/a\"}", &a, NULL),
                 PFS_OK);
    cr_assert_eq(config_parse("{\"x\":\"1\",\"base_url\":\"u\",\"mount_path\":\"/b\"}", &b, NULL),
                 PFS_OK);
    cr_assert_eq(config_parse("{\"x\":\"2\",\"base_url\":\"u\"}", &c, NULL), PFS_OK);
    cr_expect(config_is_same(&a, &b));
    cr_expect_not(config_is_same(&a, &c));
    config_fini(&a);
    config_fini(&b);
    config_fini(&c);
}

Test(config, running_out_of_memory_is_reported)
{
    for (unsigned long nth = 1;; nth++) {
        struct config c;
        struct pfs_error e;

        pfs_alloc_fail_nth(nth);
        enum pfs_class cls = config_parse("{\"base_url\":\"u\",\"x\":1}", &c, &e);
        bool had_enough = pfs_alloc_count() < nth;
        pfs_alloc_fail_nth(0);
        if (cls == PFS_OK) {
            config_fini(&c);
            cr_assert(had_enough, "allocation %lu failed unnoticed", nth);
            break;
        }
        cr_assert_eq(cls, PFS_NOMEM, "allocation %lu: %s", nth, e.text);
    }
}
