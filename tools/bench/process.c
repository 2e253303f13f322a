/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "process.h"
#include "util.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <math.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LISTEN_STATE 0x0a /* in /proc/net/tcp */

/* ---- who listens ---- */

static unsigned port_if_here(const char *url)
{
    static const char *const here[] = {"127.", "localhost", "[::1]"};
    const char *host = strstr(url, "://"), *at;

    host = host ? host + 3 : url;
    size_t n = strcspn(host, "/");
    at = memchr(host, '@', n);
    if (at) {
        n -= (size_t)(at + 1 - host);
        host = at + 1;
    }
    for (size_t i = 0; i < sizeof here / sizeof here[0]; i++) {
        if (strncasecmp(host, here[i], strlen(here[i])) == 0) {
            const char *colon = memrchr(host, ':', n);
            if (colon && colon[1] && isdigit((unsigned char)colon[1]))
                return (unsigned)strtoul(colon + 1, NULL, 10);
            return strncmp(url, "https:", 6) == 0 ? 443 : 80;
        }
    }
    return 0;
}

/* The inode of the socket that listens on the port, 0: none. */
static unsigned long listener_inode(const char *table, unsigned port)
{
    char line[512];
    unsigned long found = 0;
    FILE *f = fopen(table, "re");

    while (f && found == 0 && fgets(line, sizeof line, f)) {
        unsigned local, state;
        unsigned long inode;
        if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*s %*s %lu",
                   &local, &state, &inode) == 3 &&
            local == port && state == LISTEN_STATE)
            found = inode;
    }
    if (f)
        fclose(f);
    return found;
}

static bool has_socket(const char *pid, unsigned long inode)
{
    char path[300], wanted[40], target[64];
    bool found = false;

    snprintf(path, sizeof path, "/proc/%.20s/fd", pid);
    snprintf(wanted, sizeof wanted, "socket:[%lu]", inode);
    DIR *d = opendir(path);
    for (struct dirent *e; d && !found && (e = readdir(d));) {
        ssize_t n = readlinkat(dirfd(d), e->d_name, target, sizeof target - 1);
        target[n > 0 ? n : 0] = '\0';
        found = strcmp(target, wanted) == 0;
    }
    if (d)
        closedir(d);
    return found;
}

pid_t process_of_url(const char *url)
{
    unsigned port = port_if_here(url);
    unsigned long inode = port ? listener_inode("/proc/net/tcp", port) : 0;
    pid_t found = 0;

    if (port && inode == 0)
        inode = listener_inode("/proc/net/tcp6", port);
    DIR *d = inode ? opendir("/proc") : NULL;
    for (struct dirent *e; d && !found && (e = readdir(d));) {
        if (isdigit((unsigned char)e->d_name[0]) && has_socket(e->d_name, inode))
            found = (pid_t)strtol(e->d_name, NULL, 10);
    }
    if (d)
        closedir(d);
    return found == getpid() ? 0 : found;
}

double process_cpu_s(pid_t pid)
{
    clockid_t clock;
    struct timespec t;

    if (pid <= 0 || clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) != 0)
        return NAN;
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- this process ---- */

static int counter = -1;

void instructions_start(void)
{
    struct perf_event_attr a = {.type = PERF_TYPE_HARDWARE,
                                .size = sizeof a,
                                .config = PERF_COUNT_HW_INSTRUCTIONS,
                                .inherit = 1,
                                .exclude_kernel = 1,
                                .exclude_hv = 1};

    counter = (int)syscall(SYS_perf_event_open, &a, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

double instructions_read(void)
{
    uint64_t n;

    return counter >= 0 && read(counter, &n, sizeof n) == (ssize_t)sizeof n ? (double)n : NAN;
}

int process_pin(int cpu)
{
    cpu_set_t set;

    if (cpu < 0 || cpu >= CPU_SETSIZE)
        return EINVAL;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return sched_setaffinity(0, sizeof set, &set) == 0 ? 0 : errno;
}
