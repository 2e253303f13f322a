/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Symbolic links of the server's table. */
#include "vfs_rig.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

TestSuite(vfs_links, .init = vfs_rig_init, .fini = vfs_rig_fini);

Test(vfs_links, links)
{
    vfs_rig_memfs("/m");
    vfs_rig_memfs("/n");
    vfs_rig_put("/m/f", "file");
    cr_assert_eq(vfs_rig_try(PFS_OP_MKDIR, "/m/d", NULL), PFS_OK);
    cr_assert_eq(vfs_rig_try(PFS_OP_SYMLINK, "/n/ln", "/m"), PFS_OK);
    cr_assert_eq(vfs_rig_try(PFS_OP_SYMLINK, "/n/ln", "/m"), PFS_EXISTS);
    cr_assert_eq(vfs_rig_try(PFS_OP_SYMLINK, "/m/f", "/n"), PFS_EXISTS);
    cr_assert_eq(vfs_rig_try(PFS_OP_SYMLINK, "/m/rel", "d/../f"), PFS_OK);
    cr_assert_eq(vfs_rig_try(PFS_OP_SYMLINK, "/m/ring", "ring"), PFS_OK);
    cr_assert_str_eq(vfs_rig_cat("/n/ln/f"), "file");
    cr_assert_str_eq(vfs_rig_cat("/n/ln/rel"), "file");
    cr_assert_str_eq(vfs_rig_cat("/m/ring"), "badarg");
    cr_assert_str_eq(vfs_rig_ls("/n"), "README ln@ ");
    struct pfs_reply r = vfs_rig_path(PFS_OP_STAT, "/n/ln");

    cr_assert_eq(r.stat.size, 2);
    cr_assert(r.stat.is_dir);
    cr_assert_str_eq(r.stat.meta_type, "symlink");
    pfs_reply_fini(&r);
    r = vfs_rig_path(PFS_OP_READLINK, "/m/rel");
    cr_assert_str_eq(r.text, "d/../f");
    pfs_reply_fini(&r);
    cr_assert_eq(vfs_rig_try(PFS_OP_READLINK, "/m/f", NULL), PFS_NOTFOUND);
    cr_assert_eq(vfs_rig_try(PFS_OP_REMOVE_ALL, "/n/ln", NULL), PFS_OK);
    cr_assert_eq(vfs_rig_try(PFS_OP_REMOVE, "/m/ring", NULL), PFS_OK);
    cr_assert_str_eq(vfs_rig_cat("/m/f"), "file");
    cr_assert_str_eq(vfs_rig_ls("/n"), "README ");
}

Test(vfs_links, renaming_never_hides_a_file_behind_a_link)
{
    vfs_rig_memfs("/m");
    vfs_rig_put("/m/f", "file");
    vfs_rig_put("/m/g", "other");
    cr_assert_eq(vfs_rig_try(PFS_OP_SYMLINK, "/m/ln", "g"), PFS_OK);
    cr_assert_eq(vfs_rig_try(PFS_OP_RENAME, "/m/f", "/m/ln"), PFS_EXISTS);
    cr_assert_eq(vfs_rig_try(PFS_OP_RENAME, "/m/ln", "/m/f"), PFS_EXISTS);
    cr_assert_eq(vfs_rig_try(PFS_OP_RENAME, "/m/ln", "/m"), PFS_EXISTS);
    cr_assert_str_eq(vfs_rig_cat("/m/f"), "file");
    cr_assert_str_eq(vfs_rig_cat("/m/ln"), "other");
    cr_assert_eq(vfs_rig_try(PFS_OP_RENAME, "/m/ln", "/none/ln"), PFS_NOTFOUND);
    cr_assert_eq(vfs_rig_try(PFS_OP_RENAME, "/m/ln", "/m/f/ln"), PFS_BADARG);
    cr_assert_eq(vfs_rig_try(PFS_OP_RENAME, "/m/ln", "/m/moved"), PFS_OK);
    cr_assert_str_eq(vfs_rig_ls("/m"), "README f g moved@ ");
    cr_assert_str_eq(vfs_rig_cat("/m/moved"), "other");
    cr_assert_eq(vfs_rig_try(PFS_OP_RENAME, "/m/moved", "/moved"), PFS_OK);
    cr_assert_str_eq(vfs_rig_cat("/moved"), "notfound"); /* "g" is beside it no more */
}

/* By the driver, a mount, or a link: what is there twice is listed once. */
Test(vfs_links, many_are_listed_once_each)
{
    enum { N = 2000 };
    char path[40];
    size_t n_links = 0;

    vfs_rig_memfs("/m");
    vfs_rig_memfs("/m/l0001");
    vfs_rig_memfs("/m/zz");
    for (int i = 0; i < N; i++) {
        snprintf(path, sizeof path, "/m/f%04d", i);
        vfs_rig_put(path, "");
        snprintf(path, sizeof path, "/m/l%04d", i);
        cr_assert_eq(vfs_rig_try(PFS_OP_SYMLINK, path, "f0000"), i == 1 ? PFS_EXISTS : PFS_OK);
    }
    cr_assert_eq(vfs_rig_try(PFS_OP_RENAME, "/m/f1999", "/m/zz"), PFS_BADARG);
    struct pfs_reply r = vfs_rig_path(PFS_OP_READDIR, "/m");

    cr_assert_eq(r.n_list, 1 + N + 2 + N - 1); /* README, files, mounts, links */
    for (size_t i = 0; i < r.n_list; i++) {
        n_links += strcmp(r.list[i].meta_type, "symlink") == 0;
    }
    cr_assert_eq(n_links, N - 1);
    pfs_reply_fini(&r);
}

Test(vfs_links, a_link_needs_a_directory_to_be_in)
{
    vfs_rig_memfs("/a/m");
    vfs_rig_put("/a/m/f", "file");
    cr_assert_eq(vfs_rig_try(PFS_OP_SYMLINK, "/a/m/none/ln", "/a/m/f"), PFS_NOTFOUND);
    cr_assert_eq(vfs_rig_try(PFS_OP_SYMLINK, "/none/ln", "/a/m/f"), PFS_NOTFOUND);
    cr_assert_eq(vfs_rig_try(PFS_OP_SYMLINK, "/a/m/f/ln", "/a/m/f"), PFS_BADARG);
    cr_assert_eq(vfs_rig_try(PFS_OP_SYMLINK, "/a/ln", "/a/m/f"), PFS_OK);
    cr_assert_eq(vfs_rig_try(PFS_OP_SYMLINK, "/ln", "/a/m/f"), PFS_OK);
    cr_assert_str_eq(vfs_rig_cat("/ln"), "file");
    cr_assert_str_eq(vfs_rig_cat("/a/ln"), "file");
}
