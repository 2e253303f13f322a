/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Each allocation of a client's life fails once: making it, connecting, one call of each kind, a
 * stream, a reload, the end. No crash, no hang, an honest class; and the next call goes through.
 * The peer lives in a process of its own, because it allocates through the same seam.
 */
#include "base/alloc.h"
#include "stress.h"
#include "support/h2server.h"
#include <proxyfs/proxyfs.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void reply(struct h2peer *p, struct h2req *r, void *arg)
{
    bool is_read = strcmp(r->method, "GET") == 0 && strstr(r->path, "/files?");

    (void)arg;
    h2peer_headers(p, 0, r->stream,
                   (const char *const[]){":status", "200", "content-type",
                                         is_read ? "application/octet-stream" : "application/json",
                                         "agfs-boot", "1; features=offset", NULL});
    h2peer_data(p, H2_END_STREAM, r->stream,
                is_read                          ? "content"
                : strstr(r->path, "/stat?")      ? "{\"name\":\"f\",\"size\":7,\"mode\":420,"
                                                   "\"isDir\":false,\"modTime\":\"\",\"meta\":{}}"
                : strstr(r->path, "directories") ? "{\"files\":[]}"
                                                 : "{\"message\":\"ok\"}");
}

static void script(struct h2server *s, struct h2peer *p)
{
    h2peer_hello(p, 0, NULL);
    h2peer_serve(p, reply, NULL);
}

/* Serves until its input ends; writes the URL. */
static void serve_until_eof(int in, int out)
{
    struct h2server *s = calloc(1, sizeof *s);
    char c;

    for (;;) {
        s->script = script;
        h2server_start(s);
        bool again = write(out, s->url, sizeof s->url) > 0 && read(in, &c, 1) > 0;
        h2server_stop(s); /* a fresh one now and then: it takes so many connections in its life */
        if (!again) {
            free(s);
            _exit(0);
        }
    }
}

/* Any class that a lack of memory can honestly have. */
static void check(enum pfs_class cls, const struct pfs_error *err, const char *what)
{
    REQUIRE(cls == PFS_OK || cls == PFS_NOMEM || cls == PFS_CONN_LOST || cls == PFS_REFUSED ||
                cls == PFS_CONFIG || cls == PFS_RESET || cls == PFS_TRUNCATED,
            "%s: %s: %s", what, pfs_class_name(cls), err->text);
}

static void use_stream(struct pfs_client *c)
{
    struct pfs_error err;
    struct pfs_stream *s;
    char buf[16];
    size_t n;
    enum pfs_class cls = pfs_open_read(c, "/f", 0, -1, &s, &err);

    check(cls, &err, "open_read");
    if (cls == PFS_OK) {
        do {
            cls = pfs_stream_read(s, buf, sizeof buf, &n, &err);
        } while (cls == PFS_OK && n > 0);
        check(cls, &err, "stream_read");
        pfs_stream_close(s);
    }
    cls = pfs_open_write(c, "/f", -1, 0, &s, &err);
    check(cls, &err, "open_write");
    if (cls == PFS_OK) {
        cls = pfs_stream_write(s, "abc", 3, &err);
        check(cls, &err, "stream_write");
        if (cls == PFS_OK) {
            check(pfs_stream_finish(s, &err), &err, "finish");
        }
        pfs_stream_close(s);
    }
}

static void use(struct pfs_client *c)
{
    struct pfs_error err;
    struct pfs_stat st;
    struct pfs_data d;
    struct pfs_list l;

    check(pfs_touch(c, "/f", &err), &err, "touch");
    if (pfs_stat(c, "/f", &st, &err) == PFS_OK) {
        pfs_stat_fini(&st);
    }
    if (pfs_read(c, "/f", 0, -1, &d, &err) == PFS_OK) {
        REQUIRE(d.len == 7 && memcmp(d.bytes, "content", 7) == 0, "altered data");
        pfs_data_fini(&d);
    }
    check(pfs_write(c, "/f", "x", 1, -1, PFS_WRITE_CREATE | PFS_WRITE_TRUNCATE, NULL, &err), &err,
          "write");
    if (pfs_readdir(c, "/", &l, &err) == PFS_OK) {
        pfs_list_fini(&l);
    }
    check(pfs_rename(c, "/a", "/b", &err), &err, "rename");
    use_stream(c);
    enum pfs_class cls = pfs_reload(c, &err);
    REQUIRE(cls == PFS_OK || cls == PFS_NOMEM || cls == PFS_CONN_LOST || cls == PFS_PAYLOAD,
            "reload: %s: %s", pfs_class_name(cls), err.text);
}

/* One life in which allocation nth fails; how many there were. */
static unsigned long live(const char *url, unsigned long nth)
{
    struct pfs_option o[] = {{"base_url", url}, {"protocol", "h2"}, {"timeout", "5s"}};
    struct pfs_client *c;
    struct pfs_error err;

    pfs_alloc_fail_nth(nth);
    enum pfs_class cls = pfs_client_new(o, 3, &c, &err);
    check(cls, &err, "client_new");
    if (cls == PFS_OK) {
        use(c);
        unsigned long n = pfs_alloc_count();
        int64_t t0 = pfs_now();
        do { /* whatever failed, it goes on: at the latest after the grace of an outage */
            cls = pfs_touch(c, "/f", &err);
        } while (cls != PFS_OK && pfs_now() - t0 < 4 * PFS_SEC);
        REQUIRE(cls == PFS_OK, "allocation %lu poisoned the client: %s", nth, err.text);
        pfs_client_free(c);
        return n;
    }
    return pfs_alloc_count();
}

/* A client in use ends while allocation nth fails; how many there were. */
static unsigned long end(const char *url, unsigned long nth)
{
    struct pfs_option o[] = {{"base_url", url}, {"protocol", "h2"}, {"timeout", "5s"}};
    struct pfs_client *c;
    struct pfs_error err;

    REQUIRE(pfs_client_new(o, 3, &c, &err) == PFS_OK && pfs_touch(c, "/f", &err) == PFS_OK &&
                pfs_reload(c, &err) == PFS_OK && pfs_touch(c, "/f", &err) == PFS_OK,
            "%s", err.text);
    int64_t t0 = pfs_now();
    pfs_alloc_fail_nth(nth);
    pfs_client_free(c);
    unsigned long n = pfs_alloc_count();
    pfs_alloc_fail_nth(0);
    REQUIRE(pfs_now() - t0 < 10 * PFS_SEC, "without allocation %lu the end takes its time", nth);
    return n;
}

int main(int argc, char **argv)
{
    struct leaks before = leaks_now();
    int to[2], from[2];
    char url[64];

    (void)argc;
    (void)argv;
    REQUIRE(pipe(to) == 0 && pipe(from) == 0, "pipe");
    pid_t pid = fork();
    REQUIRE(pid >= 0, "fork");
    if (pid == 0) {
        close(to[1]);
        close(from[0]);
        serve_until_eof(to[0], from[1]);
    }
    close(to[0]);
    close(from[1]);
    REQUIRE(read(from[0], url, sizeof url) == sizeof url, "no peer");
    unsigned long n = live(url, 0), i;
    for (i = 1; i <= n; i++) {
        if (i % 50 == 0) {
            REQUIRE(write(to[1], "n", 1) == 1 && read(from[0], url, sizeof url) == sizeof url,
                    "no peer");
        }
        live(url, i);
    }
    pfs_alloc_fail_nth(0);
    for (unsigned long nth = 1; end(url, nth) >= nth; nth++) {
    }
    close(to[1]);
    close(from[0]);
    waitpid(pid, NULL, 0);
    printf("%lu allocations\n", i - 1);
    REQUIRE(leaks_none(&before), "left behind");
    return 0;
}
