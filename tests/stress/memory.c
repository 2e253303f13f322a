/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * What a remote that nobody uses costs, and a call that waits for its reply. The peers live in
 * another process, so the heap of this one is the client's; OpenSSL's part is counted by itself.
 */
#include "stress.h"
#include "support/h2server.h"
#include "support/pki.h"
#include <malloc.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <proxyfs/proxyfs.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define N_REMOTES 32
#define N_CALLS 400 /* all of them are sent, on one connection */
#define REMOTE_MAX (64u << 10)
#define CALL_MAX (4u << 10)
/* An idle connection gives its buffers back when its timer comes round (lib/conn/keepalive.c). */
#define IDLE_WAIT_NS (6 * PFS_SEC)

static atomic_size_t openssl_bytes;

static void *count_malloc(size_t n, const char *file, int line)
{
    void *p = malloc(n);

    atomic_fetch_add(&openssl_bytes, p ? malloc_usable_size(p) : 0);
    return p;
}

static void count_free(void *p, const char *file, int line)
{
    atomic_fetch_sub(&openssl_bytes, p ? malloc_usable_size(p) : 0);
    free(p);
}

static void *count_realloc(void *p, size_t n, const char *file, int line)
{
    size_t before = p ? malloc_usable_size(p) : 0;
    void *fresh = realloc(p, n);

    if (fresh) {
        atomic_fetch_add(&openssl_bytes, malloc_usable_size(fresh));
        atomic_fetch_sub(&openssl_bytes, before);
    }
    return fresh;
}

/* Bytes of the heap in use, OpenSSL's left out. */
static size_t heap(void)
{
    struct mallinfo2 m = mallinfo2();

    return m.uordblks + m.hblkhd - atomic_load(&openssl_bytes);
}

/* ---- the peers, in a process of their own ---- */

static void answer(struct h2server *s, struct h2peer *p)
{
    h2peer_hello(p, 0, NULL);
    h2peer_serve(p, NULL, NULL);
}

static void swallow(struct h2server *s, struct h2peer *p)
{
    struct h2frame f;

    h2peer_hello(p, 0, NULL);
    while (h2peer_next(p, &f)) {
    }
}

static struct tls_ctx *server_tls(const struct pki *pki)
{
    struct tls_options o = {.cert_file = pki_path(pki, "server.crt"),
                            .key_file = pki_path(pki, "server.key"),
                            .alpn = "h2",
                            .server = true};
    struct tls_ctx *ctx;
    struct pfs_error err;

    REQUIRE(tls_ctx_new(&o, &ctx, &err) == PFS_OK, "%s", err.text);
    return ctx;
}

struct urls {
    char answering[64], swallowing[64];
};

static pid_t start_peers(const struct pki *pki, struct urls *ret)
{
    int fds[2];

    REQUIRE(pipe(fds) == 0, "pipe");
    pid_t pid = fork();
    if (pid == 0) {
        struct h2server answering = {.script = answer, .tls = server_tls(pki)};
        struct h2server swallowing = {.script = swallow};
        struct urls u;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        h2server_start(&answering);
        h2server_start(&swallowing);
        memcpy(u.answering, answering.url, sizeof u.answering);
        memcpy(u.swallowing, swallowing.url, sizeof u.swallowing);
        REQUIRE(write(fds[1], &u, sizeof u) == (ssize_t)sizeof u, "write");
        for (;;) {
            pause();
        }
    }
    REQUIRE(pid > 0 && read(fds[0], ret, sizeof *ret) == (ssize_t)sizeof *ret, "no peers");
    close(fds[0]);
    close(fds[1]);
    return pid;
}

/* ---- the figures ---- */

static struct pfs_client *connected(const struct urls *u, const struct pki *pki, unsigned i)
{
    char name[32];
    struct pfs_client *c;
    struct pfs_error err;

    /* Another timeout makes it another remote, with connections of its own. */
    snprintf(name, sizeof name, "%ums", 20000 + i);
    struct pfs_option o[] = {{"base_url", u->answering},
                             {"protocol", "h2"},
                             {"ca_file", pki_path(pki, "ca.crt")},
                             {"keepalive_interval", "1s"},
                             {"connect_timeout", name}};
    REQUIRE(pfs_client_new(o, 5, &c, &err) == PFS_OK, "%s", err.text);
    REQUIRE(pfs_touch(c, "/f", &err) == PFS_OK, "%s", err.text);
    return c;
}

/* Waits until all of them rest, as far as that can be seen, or the time is over. */
static size_t settled(size_t before)
{
    int64_t stop_at = pfs_now() + IDLE_WAIT_NS;

    while (heap() > before + N_REMOTES * (size_t)REMOTE_MAX / 2 && pfs_now() < stop_at) {
        poll(NULL, 0, 20);
    }
    return heap() > before ? heap() - before : 0;
}

static size_t idle_remote(const struct urls *u, const struct pki *pki)
{
    struct pfs_client *clients[N_REMOTES], *first = connected(u, pki, N_REMOTES);
    size_t before = heap();

    for (unsigned i = 0; i < N_REMOTES; i++) {
        clients[i] = connected(u, pki, i);
    }
    size_t used = settled(before) / N_REMOTES;
    for (unsigned i = 0; i < N_REMOTES; i++) {
        pfs_client_free(clients[i]);
    }
    pfs_client_free(first);
    return used;
}

static atomic_uint n_done;

static void on_done(void *arg, struct pfs_reply *r)
{
    pfs_reply_fini(r);
    atomic_fetch_add(&n_done, 1);
}

static void submit(struct pfs_client *c, unsigned n)
{
    struct pfs_request req = {.op = PFS_OP_READ, .path = "/f", .offset = 0, .size = -1};

    for (unsigned i = 0; i < n; i++) {
        pfs_submit(c, &req, on_done, NULL);
    }
}

static void await_streams(struct pfs_client *c, unsigned n)
{
    struct pfs_stats st;
    int64_t stop_at = pfs_now() + IDLE_WAIT_NS;

    do {
        REQUIRE(pfs_now() < stop_at, "%u of %u calls were sent", st.streams, n);
        pfs_client_stats(c, &st);
    } while (st.streams < n && poll(NULL, 0, 5) == 0);
}

/* The first half opens the connection and fills its buffers, which are no call's. */
static size_t call_in_flight(const struct urls *u)
{
    struct pfs_option o[] = {{"base_url", u->swallowing},
                             {"protocol", "h2"},
                             {"timeout", "1m"},
                             {"max_connections", "1"},
                             {"max_streams", "400"}};
    struct pfs_client *c;
    struct pfs_error err;
    unsigned half = N_CALLS / 2;

    REQUIRE(pfs_client_new(o, 5, &c, &err) == PFS_OK, "%s", err.text);
    submit(c, half);
    await_streams(c, half);
    size_t before = heap();

    submit(c, N_CALLS - half);
    await_streams(c, N_CALLS);
    size_t used = heap();

    pfs_client_free(c);
    REQUIRE(atomic_load(&n_done) == N_CALLS, "%u completed", atomic_load(&n_done));
    return used > before ? (used - before) / (N_CALLS - half) : 0;
}

int main(void)
{
    struct pki pki;
    struct urls urls;

    REQUIRE(CRYPTO_set_mem_functions(count_malloc, count_realloc, count_free), "too late");
    pki_open(&pki);
    pki_make(&pki, &(struct pki_cert){.name = "server", .issuer = "ca", .san = "IP:127.0.0.1"});
    pid_t peers = start_peers(&pki, &urls);
    size_t remote = idle_remote(&urls, &pki);
    size_t call = call_in_flight(&urls);

    kill(peers, SIGKILL);
    waitpid(peers, NULL, 0);
    pki_close(&pki);
    printf("idle remote %zu bytes, call in flight %zu bytes\n", remote, call);
    REQUIRE(remote > 0 && remote <= REMOTE_MAX, "an idle remote keeps %zu bytes", remote);
    REQUIRE(call > 0 && call <= CALL_MAX, "a call in flight needs %zu bytes", call);
    return 0;
}
