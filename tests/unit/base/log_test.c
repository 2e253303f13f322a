/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* A host that forks while a line is being written. */
#include "base/log.h"
#include <criterion/criterion.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/wait.h>
#include <unistd.h>

struct slow_sink {
    sem_t inside, go_on;
};

static void slow_sink(void *arg, enum pfs_log_level level, const char *line)
{
    struct slow_sink *s = arg;

    sem_post(&s->inside);
    sem_wait(&s->go_on);
}

static void count(void *arg, enum pfs_log_level level, const char *line)
{
    ++*(int *)arg;
}

static void *write_line(void *arg)
{
    log_warn("of the parent");
    return NULL;
}

Test(log, a_child_writes_its_lines_whatever_its_parent_was_writing)
{
    struct slow_sink s;
    pthread_t thread;
    int status;

    sem_init(&s.inside, 0, 0);
    sem_init(&s.go_on, 0, 0);
    pfs_log_to(slow_sink, &s, PFS_LOG_WARN);
    cr_assert_eq(pthread_create(&thread, NULL, write_line, NULL), 0);
    sem_wait(&s.inside);
    pid_t pid = fork();
    if (pid == 0) {
        int n = 0;

        alarm(20); /* rather than hang */
        pfs_log_to(count, &n, PFS_LOG_WARN);
        log_warn("of the child");
        _exit(n == 1 ? 0 : 1);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "child: %#x", status);
    sem_post(&s.go_on);
    pthread_join(thread, NULL);
    pfs_log_to(NULL, NULL, PFS_LOG_ERROR);
    sem_destroy(&s.inside);
    sem_destroy(&s.go_on);
}
