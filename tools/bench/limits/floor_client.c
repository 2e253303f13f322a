/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * The least that an HTTP/2 client made of nghttp2 and OpenSSL can take: GETs of one target, one
 * after the other, nothing decoded, no deadline, no retry, no thread. What libproxyfs takes more is
 * its own; what is missing between this and a bar of limits.sh lies in those two libraries and in
 * the server.
 *
 * usage: floor_client PORT TARGET CAFILE CERT KEY SECONDS    prints calls per second and the median
 * in us
 */
#include "net/tls.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define RECORD 16384
#define SAMPLES_MAX (1u << 20)
#define NV(name, text)                                                                             \
    (nghttp2_nv)                                                                                   \
    {                                                                                              \
        (uint8_t *)(name), (uint8_t *)(text), sizeof(name) - 1, strlen(text),                      \
            NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE                           \
    }

static int fd;
static struct tls *tls;
static nghttp2_session *ng;
static bool is_done, is_good;
static float samples[SAMPLES_MAX]; /* microseconds */

static void die(const char *what, const char *why)
{
    fprintf(stderr, "floor_client: %s: %s\n", what, why);
    exit(1);
}

static double now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void send_ciphertext(void)
{
    size_t n;

    for (const char *at; (at = tls_out(tls, &n)) != NULL;) {
        ssize_t sent = send(fd, at, n, MSG_NOSIGNAL);

        if (sent <= 0) {
            die("send", "the connection was lost");
        }
        tls_out_sent(tls, (size_t)sent);
    }
}

static void receive_ciphertext(void)
{
    size_t cap;
    char *room = tls_in_room(tls, &cap);
    ssize_t n = room ? recv(fd, room, cap, 0) : 0;

    if (n <= 0) {
        die("recv", "the connection was lost");
    }
    tls_in_added(tls, (size_t)n);
}

/* All that nghttp2 wants to send, in one record. */
static void flush(void)
{
    struct pfs_error err;
    const uint8_t *frame;
    char record[RECORD];
    size_t n = 0;

    for (ssize_t len; (len = nghttp2_session_mem_send(ng, &frame)) != 0; n += (size_t)len) {
        if (len < 0 || n + (size_t)len > sizeof record) {
            die("nghttp2_session_mem_send", len < 0 ? nghttp2_strerror((int)len) : "too much");
        }
        memcpy(record + n, frame, (size_t)len);
    }
    if (n && tls_write(tls, record, n, &err) != PFS_OK) {
        die("TLS", err.text);
    }
    send_ciphertext();
}

static void take_input(void)
{
    struct pfs_error err;
    bool clean;
    uint8_t text[RECORD];

    receive_ciphertext();
    for (ssize_t n; (n = tls_read(tls, text, sizeof text, &clean, &err)) != 0;) {
        if (n < 0 || nghttp2_session_mem_recv(ng, text, (size_t)n) != n) {
            die("reply", n == TLS_READ_ERROR ? err.text : "the connection ended");
        }
    }
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t n_name, const uint8_t *value, size_t n_value, uint8_t flags, void *arg)
{
    if (n_name == 7 && name[0] == ':') {
        is_good = value[0] == '2';
    }
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
    is_done = true;
    is_good &= code == NGHTTP2_NO_ERROR;
    return 0;
}

static void connect_to(int port, const struct tls_options *options)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct tls_ctx *ctx;
    struct pfs_error err;
    int on = 1, rc;

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        die("connect", "nobody listens on that port of 127.0.0.1");
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (tls_ctx_new(options, &ctx, &err) != PFS_OK ||
        tls_new(ctx, "localhost", &tls, &err) != PFS_OK) {
        die("TLS", err.text);
    }
    while ((rc = tls_handshake(tls, &err)) == 0) {
        send_ciphertext();
        receive_ciphertext();
    }
    if (rc < 0) {
        die("TLS handshake", err.text);
    }
    send_ciphertext();
    tls_ctx_unref(ctx);
}

static void open_session(void)
{
    static const nghttp2_settings_entry settings = {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1};
    nghttp2_session_callbacks *cb;

    if (nghttp2_session_callbacks_new(&cb) != 0) {
        die("nghttp2", "out of memory");
    }
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
    if (nghttp2_session_client_new(&ng, cb, NULL) != 0 ||
        nghttp2_submit_settings(ng, NGHTTP2_FLAG_NONE, &settings, 1) != 0) {
        die("nghttp2", "out of memory");
    }
    nghttp2_session_callbacks_del(cb);
}

static void call(const char *target)
{
    const nghttp2_nv nv[] = {NV(":method", "GET"), NV(":scheme", "https"),
                             NV(":authority", "localhost"), NV(":path", target)};

    is_done = false;
    if (nghttp2_submit_request(ng, NULL, nv, 4, NULL, NULL) < 0) {
        die("nghttp2", "no request");
    }
    flush();
    while (!is_done) {
        take_input();
    }
    if (!is_good) {
        die(target, "refused");
    }
}

static double number(const char *text)
{
    char *end;
    double v = strtod(text, &end);

    if (end == text || *end != '\0' || !(v > 0 && v < 65536)) {
        die(text, "not a number from 0 to 65535");
    }
    return v;
}

static int compare(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        die("usage", "floor_client PORT TARGET CAFILE CERT KEY SECONDS");
    }
    struct tls_options options = {.ca_file = argv[3],
                                  .cert_file = argv[4],
                                  .key_file = argv[5],
                                  .min_tls = "1.3",
                                  .alpn = "h2"};

    connect_to((int)number(argv[1]), &options);
    open_session();
    double began = now_us(), end = began + number(argv[6]) * 1e6, last = began;
    size_t n = 0;
    while (last < end && n < SAMPLES_MAX) {
        call(argv[2]);
        double now = now_us();

        samples[n++] = (float)(now - last);
        last = now;
    }
    qsort(samples, n, sizeof *samples, compare);
    printf("%.0f %.2f\n", (double)n * 1e6 / (last - began), (double)samples[n / 2]);
    nghttp2_session_del(ng);
    tls_free(tls);
    close(fd);
    return 0;
}
