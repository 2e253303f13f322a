/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "h1.h"
#include <stdio.h>
#include <string.h>

#define CHUNK_OVERHEAD 16 /* size in hex, two CR LF, rounded up */

/* ---- header ---- */

/* Names as old clients like them: Content-Type. */
static bool put_field(struct pfs_buf *b, const char *name, const char *value)
{
    size_t n = strlen(name);
    char *to = pfs_buf_room(b, n + strlen(value) + 4);
    bool upper = true;

    if (!to) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        char ch = name[i];

        to[i] = upper && ch >= 'a' && ch <= 'z' ? (char)(ch - 32) : ch;
        upper = ch == '-';
    }
    pfs_buf_added(b, n);
    return pfs_buf_add_str(b, ": ") && pfs_buf_add_str(b, value) && pfs_buf_add_str(b, "\r\n");
}

static bool put_head(struct h1 *h, const struct resp_head *head)
{
    struct pfs_buf *b = &h->out;
    char length[24];
    bool ok = pfs_buf_room(b, 512) &&
              pfs_buf_printf(b, "HTTP/1.1 %d %s\r\n", head->status, h1_reason(head->status));

    if (head->content_type) {
        ok = ok && put_field(b, "content-type", head->content_type);
    }
    if (head->length >= 0 && head->status >= 200 && head->status != 204 && head->status != 304) {
        snprintf(length, sizeof(length), "%lld", (long long)head->length);
        ok = ok && put_field(b, "content-length", length);
    }
    if (h->chunked_out) {
        ok = ok && put_field(b, "transfer-encoding", "chunked");
    }
    for (size_t i = 0; i < head->n_extra; i++) {
        if (head->extra[i].lasts || resp_value_is_safe(head->extra[i].value)) {
            ok = ok && put_field(b, head->extra[i].name, head->extra[i].value);
        }
    }
    if (!h->keep_alive) {
        ok = ok && put_field(b, "connection", "close");
    }
    return ok && pfs_buf_add_str(b, "\r\n");
}

void h1_refuse(struct conn *c, int status, const char *reason)
{
    struct h1 *h = c->session;

    h->state = H1_CLOSE;
    h->keep_alive = false;
    if (!pfs_buf_printf(&h->out,
                        "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\n"
                        "Content-Length: %zu\r\nConnection: close\r\n\r\n{\"error\":\"%s\"}\n",
                        status, h1_reason(status), strlen(reason) + 13, reason)) {
        conn_break(c);
    }
    conn_touch(c);
}

/* ---- what a request asks of us ---- */

static void on_respond(struct http_req *r, const struct resp_head *head)
{
    struct conn *c = r->conn;
    struct h1 *h = c->session;

    /* The rest of the body: not sent if we never said 100, or too much to be thrown away. */
    if (h->state == H1_BODY &&
        (r->expects || r->body_broken || (!h->chunked_in && h->left > DISCARD_MAX))) {
        h->keep_alive = false;
    }
    h->chunked_out = head->length < 0 && !head->no_body && h->minor > 0;
    if (head->length < 0 && !head->no_body && h->minor == 0) {
        h->keep_alive = false;
    }
    if (!put_head(h, head)) {
        conn_break(c);
    }
    h->responding = true;
    conn_touch(c);
}

static void on_body_wanted(struct http_req *r)
{
    struct conn *c = r->conn;
    struct h1 *h = c->session;

    if (r->expects) {
        r->expects = false;
        if (!pfs_buf_add_str(&h->out, "HTTP/1.1 100 Continue\r\n\r\n")) {
            conn_break(c);
        }
    }
    conn_touch(c);
}

static void on_body_taken(struct http_req *r, size_t n)
{
    conn_touch(r->conn); /* there may be input that waited for room */
}

static void on_resume(struct http_req *r)
{
    conn_touch(r->conn);
}

static void on_released(struct http_req *r)
{
}

const struct req_ops h1_req_ops = {
    .body_wanted = on_body_wanted,
    .body_taken = on_body_taken,
    .respond = on_respond,
    .resume = on_resume,
    .released = on_released,
};

/* ---- output ---- */

/* The current response is complete: on to the next request, or close. */
static void finish(struct conn *c)
{
    struct h1 *h = c->session;
    struct http_req *r = h->r;

    h->r = NULL;
    h->responding = false;
    h->since_ms = loop_now_ms(c->loop);
    if (!h->keep_alive) {
        h->state = H1_CLOSE;
    } else if (h->state == H1_BUSY) {
        h->state = H1_HEAD;
    } /* else the rest of the body is discarded first */
    pfs_buf_fini(&h->out);
    req_gone(r);
}

static size_t drain_out(struct h1 *h, char *dst, size_t cap)
{
    size_t n = pfs_buf_len(&h->out);

    n = n < cap ? n : cap;
    if (n) {
        memcpy(dst, pfs_buf_data(&h->out), n);
        pfs_buf_consume(&h->out, n);
    }
    return n;
}

/* Copies what is ready, as one chunk where that is the coding. */
static size_t put_body(struct h1 *h, char *dst, size_t cap, size_t ready)
{
    size_t overhead = h->chunked_out ? CHUNK_OVERHEAD : 0;
    size_t take = ready < cap - overhead ? ready : cap - overhead;
    size_t n = 0;

    if (h->chunked_out) {
        n = (size_t)snprintf(dst, cap, "%zx\r\n", take);
    }
    memcpy(dst + n, h->r->ready, take);
    n += take;
    if (h->chunked_out) {
        memcpy(dst + n, "\r\n", 2);
        n += 2;
    }
    req_took(h->r, take);
    return n;
}

/* The response may be complete with what has been put out up to `end`. */
static void note_end(struct conn *c, const char *end)
{
    struct h1 *h = c->session;

    if (h->responding && h->r->resp == RESP_END && pfs_buf_len(&h->out) == 0) {
        conn_sending(c, h->r, end);
    }
}

size_t h1_drain(struct conn *c, char *dst, size_t cap)
{
    struct h1 *h = c->session;
    size_t n = drain_out(h, dst, cap);

    note_end(c, dst + n);
    while (h->responding && pfs_buf_len(&h->out) == 0 && cap - n > 2 * CHUNK_OVERHEAD) {
        bool end;
        ssize_t ready = req_ready(h->r, &end);

        if (ready < 0) {
            conn_reset(c);
            break;
        }
        if (ready > 0) {
            n += put_body(h, dst + n, cap - n, (size_t)ready);
            note_end(c, dst + n);
            continue;
        }
        if (!end) {
            break;
        }
        if (h->chunked_out) {
            memcpy(dst + n, "0\r\n\r\n", 5);
            n += 5;
        }
        note_end(c, dst + n);
        finish(c);
    }
    return n;
}
