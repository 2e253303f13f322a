/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* The mode of a copy that the server makes. */
#include "meters.h"
#include "vfs_rig.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(vfs_copy, .init = vfs_rig_init, .fini = vfs_rig_fini);

static void change_mode(const char *path, uint32_t mode)
{
    struct pfs_request req = PFS_REQUEST_INIT;

    req.op = PFS_OP_CHMOD;
    req.path = path;
    req.mode = mode;
    struct pfs_reply r = vfs_rig_do(&req);

    cr_assert_eq(r.err.cls, PFS_OK, "%s", r.err.text);
    pfs_reply_fini(&r);
}

/* 07777: there is nothing. */
static uint32_t mode_of(const char *path)
{
    struct pfs_reply r = vfs_rig_path(PFS_OP_STAT, path);
    uint32_t mode = r.err.cls == PFS_OK ? r.stat.mode : 07777;

    pfs_reply_fini(&r);
    return mode;
}

/* From one driver to the other, and within one. */
static void check_modes(const char *from, const char *to)
{
    static const uint32_t modes[] = {0600, 0644, 0640, 0755, 0400};
    char source[100], target[100];

    snprintf(source, sizeof source, "%s/source", from);
    snprintf(target, sizeof target, "%s/target", to);
    vfs_rig_put(source, "content");
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        change_mode(source, modes[i]);
        cr_assert_eq(vfs_rig_try(PFS_OP_COPY, source, target), PFS_OK);
        cr_expect_eq(mode_of(target), modes[i], "%s %o: %o", target, modes[i], mode_of(target));
        cr_assert_str_eq(vfs_rig_cat(target), "content");
        cr_assert_eq(vfs_rig_try(PFS_OP_REMOVE, target, NULL), PFS_OK);
    }
    vfs_rig_put(target, "old");
    change_mode(target, 0660);
    cr_assert_eq(vfs_rig_try(PFS_OP_COPY, source, target), PFS_OK);
    cr_expect_eq(mode_of(target), 0660, "what is replaced keeps its own");
    cr_assert_str_eq(vfs_rig_cat(target), "content");
    cr_assert_eq(vfs_rig_try(PFS_OP_REMOVE, source, NULL), PFS_OK);
    cr_assert_eq(vfs_rig_try(PFS_OP_REMOVE, target, NULL), PFS_OK);
}

Test(vfs_copy, a_new_file_has_the_mode_of_its_source)
{
    char dir[] = "/tmp/vfs-copy-XXXXXX", command[60];

    cr_assert_not_null(mkdtemp(dir));
    vfs_rig_memfs("/m");
    vfs_rig_memfs("/n");
    vfs_rig_localfs("/l", dir);
    check_modes("/m", "/m");
    check_modes("/m", "/n");
    check_modes("/m", "/l");
    check_modes("/l", "/m");
    check_modes("/l", "/l");
    snprintf(command, sizeof command, "rmdir %s", dir);
    cr_assert_eq(system(command), 0, "nothing is left behind");
}

Test(vfs_copy, a_control_file_has_no_mode_to_keep)
{
    vfs_rig_queuefs("/q");
    vfs_rig_memfs("/m");
    cr_assert_eq(vfs_rig_try(PFS_OP_MKDIR, "/q/a", NULL), PFS_OK);
    vfs_rig_put("/q/a/enqueue", "message");
    cr_assert_eq(vfs_rig_try(PFS_OP_COPY, "/q/a/dequeue", "/m/f"), PFS_OK);
    cr_assert_eq(mode_of("/m/f"), 0644);
    cr_assert_not_null(strstr(vfs_rig_cat("/m/f"), "message"));
}

Test(vfs_copy, what_does_not_come_leaves_nothing)
{
    vfs_rig_memfs("/m");
    vfs_rig_memfs("/n");
    vfs_rig_put("/m/f", "some content that is too much");
    change_mode("/m/f", 0600);
    gauge_set_limit(GAUGE_BODY_MEMORY, 8);
    cr_assert_eq(vfs_rig_try(PFS_OP_COPY, "/m/f", "/n/f"), PFS_OVERLOAD);
    cr_assert_eq(mode_of("/n/f"), 07777);
    gauge_set_limit(GAUGE_BODY_MEMORY, 0);
    cr_assert_eq(vfs_rig_try(PFS_OP_COPY, "/m/none", "/n/f"), PFS_NOTFOUND);
    cr_assert_eq(vfs_rig_try(PFS_OP_COPY, "/m", "/n/f"), PFS_BADARG);
    cr_assert_eq(mode_of("/n/f"), 07777);
}
