/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Over loopback: a host that forks with streams open. What the child does with them reaches nobody.
 */
#include "world.h"
#include <criterion/criterion.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the peer saw before the end of the download. */
struct seen {
    atomic_uint n_rst;
    atomic_bool is_whole; /* the upload */
};

/*
 * Begins a download and takes a stat, which comes after all that the child may have sent; then ends
 * the download and takes the upload.
 */
static void serve_streams(struct h2server *s, struct h2peer *p)
{
    struct seen *seen = s->arg;
    uint32_t download = 0;

    h2peer_hello(p, 0, NULL);
    for (struct h2req *r; (r = h2peer_request(p)) != NULL;) {
        if (strcmp(r->method, "PUT") == 0) {
            atomic_store(&seen->is_whole, pfs_buf_len(&r->body) == 8 &&
                                              memcmp(pfs_buf_data(&r->body), "fourmore", 8) == 0);
            h2peer_reply(p, r->stream, "200", "{\"message\":\"Written 8 bytes\"}");
        } else if (strstr(r->path, "/files?")) {
            download = r->stream;
            h2peer_headers(p, 0, download, (const char *const[]){":status", "200", NULL});
            h2peer_data(p, 0, download, "four");
        } else {
            atomic_store(&seen->n_rst, p->n_rst);
            h2peer_data(p, H2_END_STREAM, download, "more");
            world_reply(p, r);
        }
        h2peer_forget(r);
    }
}

/* Exit code 0: as it must be; else the number of what is not. */
static int child(struct pfs_client *c, struct pfs_stream *in, struct pfs_stream *out)
{
    struct pfs_error err;
    struct pfs_stats st;
    char buf[10];
    size_t n;

    alarm(20); /* rather than hang */
    if (in && (pfs_stream_read(in, buf, sizeof buf, &n, &err) != PFS_SHUTDOWN ||
               err.outcome != PFS_OUTCOME_NA)) {
        return 1;
    }
    if (pfs_stream_write(out, "child", 5, &err) != PFS_SHUTDOWN || err.outcome != PFS_OUTCOME_NA) {
        return 2;
    }
    if (pfs_stream_finish(out, &err) != PFS_SHUTDOWN) {
        return 3;
    }
    pfs_stream_close(in);
    pfs_stream_close(out);
    pfs_client_stats(c, &st);
    pfs_client_free(c);
    return st.calls == 0 ? 0 : 4;
}

static void fork_and_wait(struct pfs_client *c, struct pfs_stream *in, struct pfs_stream *out)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        _exit(child(c, in, out));
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "child: %#x", status);
}

Test(fork, A097_a_child_has_no_part_in_its_parents_streams)
{
    struct world w = {0};
    struct seen seen = {0};
    struct pfs_stream *in, *out;
    char buf[10];
    size_t n;

    world_open(&w, serve_streams, &seen, OPTIONS("max_connections", "1"));
    cr_assert_eq(pfs_open_read(w.c, "/f", 0, -1, &in, &w.err), PFS_OK, "%s", w.err.text);
    cr_assert_eq(pfs_stream_read(in, buf, sizeof buf, &n, &w.err), PFS_OK, "%s", w.err.text);
    cr_assert(n == 4 && memcmp(buf, "four", 4) == 0);
    cr_assert_eq(pfs_open_write(w.c, "/g", 8, 0, &out, &w.err), PFS_OK, "%s", w.err.text);
    cr_assert_eq(pfs_stream_write(out, "four", 4, &w.err), PFS_OK, "%s", w.err.text);

    fork_and_wait(w.c, in, out);
    cr_assert_eq(world_stat(&w), PFS_OK, "%s", w.err.text);
    cr_assert_eq(atomic_load(&seen.n_rst), 0, "the child closed the stream of its parent");
    cr_assert_eq(pfs_stream_read(in, buf, sizeof buf, &n, &w.err), PFS_OK, "%s", w.err.text);
    cr_assert(n == 4 && memcmp(buf, "more", 4) == 0);
    cr_assert_eq(pfs_stream_write(out, "more", 4, &w.err), PFS_OK, "%s", w.err.text);
    cr_assert_eq(pfs_stream_finish(out, &w.err), PFS_OK, "%s", w.err.text);
    cr_assert(atomic_load(&seen.is_whole), "something of the child is in it");
    cr_assert_eq(atomic_load(&w.server.n_conns), 1);
    pfs_stream_close(in);
    pfs_stream_close(out);
    world_close(&w);
}

/* Streams in parts: the first part of a download, without content; everything else succeeds. */
static void serve_parts(struct h2server *s, struct h2peer *p)
{
#define BOOT "agfs-boot", "0123456789abcdef; features=ranges,parts"
    static const char *const part[] = {
        ":status",        "206",     "etag", "\"v\"", "content-range", "bytes 0-1048575/9000000",
        "content-length", "1048576", BOOT,   NULL};
    static const char *const ok[] = {":status",          "200", "content-type",
                                     "application/json", BOOT,  NULL};

    h2peer_hello(p, 0, NULL);
    for (struct h2req *r; (r = h2peer_request(p)) != NULL;) {
        if (strstr(r->path, "/files?")) {
            h2peer_headers(p, 0, r->stream, part);
        } else {
            h2peer_headers(p, 0, r->stream, ok);
            h2peer_data(p, H2_END_STREAM, r->stream, "{\"handle_id\":7}");
        }
        h2peer_forget(r);
    }
}

Test(fork, A097_nor_in_those_that_come_in_parts)
{
    struct world w = {0};
    struct pfs_stream *in, *out;

    world_open(&w, serve_parts, NULL, OPTIONS("transfer_streams", "16"));
    cr_assert_eq(pfs_health(w.c, &w.err), PFS_OK, "%s", w.err.text); /* says that there are parts */
    cr_assert_eq(pfs_open_read(w.c, "/f", 0, -1, &in, &w.err), PFS_OK, "%s", w.err.text);
    cr_assert_eq(in->total, 9000000, "not in parts");
    cr_assert_eq(pfs_open_write(w.c, "/g", -1, 0, &out, &w.err), PFS_OK, "%s", w.err.text);
    fork_and_wait(w.c, in, out);
    cr_assert_eq(world_stat(&w), PFS_PAYLOAD, "the connection is as it was: %s", w.err.text);
    pfs_stream_close(in);
    pfs_stream_close(out);
    world_close(&w);
}
