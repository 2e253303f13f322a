/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * The cheapest HTTP/2 server over TLS that there can be, so that what limits.sh measures is the
 * client: a blocking thread for each connection (two system calls a turn), no HPACK decoding, one
 * answer for every request. A request without a body is answered with SIZE bytes, one with a body
 * with how many bytes it had, in an AGFS server's words. Keeps to flow control, SETTINGS and PING;
 * a client that breaks HTTP/2 is disconnected.
 *
 * usage: null_server CERT KEY [SIZE]    prints its port on one line, runs until SIGTERM
 */
#include "base/buf.h"
#include "base/decimal.h"
#include "net/tls.h"
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PREFACE_SIZE 24
#define FRAME_HEAD 9
#define FRAME_MAX 16384
#define STREAMS_MAX 1000
/* What a client may send ahead, on a stream and in all; given back by quarters. */
#define WINDOW (16u << 20)
/* Output held for the socket at most, before the rest waits in its streams. */
#define OUT_HIGH (64u << 10)

enum { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE };
#define END_STREAM 1
#define ACK 1
#define END_HEADERS 4

struct stream {
    struct stream *next;
    uint32_t id;
    int64_t window; /* bytes of DATA that the client takes */
    bool has_body;  /* the request goes on */
    bool answered;  /* the header was written */
    uint64_t taken; /* bytes of its body */
    uint64_t left;  /* of the answer */
};

struct peer {
    int fd;
    struct tls *tls;
    struct pfs_buf in; /* decrypted */
    struct pfs_buf out;
    struct stream *streams; /* oldest first */
    int64_t window;         /* of the connection */
    int64_t stream_window;  /* a new stream's */
    uint64_t uncredited;    /* bytes of DATA since the last WINDOW_UPDATE */
    bool is_up, prefaced;
};

static uint64_t size = 250;
static char filler[FRAME_MAX];

static void die(const char *what, const char *why)
{
    fprintf(stderr, "null_server: %s: %s\n", what, why);
    exit(1);
}

static void put32(char *p, uint32_t v)
{
    v = htonl(v);
    memcpy(p, &v, sizeof v);
}

static uint32_t get32(const char *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof v);
    return ntohl(v);
}

static void add(struct pfs_buf *b, const void *p, size_t n)
{
    if (!pfs_buf_add(b, p, n)) {
        die("output", "out of memory");
    }
}

static void add_frame(struct peer *p, int type, int flags, uint32_t id, const void *body, size_t n)
{
    char head[FRAME_HEAD] = {(char)(n >> 16), (char)(n >> 8), (char)n, (char)type, (char)flags};

    put32(head + 5, id);
    add(&p->out, head, sizeof head);
    add(&p->out, body, n);
}

static void add_credit(struct peer *p, uint32_t id, uint32_t n)
{
    char body[4];

    put32(body, n);
    add_frame(p, WINDOW_UPDATE, 0, id, body, sizeof body);
}

/* ---- answers ---- */

/* ":status: 200" and content-length, without the dynamic table. */
static void add_header(struct peer *p, const struct stream *s, bool last)
{
    char body[32] = {(char)0x88, 0x0f, 0x0d}; /* literal, indexed name 28 */
    char digits[PFS_DECIMAL_MAX], *text = pfs_decimal(digits, s->left);
    size_t n = strlen(text);

    body[3] = (char)n;
    memcpy(body + 4, text, n);
    add_frame(p, HEADERS, END_HEADERS | (last ? END_STREAM : 0), s->id, body, 4 + n);
}

/* Writes as much of an answer as the windows and our memory allow; true: all of it. */
static bool answer(struct peer *p, struct stream *s)
{
    if (!s->answered) {
        add_header(p, s, s->left == 0);
        s->answered = true;
    }
    while (s->left > 0 && s->window > 0 && p->window > 0 && pfs_buf_len(&p->out) < OUT_HIGH) {
        int64_t n = s->left < FRAME_MAX ? (int64_t)s->left : FRAME_MAX;

        n = n < s->window ? n : s->window;
        n = n < p->window ? n : p->window;
        s->left -= (uint64_t)n;
        s->window -= n;
        p->window -= n;
        add_frame(p, DATA, s->left == 0 ? END_STREAM : 0, s->id, filler, (size_t)n);
    }
    return s->left == 0;
}

static void answer_upload(struct peer *p, struct stream *s)
{
    char body[64];
    int n = snprintf(body, sizeof body, "{\"message\":\"Written %" PRIu64 " bytes\"}\n", s->taken);

    s->left = (uint64_t)n;
    add_header(p, s, false);
    add_frame(p, DATA, END_STREAM, s->id, body, (size_t)n);
}

static void answer_all(struct peer *p)
{
    struct stream **at = &p->streams;

    while (*at && pfs_buf_len(&p->out) < OUT_HIGH) {
        struct stream *s = *at;

        if (s->has_body || !answer(p, s)) {
            at = &s->next;
        } else {
            *at = s->next;
            free(s);
        }
    }
}

/* answer_all stopped only because enough waited for the socket. */
static bool can_answer(const struct peer *p)
{
    for (const struct stream *s = p->streams; s && p->window > 0; s = s->next) {
        if (!s->has_body && s->window > 0) {
            return true;
        }
    }
    return false;
}

/* ---- frames ---- */

static struct stream **find(struct peer *p, uint32_t id)
{
    struct stream **at = &p->streams;

    while (*at && (*at)->id != id) {
        at = &(*at)->next;
    }
    return at;
}

static void on_headers(struct peer *p, uint32_t id, int flags)
{
    struct stream here = {.id = id, .window = p->stream_window, .left = size};
    struct stream **end = &p->streams;

    here.has_body = !(flags & END_STREAM);
    if (!p->streams && !here.has_body && answer(p, &here)) {
        return; /* the usual end: at once, without a list */
    }
    struct stream *s = malloc(sizeof *s);
    if (!s) {
        die("a stream", "out of memory");
    }
    *s = here;
    while (*end) {
        end = &(*end)->next;
    }
    *end = s;
}

static void on_data(struct peer *p, uint32_t id, int flags, size_t n)
{
    struct stream **at = find(p, id), *s = *at;

    p->uncredited += n;
    if (s) {
        s->taken += n;
    }
    if (p->uncredited >= WINDOW / 4) {
        add_credit(p, 0, (uint32_t)p->uncredited);
        add_credit(p, id, (uint32_t)p->uncredited); /* more than its own does no harm */
        p->uncredited = 0;
    }
    if (s && (flags & END_STREAM)) {
        answer_upload(p, s);
        *at = s->next;
        free(s);
    }
}

static void on_settings(struct peer *p, const char *body, size_t n)
{
    for (; n >= 6; body += 6, n -= 6) {
        if (body[0] == 0 && body[1] == 4) { /* INITIAL_WINDOW_SIZE */
            int64_t fresh = get32(body + 2);

            for (struct stream *s = p->streams; s; s = s->next) {
                s->window += fresh - p->stream_window;
            }
            p->stream_window = fresh;
        }
    }
    add_frame(p, SETTINGS, ACK, 0, NULL, 0);
}

static void on_window_update(struct peer *p, uint32_t id, uint32_t n)
{
    struct stream *s = id ? *find(p, id) : NULL;

    if (id == 0) {
        p->window += n;
    } else if (s) {
        s->window += n;
    }
}

static void on_reset(struct peer *p, uint32_t id)
{
    struct stream **at = find(p, id), *s = *at;

    if (s) {
        *at = s->next;
        free(s);
    }
}

static bool on_frame(struct peer *p, const char *head, size_t n)
{
    const char *body = head + FRAME_HEAD;
    uint32_t id = get32(head + 5) & 0x7fffffff;
    int flags = head[4];

    switch (head[3]) {
    case DATA:
        on_data(p, id, flags, n);
        return true;
    case HEADERS:
        on_headers(p, id, flags);
        return flags & END_HEADERS; /* who needs CONTINUATION does not measure small requests */
    case RST_STREAM:
        on_reset(p, id);
        return true;
    case SETTINGS:
        if (!(flags & ACK)) {
            on_settings(p, body, n);
        }
        return true;
    case PING:
        if (n == 8 && !(flags & ACK)) {
            add_frame(p, PING, ACK, 0, body, 8);
        }
        return n == 8;
    case WINDOW_UPDATE:
        on_window_update(p, id, n == 4 ? get32(body) & 0x7fffffff : 0);
        return n == 4;
    case GOAWAY:
        return false;
    default:
        return true;
    }
}

/* Frames that are complete; false: disconnect. */
static bool take_frames(struct peer *p)
{
    if (!p->prefaced) {
        if (pfs_buf_len(&p->in) < PREFACE_SIZE) {
            return true;
        }
        pfs_buf_consume(&p->in, PREFACE_SIZE);
        p->prefaced = true;
    }
    while (pfs_buf_len(&p->in) >= FRAME_HEAD) {
        const char *head = pfs_buf_data(&p->in);
        size_t n = get32(head) >> 8;

        if (n > FRAME_MAX) {
            return false;
        }
        if (pfs_buf_len(&p->in) < FRAME_HEAD + n) {
            break;
        }
        if (!on_frame(p, head, n)) {
            return false;
        }
        pfs_buf_consume(&p->in, FRAME_HEAD + n);
    }
    return true;
}

/* ---- bytes ---- */

/* Encrypts what is to go and sends it; false: the peer is gone. */
static bool flush(struct peer *p)
{
    struct pfs_error err;
    size_t n = pfs_buf_len(&p->out);

    if (n && tls_write(p->tls, pfs_buf_data(&p->out), n, &err) != PFS_OK) {
        return false;
    }
    pfs_buf_consume(&p->out, n);
    for (const char *at; (at = tls_out(p->tls, &n)) != NULL;) {
        ssize_t sent = send(p->fd, at, n, MSG_NOSIGNAL);

        if (sent < 0 && errno != EINTR) {
            return false;
        }
        if (sent > 0) {
            tls_out_sent(p->tls, (size_t)sent);
        }
    }
    return true;
}

static void greet(struct peer *p)
{
    char settings[12] = {0, 3, 0, 0, 0, 0, 0, 4};

    put32(settings + 2, STREAMS_MAX);
    put32(settings + 8, WINDOW);
    add_frame(p, SETTINGS, 0, 0, settings, sizeof settings);
    add_credit(p, 0, WINDOW - 65535);
}

/* Decrypts and takes what came; false: disconnect. */
static bool take_input(struct peer *p)
{
    struct pfs_error err;
    bool clean;
    ssize_t n = 0;

    if (!p->is_up) {
        int rc = tls_handshake(p->tls, &err);
        if (rc <= 0) {
            return rc == 0;
        }
        p->is_up = true;
        greet(p);
    }
    do {
        char *room = pfs_buf_room(&p->in, FRAME_MAX);
        if (!room) {
            die("input", "out of memory");
        }
        n = tls_read(p->tls, room, FRAME_MAX, &clean, &err);
        pfs_buf_added(&p->in, n > 0 ? (size_t)n : 0);
        if (n < 0 || !take_frames(p)) {
            return false;
        }
    } while (n > 0 && tls_has_input(p->tls));
    return true;
}

/* One recv and what follows from it; false: disconnect. */
static bool serve_once(struct peer *p)
{
    size_t cap;
    char *room = tls_in_room(p->tls, &cap);
    ssize_t n = room ? recv(p->fd, room, cap, 0) : 0;

    if (n < 0 && errno == EINTR) {
        return true;
    }
    if (n <= 0) {
        return false;
    }
    tls_in_added(p->tls, (size_t)n);
    bool go_on = take_input(p);
    do {
        answer_all(p);
        if (!flush(p)) { /* at the end too: an alert may say why */
            return false;
        }
    } while (go_on && can_answer(p));
    return go_on;
}

static void *serve(void *arg)
{
    struct peer *p = arg;

    while (serve_once(p)) {
    }
    close(p->fd);
    tls_free(p->tls);
    pfs_buf_fini(&p->in);
    pfs_buf_fini(&p->out);
    while (p->streams) {
        on_reset(p, p->streams->id);
    }
    free(p);
    return NULL;
}

static void serve_next(int listener, struct tls_ctx *ctx)
{
    struct peer *p = calloc(1, sizeof *p);
    struct pfs_error err;
    pthread_t thread;
    int one = 1;

    if (!p || tls_new(ctx, NULL, &p->tls, &err) != PFS_OK) {
        die("a connection", "out of memory");
    }
    p->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    p->window = p->stream_window = 65535;
    if (p->fd < 0) {
        die("accept", strerror(errno));
    }
    setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (pthread_create(&thread, NULL, serve, p) != 0) {
        die("a connection", "no thread");
    }
    pthread_detach(thread);
}

static int listen_somewhere(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, 512) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &n) != 0) {
        die("127.0.0.1", strerror(errno));
    }
    printf("%u\n", (unsigned)ntohs(a.sin_port));
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv)
{
    struct tls_options options = {.server = true, .min_tls = "1.3", .alpn = "h2"};
    struct tls_ctx *ctx;
    struct pfs_error err;

    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: null_server CERT KEY [SIZE]\n");
        return 2;
    }
    options.cert_file = argv[1];
    options.key_file = argv[2];
    size = argc == 4 ? strtoull(argv[3], NULL, 10) : size;
    if (tls_ctx_new(&options, &ctx, &err) != PFS_OK) {
        die("TLS", err.text);
    }
    memset(filler, 'x', sizeof filler);
    for (int listener = listen_somewhere();;) {
        serve_next(listener, ctx);
    }
}
