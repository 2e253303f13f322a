/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Write streams to a peer that answers before the caller finishes. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <proxyfs/proxyfs.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A peer for one connection: answers each request once `answer_after` bytes of its body came. */
struct peer {
    int listener;
    long answer_after;
    pthread_t thread;
    struct pfs_client *client;
};

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                             "Content-Length: 29\r\n\r\n{\"message\":\"Written %ld bytes\"}";
#define ANSWER_LEN (sizeof answer - 3) /* the count has one digit */

static void *peer_main(void *arg)
{
    struct peer *p = arg;
    char in[4096], out[sizeof answer];
    size_t len = 0;
    int fd = accept(p->listener, NULL, NULL);

    for (ssize_t n; (n = recv(fd, in + len, sizeof in - 1 - len, 0)) > 0;) {
        len += (size_t)n;
        in[len] = '\0';
        char *body = strstr(in, "\r\n\r\n");
        if (body && in + len - (body + 4) >= p->answer_after) {
            snprintf(out, sizeof out, answer, p->answer_after);
            cr_assert_eq(send(fd, out, ANSWER_LEN, MSG_NOSIGNAL), (ssize_t)ANSWER_LEN);
            len = 0;
        }
    }
    close(fd);
    return NULL;
}

static void peer_start(struct peer *p, long answer_after)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    char url[64];
    struct pfs_option o[] = {{"base_url", url}, {"timeout", "20s"}};
    struct pfs_error err;

    p->answer_after = answer_after;
    p->listener = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(p->listener, (struct sockaddr *)&a, n), 0);
    cr_assert_eq(listen(p->listener, 1), 0);
    cr_assert_eq(getsockname(p->listener, (struct sockaddr *)&a, &n), 0);
    cr_assert_eq(pthread_create(&p->thread, NULL, peer_main, p), 0);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/api/v1", ntohs(a.sin_port));
    cr_assert_eq(pfs_client_new(o, 2, &p->client, &err), PFS_OK, "%s", err.text);
}

static void peer_stop(struct peer *p)
{
    pfs_client_free(p->client);
    pthread_join(p->thread, NULL);
    close(p->listener);
}

/* Until the answer came; the client learns of it at about this time, before or after the next call.
 */
static void wait_for_answer(struct peer *p, uint64_t bytes_before)
{
    struct pfs_stats s;

    for (int i = 0; i < 20000; i++) {
        pfs_client_stats(p->client, &s);
        if (s.bytes_in >= bytes_before + ANSWER_LEN) {
            return;
        }
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    cr_assert(false, "no answer");
}

static void write_whole(struct peer *p, const char *content)
{
    struct pfs_stats before;
    struct pfs_stream *s;
    struct pfs_error err = {.cls = PFS_OK};
    size_t len = strlen(content);

    pfs_client_stats(p->client, &before);
    cr_assert_eq(pfs_open_write(p->client, "/f", (int64_t)len, 0, &s, &err), PFS_OK);
    if (len > 0) {
        cr_assert_eq(pfs_stream_write(s, content, len, &err), PFS_OK, "%s", err.text);
    }
    wait_for_answer(p, before.bytes_in);
    cr_assert_eq(pfs_stream_finish(s, &err), PFS_OK, "%s", err.text);
    pfs_stream_close(s);
}

/* The announced number of bytes is the whole content: the peer need not wait for the finish. */
Test(fs_stream, answered_when_complete)
{
    for (size_t len = 0; len <= 5; len += 5) {
        struct peer p;

        peer_start(&p, (long)len);
        for (int i = 0; i < 100; i++) {
            write_whole(&p, len ? "hello" : "");
        }
        peer_stop(&p);
    }
}

Test(fs_stream, answered_too_early)
{
    struct peer p;
    struct pfs_stream *s;
    struct pfs_error err = {.cls = PFS_OK};
    enum pfs_class cls;

    peer_start(&p, 0);
    cr_assert_eq(pfs_open_write(p.client, "/f", -1, 0, &s, &err), PFS_OK);
    do {
        cls = pfs_stream_write(s, "more", 4, &err);
    } while (cls == PFS_OK);
    cr_assert_eq(cls, PFS_PROTOCOL, "%s", err.text);
    cr_assert_eq(err.outcome, PFS_OUTCOME_UN);
    cr_assert_eq(pfs_stream_finish(s, &err), PFS_PROTOCOL, "%s", err.text);
    pfs_stream_close(s);
    peer_stop(&p);
}
