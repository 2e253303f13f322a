/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/log.h"
#include "base/sys.h"
#include "conn.h"
#include "identity.h"
#include <errno.h>
#include <string.h>

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define PREFACE_LEN 24
#define TLS_RECORD_HANDSHAKE 0x16

/* ---- out ---- */

size_t conn_unsent(const struct conn *c)
{
    size_t n;

    if (!c->tls || c->state == CONN_HELLO) {
        return pfs_buf_len(&c->out);
    }
    tls_out(c->tls, &n);
    return n + pfs_buf_len(&c->out); /* both: an answer in clear text on a port for TLS */
}

/* Sends n bytes; returns how many the socket took. */
static size_t send_some(struct conn *c, const char *p, size_t n)
{
    ssize_t sent = sys_send(c->fd, p, n, MSG_NOSIGNAL);

    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            c->broken = true;
        }
        return 0;
    }
    c->wrote_ms = loop_now_ms(c->loop);
    c->sent += (size_t)sent;
    c->taken += (size_t)sent; /* encrypted bytes are more than what is in them: never too few */
    conn_report_sent(c, c->taken, true);
    return (size_t)sent;
}

/* Sends what waits; true when all of it has left. */
static bool send_waiting(struct conn *c)
{
    size_t n = pfs_buf_len(&c->out);

    if (n) {
        size_t sent = send_some(c, pfs_buf_data(&c->out), n);

        pfs_buf_consume(&c->out, sent);
        if (sent < n) {
            return false;
        }
    }
    if (c->tls) {
        const char *p = tls_out(c->tls, &n);

        if (n) {
            size_t sent = send_some(c, p, n);

            tls_out_sent(c->tls, sent);
            return sent == n;
        }
    }
    return true;
}

/* What the loop's buffer holds; all before it has left. */
static void conn_write(struct conn *c, const char *p, size_t n)
{
    struct pfs_error err;

    c->taken = 0;
    if (c->tls) {
        if (tls_write(c->tls, p, n, &err) != PFS_OK) {
            c->broken = true;
        } else {
            send_waiting(c);
        }
        return;
    }
    size_t sent = send_some(c, p, n);

    if (sent < n && !c->broken && !pfs_buf_add(&c->out, p + sent, n - sent)) {
        c->broken = true;
    }
}

void conn_say_end(struct conn *c)
{
    if (c->tls) {
        tls_shutdown(c->tls);
        send_waiting(c);
    }
    shutdown(c->fd, SHUT_WR);
}

/* ---- in ---- */

static void open_proto(struct conn *c, const struct proto *proto)
{
    c->proto = proto;
    c->state = CONN_OPEN;
    c->since_ms = loop_now_ms(c->loop);
    if (!proto->open(c)) {
        c->state = CONN_LINGER; /* without a session there is no protocol to ask */
        c->broken = true;
        return;
    }
    conn_end_handshake(c);
    log_debug("c%u speaks %s", c->id, proto->name);
    if (c->loop->state != LOOP_RUNNING) {
        proto->shut(c, c->loop->state == LOOP_NOTICE ? CONN_SHUT_NOTICE : CONN_SHUT_LAST);
    }
}

/* Looks at the first clear bytes. False: too few of them. */
static bool sniff(struct conn *c, const char *p, size_t n)
{
    size_t m = n < PREFACE_LEN ? n : PREFACE_LEN;

    if (p[0] == TLS_RECORD_HANDSHAKE) {
        conn_log(c, "TLS on a port for clear text");
        c->broken = true;
    } else if (memcmp(p, PREFACE, m) != 0) {
        open_proto(c, &h1_proto);
    } else if (m < PREFACE_LEN) {
        return false;
    } else {
        open_proto(c, &h2_proto);
    }
    return true;
}

/* Uses as much as can be used of n bytes; returns how many. */
static size_t use(struct conn *c, const char *p, size_t n)
{
    if (c->state == CONN_SNIFF && !sniff(c, p, n)) {
        return 0;
    }
    if (c->state == CONN_LINGER) {
        c->lingered += n;
        if (c->lingered > LINGER_MAX) {
            c->broken = true;
        }
        return n;
    }
    return c->broken ? n : c->proto->input(c, p, n);
}

/* Goes on with what was left over. True: some of it was used. */
static bool use_waiting(struct conn *c)
{
    size_t n = pfs_buf_len(&c->in);

    if (!n || c->broken) {
        return false;
    }
    size_t used = use(c, pfs_buf_data(&c->in), n);

    pfs_buf_consume(&c->in, used);
    if (pfs_buf_len(&c->in) == 0) {
        pfs_buf_fini(&c->in);
    }
    return used > 0;
}

/* New clear bytes. */
static void feed(struct conn *c, const char *p, size_t n)
{
    size_t used = 0;

    if (pfs_buf_len(&c->in) == 0) {
        used = use(c, p, n);
    }
    if (used < n && !c->broken) {
        if (!pfs_buf_add(&c->in, p + used, n - used)) {
            c->broken = true;
        } else if (used == 0) {
            use_waiting(c);
        }
    }
}

/* Decrypts and feeds as long as the protocol wants more. True: something was fed. */
static bool feed_tls(struct conn *c)
{
    struct pfs_error err;
    bool clean, any = false;

    while (!c->broken && !c->eof && (c->state != CONN_OPEN || c->proto->wants_read(c))) {
        ssize_t n = tls_read(c->tls, c->loop->rbuf, READ_CHUNK, &clean, &err);

        if (n == 0) {
            break;
        }
        if (n == TLS_READ_EOF) {
            c->eof = true;
        } else if (n < 0) {
            log_debug("c%u: %s", c->id, err.text);
            c->broken = true;
        } else {
            feed(c, c->loop->rbuf, (size_t)n);
            any = true;
            if (!tls_has_input(c->tls)) {
                break; /* the usual end: asking costs a fifth of a record */
            }
        }
    }
    return any;
}

/* Says why, in bytes of whatever protocol, instead of opening it. */
static void answer_and_end(struct conn *c, const char *answer, size_t n)
{
    conn_write(c, answer, n);
    conn_say_end(c);
    c->state = CONN_LINGER;
    c->since_ms = loop_now_ms(c->loop);
}

/* The identity has its share of connections. Nothing of this one has been looked at. */
static void answer_too_many(struct conn *c)
{
    static const char h1[] =
        "HTTP/1.1 503 Service Unavailable\r\n"
        "Connection: close\r\nRetry-After: 1\r\nContent-Type: application/json\r\n"
        "Content-Length: 63\r\n\r\n"
        "{\"error\":\"too many connections\",\"class\":\"busy\",\"outcome\":\"NA\"}\n";
    static const char h2[] =
        "\0\0\0\4\0\0\0\0\0"                    /* SETTINGS */
        "\0\0\10\7\0\0\0\0\0\0\0\0\0\0\0\0\13"; /* GOAWAY 0 ENHANCE_YOUR_CALM */

    if (strcmp(tls_alpn(c->tls), "h2") == 0) {
        answer_and_end(c, h2, sizeof(h2) - 1);
    } else {
        answer_and_end(c, h1, sizeof(h1) - 1);
    }
}

/* False: it cannot be served. */
static bool take_identity(struct conn *c)
{
    char identity[512];

    if (!tls_peer_identity(c->tls, identity, sizeof(identity))) {
        return true;
    }
    if (!clients_identify(c->loop->clients, identity)) {
        meter_hit(METER_PER_IDENTITY, &c->client, identity);
        answer_too_many(c);
        return false;
    }
    c->identity = identity_new(identity);
    if (!c->identity) { /* never let it pass for an anonymous client */
        clients_unidentify(c->loop->clients, identity);
        c->broken = true;
    }
    return c->identity != NULL;
}

static void handshake_done(struct conn *c)
{
    conn_end_handshake(c);
    if (!take_identity(c)) {
        return;
    }
    log_debug("c%u %s client %s", c->id, tls_version(c->tls), c->identity ? c->identity : "-");
    if (strcmp(tls_alpn(c->tls), "h2") == 0) {
        open_proto(c, &h2_proto);
    } else if (strcmp(tls_alpn(c->tls), "http/1.1") == 0) {
        open_proto(c, &h1_proto);
    } else {
        c->state = CONN_SNIFF;
    }
}

/* Somebody typed http:// for https://. */
static void answer_clear(struct conn *c)
{
    static const char answer[] = "HTTP/1.0 400 Bad Request\r\n"
                                 "Content-Type: text/plain; charset=utf-8\r\n"
                                 "Connection: close\r\n\r\n"
                                 "Client sent an HTTP request to an HTTPS server.\n";

    conn_end_handshake(c);
    tls_free(c->tls);
    c->tls = NULL;
    answer_and_end(c, answer, sizeof(answer) - 1);
}

/* Input has been added to c->tls, or its end. */
static void go_on_tls(struct conn *c)
{
    struct pfs_error err;

    if (c->state == CONN_TLS) {
        int rc = tls_handshake(c->tls, &err);

        send_waiting(c);
        if (rc < 0) {
            conn_log(c, "%s", err.text);
            meter_hit(METER_TLS, &c->client, NULL);
            c->broken = true;
        } else if (rc > 0) {
            handshake_done(c);
        }
    }
    if (c->state != CONN_TLS) {
        feed_tls(c);
    }
}

/* One recv. False: nothing more for now. */
static bool read_once(struct conn *c)
{
    size_t cap = READ_CHUNK;
    char *room = c->tls ? tls_in_room(c->tls, &cap) : c->loop->rbuf;

    if (!room) {
        c->broken = true;
        return false;
    }
    ssize_t n = sys_recv(c->fd, room, cap, 0);

    if (n < 0) {
        c->broken = errno != EAGAIN && errno != EINTR;
        return false;
    }
    if (n == 0) {
        if (c->tls) {
            tls_in_eof(c->tls);
            go_on_tls(c);
        }
        c->eof = true;
        return false;
    }
    if (c->state == CONN_HELLO) {
        if (c->tls && room[0] >= 'A' && room[0] <= 'Z') {
            answer_clear(c);
            return false;
        }
        c->state = c->tls ? CONN_TLS : CONN_SNIFF;
    }
    if (c->tls) {
        tls_in_added(c->tls, (size_t)n);
        go_on_tls(c);
    } else {
        feed(c, room, (size_t)n);
    }
    return (size_t)n == cap;
}

void conn_read(struct conn *c)
{
    for (int i = 0; i < READS_PER_TURN && !c->broken && !c->eof; i++) {
        if (!read_once(c) || (c->state == CONN_OPEN && !c->proto->wants_read(c))) {
            break;
        }
    }
}

/* ---- a turn ---- */

/* Goes on with input that has waited for output to leave. True: there was some. */
static bool go_on(struct conn *c)
{
    return use_waiting(c) || (c->tls && tls_has_input(c->tls) && feed_tls(c));
}

/* Fills the loop's buffer with all output, or most of the buffer. */
static size_t gather(struct conn *c)
{
    struct loop *l = c->loop;
    size_t n = 0;

    if (c->broken || c->state != CONN_OPEN) {
        return 0;
    }
    do {
        n += c->proto->drain(c, l->wbuf + n, WRITE_CHUNK - n);
    } while (!c->broken && go_on(c) && !c->broken && c->state == CONN_OPEN);
    return n;
}

void conn_pass_on(struct conn *c)
{
    loop_host_work(c->loop);
    if (!c->in_turn && !conn_unsent(c)) { /* else the loop's buffer is in use, or the socket full */
        size_t n = c->proto->drain(c, c->loop->wbuf, WRITE_CHUNK);

        if (n) {
            conn_write(c, c->loop->wbuf, n);
        }
    }
}

/* Sends what there is, as much as is fair. */
static void pour(struct conn *c)
{
    size_t total = 0;

    c->more = false;
    while (!c->broken && send_waiting(c)) {
        size_t n = gather(c);

        if (n == 0) {
            break;
        }
        conn_write(c, c->loop->wbuf, n);
        total += n;
        if (total >= WRITE_MAX_PER_TURN) {
            c->more = true;
            break;
        }
        if (n < WRITE_CHUNK / 2) {
            break; /* that was all; what comes up now asks for a turn of its own */
        }
    }
    c->bulk = total >= BULK_MIN;
}

void conn_work(struct conn *c)
{
    pour(c);
    if ((c->eof || c->ended) && c->state == CONN_OPEN && !c->broken && !c->more &&
        !conn_unsent(c)) {
        c->proto->on_eof(c); /* at eof all input has been offered: what is missing will not come */
        pour(c);
    }
}
