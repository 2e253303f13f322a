/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* A host that forks: the child leaves its parent's connections alone and may make its own. */
#include <criterion/criterion.h>
#include <proxyfs/proxyfs.h>
#include <sys/wait.h>
#include <unistd.h>

static struct pfs_client *make_client(void)
{
    struct pfs_option o[] = {{"base_url", "http://127.0.0.1:1/api/v1"}, {"timeout", "100ms"}};
    struct pfs_client *c = NULL;

    return pfs_client_new(o, 2, &c, NULL) == PFS_OK ? c : NULL;
}

/* Exit code 0: as it must be; else the number of what is not. */
static int child(struct pfs_client *inherited)
{
    struct pfs_error err;

    if (pfs_health(inherited, &err) != PFS_SHUTDOWN || err.outcome != PFS_OUTCOME_NA) {
        return 1;
    }
    if (pfs_reload(inherited, &err) != PFS_SHUTDOWN) {
        return 2;
    }
    pfs_client_free(inherited);
    struct pfs_client *own = make_client();
    if (!own || pfs_health(own, &err) == PFS_SHUTDOWN) {
        return 3;
    }
    pfs_client_free(own);
    return 0;
}

Test(fork, A097_a_child_has_no_part_in_its_parents_connections)
{
    struct pfs_client *c = make_client();
    struct pfs_error err;
    int status;

    cr_assert_not_null(c);
    cr_assert_neq(pfs_health(c, &err), PFS_OK); /* the I/O thread has run */
    pid_t pid = fork();
    if (pid == 0) {
        _exit(child(c));
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "child: %d", status);
    cr_assert_neq(pfs_health(c, &err), PFS_SHUTDOWN, "the parent goes on: %s", err.text);
    pfs_client_free(c);
}
