/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/clock.h"
#include "driver_rig.h"
#include "wire/json.h"
#include <stdlib.h>

/* Every content ends in a line feed; the JSON ones parse. */
static void check_json(const char *text, const char *const *keys)
{
    struct json_value v, member;
    struct pfs_error err;

    cr_assert_eq(json_parse(text, strlen(text), JSON_REPLY, &v, &err), PFS_OK, "%s\n%s", err.text,
                 text);
    for (; *keys; keys++) {
        cr_assert_eq(json_get(v, *keys, &member), JSON_FOUND, "%s", *keys);
    }
    json_fini(&v);
}

Test(serverinfofs, contents)
{
    const char *const pairs[] = {"version=9\"8", NULL};
    const char *const info[] = {"goVersion", "memory", "numCPU",  "numGoroutine",
                                "startTime", "uptime", "version", NULL};
    const char *const stats[] = {"goroutines", "memory", NULL};
    struct pfs_driver *d = rig_open(serverinfofs_open, pairs);
    struct pfs_reply r;

    cr_assert_str_eq(rig_ls(d, "/"), "README server_info uptime version stats traffic ");
    cr_assert_str_eq(rig_cat(d, "/version"), "9\"8\n");
    check_json(rig_cat(d, "/server_info"), info);
    check_json(rig_cat(d, "/stats"), stats);
    cr_assert_str_eq(rig_cat(d, "/traffic"), "Traffic monitoring not available\n");
    const char *uptime = rig_cat(d, "/uptime");

    cr_assert_str_eq(uptime + strspn(uptime, "0123456789."), "s\n");
    r = rig_call(d, PFS_OP_STAT, "/traffic");
    cr_assert(r.stat.mode == 0444 && strcmp(r.stat.meta_type, "info") == 0);
    pfs_reply_fini(&r);
    r = rig_call(d, PFS_OP_READDIR, "/");
    cr_assert_str_eq(r.list[5].meta_type, "traffic");
    pfs_reply_fini(&r);
    r = rig_call(d, PFS_OP_STAT, "/");
    cr_assert(r.stat.mode == 0555 && r.stat.is_dir);
    pfs_reply_fini(&r);
    rig_fails(d, PFS_OP_WRITE, "/version", PFS_DENIED,
              "operation not permitted: serverinfofs is read-only");
    rig_fails(d, PFS_OP_STAT, "/x", PFS_NOTFOUND, "no such file or directory: /x");
    rig_fails(d, PFS_OP_READDIR, "/version", PFS_BADARG, "not a directory");
    rig_ok(d, PFS_OP_TRUNCATE, "/version");
    d->ops->close(d);
    d = rig_open(serverinfofs_open, NULL);
    cr_assert_str_eq(rig_cat(d, "/version"), "1.0.0\n");
    d->ops->close(d);
}

Test(serverinfofs, the_server_is_older_than_the_mount)
{
    int64_t begin = pfs_now(), elapsed;

    while ((elapsed = pfs_now() - begin) < 2 * PFS_MS) {
    }
    struct pfs_driver *d = rig_open(serverinfofs_open, NULL);

    cr_expect_geq(strtod(rig_cat(d, "/uptime"), NULL), (double)elapsed / PFS_SEC, "of this test");
    d->ops->close(d);
}
