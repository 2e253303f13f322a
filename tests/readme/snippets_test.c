/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* snippets_test REMOTE SERVER: calls the functions of README.md; REMOTE has memfs at /, SERVER can
 * mount. Exit code 0: all of them do what README.md says. */
#include <proxyfs/proxyfs.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "readme_snippets.h"

static void check(bool ok, const char *what, const struct pfs_error *err)
{
    if (!ok) {
        fprintf(stderr, "%s: %s\n", what, err->text);
        exit(1);
    }
}

static void check_content(struct pfs_client *c, const char *path, const char *want)
{
    struct pfs_error err = {.cls = PFS_OK};
    struct pfs_data data;

    check(pfs_read(c, path, 0, -1, &data, &err) == PFS_OK, path, &err);
    check(data.len == strlen(want) && memcmp(data.bytes, want, data.len) == 0, path, &err);
    pfs_data_fini(&data);
}

static void test_remote(struct pfs_client *remote)
{
    struct pfs_error err = {.cls = PFS_OK};
    struct pfs_data data;
    struct pfs_stats stats;

    check(use_files(remote, &err) == PFS_OK, "use_files", &err);
    check_content(remote, "/memfs/file.txt", "content");
    check(renew(remote, &err) == PFS_OK, "renew", &err);
    pfs_client_stats(remote, &stats);
    check(stats.reloads == 1, "reloads", &err);
    check(copy_file(remote, "/memfs/file.txt", "/copy", &err) == PFS_OK, "copy_file", &err);
    check_content(remote, "/copy", "content");
    check(copy_file(remote, "/nonexistent", "/copy", &err) == PFS_NOTFOUND, "copy_file", &err);
    check_content(remote, "/copy", "content");
    check(pfs_read(remote, "/nonexistent", 0, -1, &data, &err) == PFS_NOTFOUND, "read", &err);
    check(strncmp(err.text, "HTTP 404: ", 10) == 0, "text", &err);
    check(strcmp(what_to_do(&err), "it is not there") == 0, "what_to_do", &err);
    err = (struct pfs_error){.cls = PFS_TIMEOUT, .outcome = PFS_OUTCOME_UN};
    check(strncmp(what_to_do(&err), "nobody knows", 12) == 0, "what_to_do", &err);
}

static void test_server(struct pfs_client *server, const char *remote_url)
{
    const char *const urls[3] = {remote_url, remote_url, remote_url};
    struct pfs_error err = {.cls = PFS_OK};

    check(federate(server, urls, &err) == PFS_OK, "federate", &err);
    check_content(server, "/region-asia/copy", "content");
    check(mount_remote(server, "/remote-queue", remote_url, &err) == PFS_OK, "mount", &err);
    check(mount_remote(server, "/bad", "nonsense", &err) != PFS_OK, "mount of nonsense", &err);
    check(pfs_mkdir(server, "/remote-queue/queue", 0755, &err) == PFS_OK, "mkdir", &err);
    check(send_task(server, "task-123", &err) == PFS_OK, "send_task", &err);
    check_content(server, "/remote-queue/queue/enqueue", "task-123");
}

int main(int argc, char **argv)
{
    struct pfs_client *remote = NULL, *server = NULL;
    struct pfs_error err = {.cls = PFS_OK};

    if (argc != 3) {
        return 2;
    }
    check(open_remote(argv[1], &remote, &err) == PFS_OK, "open_remote", &err);
    check(open_remote(argv[2], &server, &err) == PFS_OK, "open_remote", &err);
    test_remote(remote);
    test_server(server, argv[1]);
    pfs_client_free(remote);
    pfs_client_free(server);
    return 0;
}
