/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Each system call of a client's life fails once (A111), or comes short, or is interrupted: making
 * it, connecting with mutual TLS, one call of each kind, streams both ways, a reload, the end. The
 * class is one that the fault explains, or none where it is to be got over; the outcome is true of
 * the file on the server; the next call goes through, and nothing is left behind.
 *
 * usage: syscall_sweep AGFSD PKIDIR
 */
#include "../support/spawn.h"
#include "../support/syscall_fail.h"
#include "stress.h"
#include "support/h2server.h"
#include <errno.h>
#include <fcntl.h>
#include <proxyfs/proxyfs.h>
#include <string.h>
#include <unistd.h>

#define C(id) (1ull << PFS_##id)
#define LOST (C(CONN_LOST) | C(CONN) | C(TRUNCATED) | C(TLS))
#define GOT_OVER 0 /* nothing may fail */

static const struct fault {
    const char *call;
    int fault;
    unsigned long long classes; /* that a failure may have */
} faults[] = {
    {"socket", EMFILE, C(NOFILE)},
    {"socket", ENOBUFS, C(CONN) | C(NOMEM)},
    {"connect", ECONNREFUSED, C(CONN)},
    {"connect", EADDRNOTAVAIL, C(CONN)},
    {"getsockopt", ENOBUFS, C(CONN)},
    {"send", EPIPE, LOST},
    {"send", EAGAIN, GOT_OVER},
    {"send", EINTR, GOT_OVER},
    {"send", FAULT_SHORT, GOT_OVER},
    {"recv", ECONNRESET, LOST},
    {"recv", FAULT_END, LOST},
    {"recv", EAGAIN, GOT_OVER},
    {"recv", EINTR, GOT_OVER},
    {"recv", FAULT_SHORT, GOT_OVER},
    {"epoll_create1", EMFILE, C(NOFILE)},
    {"epoll_ctl", ENOMEM, C(NOMEM) | C(NOFILE)},
    {"epoll_ctl", ENOSPC, C(NOMEM) | C(NOFILE)},
    {"epoll_wait", EINTR, GOT_OVER},
    {"eventfd", EMFILE, C(NOFILE)},
    {"wake_write", EINTR, GOT_OVER},
    {"open", EMFILE, C(CONFIG) | C(NOFILE)},
    {"open", EACCES, C(CONFIG)},
    {"read", EIO, C(CONFIG)},
    {"pthread_create", EAGAIN, C(NOMEM) | C(DNS)},
    {"getaddrinfo", EMFILE, C(DNS) | C(NOFILE)},
};
#define N_FAULTS (sizeof faults / sizeof *faults)

static const struct fault *now;
static unsigned long nth;
#define N_OPTIONS 7
static struct pfs_option options[N_OPTIONS];
static char contents[2][32] = {"", ""}; /* of /memfs/f and /memfs/g */

static void check(enum pfs_class cls, const struct pfs_error *err, const char *what)
{
    REQUIRE(cls == PFS_OK || now->classes & (1ull << cls), "%s number %lu with %d: %s: %s: %s",
            now->call, nth, now->fault, what, pfs_class_name(cls), err->text);
}

/* Notes what the write that ended with cls has left in file i, and asks the server. */
static void judge(struct pfs_client *c, int i, enum pfs_class cls, const struct pfs_error *err,
                  const char *wrote)
{
    struct pfs_data d;
    struct pfs_error why;

    REQUIRE(pfs_read(c, i ? "/memfs/g" : "/memfs/f", 0, -1, &d, &why) == PFS_OK, "%s", why.text);
    bool is_new = d.len == strlen(wrote) && memcmp(d.bytes, wrote, d.len) == 0;
    bool is_old = d.len == strlen(contents[i]) && memcmp(d.bytes, contents[i], d.len) == 0;
    enum pfs_outcome o = cls == PFS_OK ? PFS_OUTCOME_AP : err->outcome;

    REQUIRE(is_new || is_old, "'%.*s' is neither '%s' nor '%s'", (int)d.len, d.bytes, wrote,
            contents[i]);
    REQUIRE((o != PFS_OUTCOME_AP || is_new) && (o != PFS_OUTCOME_NA || is_old),
            "%s number %lu with %d: %s %s, and there is '%.*s': %s", now->call, nth, now->fault,
            pfs_class_name(cls), pfs_outcome_name(o), (int)d.len, d.bytes, err->text);
    if (is_new) {
        strcpy(contents[i], wrote);
    }
    pfs_data_fini(&d);
}

static void read_stream(struct pfs_client *c)
{
    struct pfs_error err;
    struct pfs_stream *s;
    char buf[64];
    size_t n, total = 0;
    enum pfs_class cls = pfs_open_read(c, "/memfs/README", 0, 16, &s, &err);

    check(cls, &err, "open_read");
    if (cls != PFS_OK) {
        return;
    }
    do {
        cls = pfs_stream_read(s, buf, sizeof buf, &n, &err);
        total += cls == PFS_OK ? n : 0;
    } while (cls == PFS_OK && n > 0);
    check(cls, &err, "stream_read");
    REQUIRE(cls != PFS_OK || total == 16, "%zu bytes as if they were all", total);
    pfs_stream_close(s);
}

static enum pfs_class write_stream(struct pfs_client *c, const char *text, struct pfs_error *err)
{
    struct pfs_stream *s;
    enum pfs_class cls = pfs_open_write(c, "/memfs/g", -1, 0, &s, err);

    check(cls, err, "open_write");
    if (cls != PFS_OK) {
        return cls;
    }
    cls = pfs_stream_write(s, text, strlen(text), err);
    check(cls, err, "stream_write");
    if (cls == PFS_OK) {
        cls = pfs_stream_finish(s, err);
        check(cls, err, "finish");
    }
    pfs_stream_close(s);
    return cls;
}

static void look(struct pfs_client *c)
{
    struct pfs_error err;
    struct pfs_stat st;
    struct pfs_data d;
    struct pfs_list l;
    enum pfs_class cls = pfs_stat(c, "/memfs/f", &st, &err);

    check(cls, &err, "stat");
    if (cls == PFS_OK) {
        pfs_stat_fini(&st);
    }
    cls = pfs_read(c, "/memfs/README", 0, 16, &d, &err);
    check(cls, &err, "read");
    if (cls == PFS_OK) {
        REQUIRE(d.len == 16, "%zu bytes as if they were all", d.len);
        pfs_data_fini(&d);
    }
    cls = pfs_readdir(c, "/memfs", &l, &err);
    check(cls, &err, "readdir");
    if (cls == PFS_OK) {
        REQUIRE(l.n == 3, "%zu entries as if they were all", l.n);
        pfs_list_fini(&l);
    }
}

/* Both files, empty. */
static void prepare(void)
{
    struct pfs_client *c;
    struct pfs_error err;

    REQUIRE(pfs_client_new(options, N_OPTIONS, &c, &err) == PFS_OK &&
                pfs_write(c, "/memfs/f", "", 0, -1, 0, NULL, &err) == PFS_OK &&
                pfs_write(c, "/memfs/g", "", 0, -1, 0, NULL, &err) == PFS_OK,
            "%s", err.text);
    pfs_client_free(c);
}

/* One life in which call nth fails; how often it was made. */
static unsigned long live(void)
{
    static unsigned lives;
    char f[32], g[32];
    struct pfs_client *c;
    struct pfs_error err, f_err, g_err;

    snprintf(f, sizeof f, "f%u", ++lives);
    snprintf(g, sizeof g, "g%u", lives);
    syscall_fail_nth(now->call, now->fault, nth);
    enum pfs_class cls = pfs_client_new(options, N_OPTIONS, &c, &err);

    check(cls, &err, "client_new");
    if (cls != PFS_OK) {
        return syscall_fail_count();
    }
    enum pfs_class wrote = pfs_write(c, "/memfs/f", f, strlen(f), -1, 0, NULL, &f_err);

    check(wrote, &f_err, "write");
    look(c);
    read_stream(c);
    enum pfs_class streamed = write_stream(c, g, &g_err);

    cls = pfs_reload(c, &err);
    REQUIRE(cls == PFS_OK || now->classes, "%s number %lu with %d: reload: %s", now->call, nth,
            now->fault, err.text);
    look(c);
    unsigned long n = syscall_fail_count();

    syscall_fail_nth(NULL, 0, 0);
    int64_t t0 = pfs_now();

    do { /* whatever failed, it goes on: at the latest after the grace of an outage */
        cls = pfs_touch(c, "/memfs/f", &err);
    } while (cls != PFS_OK && pfs_now() - t0 < 5 * PFS_SEC);
    REQUIRE(cls == PFS_OK, "%s number %lu with %d poisoned the client: %s", now->call, nth,
            now->fault, err.text);
    judge(c, 0, wrote, &f_err, f);
    judge(c, 1, streamed, &g_err, g);
    pfs_client_free(c);
    return n;
}

static void sweep(const struct fault *f, const char *protocol, const struct leaks *before)
{
    int64_t t0 = pfs_now();

    now = f;
    options[0].value = protocol;
    nth = 0;
    do {
        nth++;
    } while (live() >= nth);
    REQUIRE(leaks_none(before), "%s with %d left something behind", f->call, f->fault);
    REQUIRE(nth > 1, "%s does not occur", f->call);
    printf("%s %-14s %3d: %3lu in %lld ms\n", protocol, f->call, f->fault, nth - 1,
           (long long)((pfs_now() - t0) / PFS_MS));
    fflush(stdout);
}

static void write_token(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    REQUIRE(fd >= 0 && write(fd, "token", 5) == 5 && close(fd) == 0, "%s", path);
}

int main(int argc, char **argv)
{
    const char *const args[] = {"--mount", "memfs:/memfs", NULL};
    char url[64], ca[512], cert[512], key[512], token[512];

    REQUIRE(argc > 2, "usage: syscall_sweep AGFSD PKIDIR");
    struct spawned *server = spawn_agfsd(argv[1], argv[2], 0, args);

    snprintf(url, sizeof url, "https://localhost:%u", spawned_tls_port(server));
    snprintf(ca, sizeof ca, "%s/ca.pem", argv[2]);
    snprintf(cert, sizeof cert, "%s/client.pem", argv[2]);
    snprintf(key, sizeof key, "%s/client.key", argv[2]);
    snprintf(token, sizeof token, "%s/sweep.token", argv[2]);
    write_token(token);
    memcpy(options,
           (struct pfs_option[N_OPTIONS]){{"protocol", "h2"},
                                          {"base_url", url},
                                          {"ca_file", ca},
                                          {"client_cert", cert},
                                          {"client_key", key},
                                          {"token_file", token},
                                          {"timeout", "5s"}},
           sizeof options);
    prepare();
    struct leaks before = leaks_now();

    for (size_t i = 0; i < N_FAULTS; i++) {
        sweep(&faults[i], "h2", &before);
        if (strcmp(faults[i].call, "send") == 0 || strcmp(faults[i].call, "recv") == 0) {
            sweep(&faults[i], "h1", &before);
        }
    }
    spawned_stop(server);
    return 0;
}
