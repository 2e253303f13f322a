/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "spawn.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGS_MAX 64

struct spawned {
    pid_t pid;
    uint16_t tls_port, clear_port;
};

static void run_child(const char *agfsd, const char *pki, uint16_t port, const char *const *args,
                      int ready_fd)
{
    char listen[32], cert[512], key[512], ca[512], ready[16];
    const char *argv[ARGS_MAX] = {
        agfsd,      "-addr",      "",    "--tls-addr",  listen, "--tls-cert",
        cert,       "--tls-key",  key,   "--client-ca", ca,     "--client-cert",
        "optional", "--ready-fd", ready, "--log-level", "warn"};
    int n = 17;

    snprintf(listen, sizeof listen, "127.0.0.1:%u", port);
    snprintf(cert, sizeof cert, "%s/server.pem", pki);
    snprintf(key, sizeof key, "%s/server.key", pki);
    snprintf(ca, sizeof ca, "%s/ca.pem", pki);
    snprintf(ready, sizeof ready, "%d", ready_fd);
    for (; *args && n < ARGS_MAX - 1; args++) {
        argv[n++] = *args;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execv(agfsd, (char *const *)(uintptr_t)argv);
    fprintf(stderr, "cannot run %s: %s\n", agfsd, strerror(errno));
    _exit(127);
}

/* The port behind the first URL in text that begins with scheme; 0: there is none. */
static uint16_t port_of(const char *text, const char *scheme)
{
    const char *url = strstr(text, scheme);
    const char *colon = url ? strchr(url + strlen(scheme), ':') : NULL;

    return colon ? (uint16_t)strtoul(colon + 1, NULL, 10) : 0;
}

/* The URLs that agfsd writes to its ready descriptor; ends the process when none comes. */
static void read_ports(struct spawned *s, int fd)
{
    char text[512];
    size_t len = 0;
    ssize_t n;

    while (len < sizeof text - 1 && (n = read(fd, text + len, sizeof text - 1 - len)) > 0) {
        len += (size_t)n;
    }
    text[len] = '\0';
    s->tls_port = port_of(text, "https://");
    s->clear_port = port_of(text, "http://");
    if (!s->tls_port) {
        fprintf(stderr, "agfsd did not start: '%s'\n", text);
        exit(1);
    }
}

struct spawned *spawn_agfsd(const char *agfsd, const char *pki_dir, uint16_t tls_port,
                            const char *const *args)
{
    struct spawned *s = calloc(1, sizeof *s);
    int fds[2];

    if (!s || pipe(fds) != 0 || (s->pid = fork()) < 0) {
        fprintf(stderr, "cannot start agfsd: %s\n", strerror(errno));
        exit(1);
    }
    if (s->pid == 0) {
        close(fds[0]);
        run_child(agfsd, pki_dir, tls_port, args, fds[1]);
    }
    close(fds[1]);
    read_ports(s, fds[0]);
    close(fds[0]);
    return s;
}

uint16_t spawned_tls_port(const struct spawned *s)
{
    return s->tls_port;
}

uint16_t spawned_clear_port(const struct spawned *s)
{
    return s->clear_port;
}

long spawned_peak_kib(const struct spawned *s)
{
    return peak_kib(s->pid);
}

long peak_kib(pid_t pid)
{
    char path[64], line[256];
    long kib = 0;

    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "VmHWM: %ld", &kib) == 1) {
            break;
        }
    }
    if (f) {
        fclose(f);
    }
    return kib;
}

pid_t spawned_pid(const struct spawned *s)
{
    return s->pid;
}

static void end(struct spawned *s, int sig)
{
    kill(s->pid, sig);
    waitpid(s->pid, NULL, 0);
    free(s);
}

void spawned_stop(struct spawned *s)
{
    end(s, SIGTERM);
}

void spawned_kill(struct spawned *s)
{
    end(s, SIGKILL);
}
