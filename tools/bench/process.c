/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "process.h"
#include "util.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <math.h>
#include <netdb.h>
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

/* IPv4 is ::ffff:a.b.c.d throughout. */
struct place {
    struct in6_addr address;
    unsigned port;
};

static const struct in6_addr any_ipv4 = {.s6_addr = {[10] = 0xff, [11] = 0xff}};

/* The host, without brackets, and the port. */
static bool split(const char *url, char host[64], unsigned *ret_port)
{
    const char *begin = strstr(url, "://"), *at;

    begin = begin ? begin + 3 : url;
    at = memrchr(begin, '@', strcspn(begin, "/"));
    begin = at ? at + 1 : begin;
    *ret_port = strncmp(url, "https:", 6) == 0 ? 443 : 80;
    return sscanf(begin, begin[0] == '[' ? "[%63[^]]]:%u" : "%63[^:/]:%u", host, ret_port) >= 1;
}

/* False: it may be the address of another machine. */
static bool is_loopback(const struct sockaddr *sa, struct in6_addr *ret)
{
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)sa;
        *ret = any_ipv4;
        memcpy(ret->s6_addr + 12, &v4->sin_addr, sizeof v4->sin_addr);
        return ret->s6_addr[12] == 127;
    }
    const struct sockaddr_in6 *v6 = (const void *)sa;
    *ret = v6->sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(ret);
}

/* An address as /proc/net/tcp has it: words of 32 bits, each in the order of this machine. */
static bool parse_address(const char *hex, struct in6_addr *ret)
{
    size_t n = strlen(hex) / 8;
    uint32_t words[4] = {0, 0, htonl(0xffff), 0};
    char word[9] = "";

    if (n != 1 && n != 4)
        return false;
    for (size_t i = 0; i < n; i++) {
        memcpy(word, hex + 8 * i, 8);
        words[4 - n + i] = (uint32_t)strtoul(word, NULL, 16);
    }
    memcpy(ret, words, sizeof *ret);
    return true;
}

/* How well a listener fits, as the kernel chooses between them; 0: it does not. */
static int fitness(const struct in6_addr *listener, const struct in6_addr *wanted)
{
    if (memcmp(listener, wanted, sizeof *wanted) == 0)
        return 3;
    if (IN6_IS_ADDR_V4MAPPED(wanted) && memcmp(listener, &any_ipv4, sizeof any_ipv4) == 0)
        return 2;
    return IN6_IS_ADDR_UNSPECIFIED(listener) ? 1 : 0;
}

/* The inode of the socket in the table that listens there, when it fits better than *best. */
static void find_listener(const char *table, const struct place *wanted, int *best,
                          unsigned long *ret_inode)
{
    char line[512], hex[33];
    FILE *f = fopen(table, "re");

    while (f && fgets(line, sizeof line, f)) {
        unsigned local, state;
        unsigned long inode;
        struct in6_addr address;
        if (sscanf(line, " %*d: %32[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*s %*s %lu",
                   hex, &local, &state, &inode) != 4 ||
            local != wanted->port || state != LISTEN_STATE || !parse_address(hex, &address))
            continue;
        int fits = fitness(&address, &wanted->address);
        if (fits > *best) {
            *best = fits;
            *ret_inode = inode;
        }
    }
    if (f)
        fclose(f);
}

/* 0: nobody listens there. */
static unsigned long listener_inode(const struct place *wanted)
{
    int best = 0;
    unsigned long inode = 0;

    find_listener("/proc/net/tcp", wanted, &best, &inode);
    find_listener("/proc/net/tcp6", wanted, &best, &inode);
    return inode;
}

/*
 * 0: nobody listens where the URL points to, or it is not this machine. What localhost is, and in
 * which order, is up to the machine, as for the library.
 */
static unsigned long inode_of_url(const char *url)
{
    char host[64];
    struct place p;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    unsigned long inode = 0;

    if (!split(url, host, &p.port))
        return 0;
    hints.ai_flags = strcasecmp(host, "localhost") == 0 ? 0 : AI_NUMERICHOST;
    if (getaddrinfo(host, NULL, &hints, &list) != 0)
        return 0;
    for (struct addrinfo *a = list; a && inode == 0; a = a->ai_next) {
        if (is_loopback(a->ai_addr, &p.address))
            inode = listener_inode(&p);
    }
    freeaddrinfo(list);
    return inode;
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
    unsigned long inode = inode_of_url(url);
    pid_t found = 0;
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

double machine_cpu_s(void)
{
    double user, nice, system, irq, softirq, steal;
    FILE *f = fopen("/proc/stat", "re");
    bool known = f && fscanf(f, "cpu %lf %lf %lf %*f %*f %lf %lf %lf", &user, &nice, &system, &irq,
                             &softirq, &steal) == 6;

    if (f)
        fclose(f);
    return known ? (user + nice + system + irq + softirq + steal) / (double)sysconf(_SC_CLK_TCK)
                 : NAN;
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
