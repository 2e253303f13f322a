/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "support/h2peer.h"
#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <string.h>

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define HEAD_LEN 9

void h2peer_init(struct h2peer *p)
{
    nghttp2_hd_inflater *inflater = NULL;

    memset(p, 0, sizeof *p);
    p->answers_pings = p->gives_credit = true;
    if (nghttp2_hd_inflate_new(&inflater) != 0) {
        abort();
    }
    p->inflater = inflater;
}

void h2peer_fini(struct h2peer *p)
{
    for (unsigned i = 0; i < H2PEER_STREAMS; i++) {
        pfs_buf_fini(&p->streams[i].body);
    }
    nghttp2_hd_inflate_del(p->inflater);
    pfs_buf_fini(&p->in);
}

/* ---- writing ---- */

bool h2peer_raw(struct h2peer *p, const void *bytes, size_t n)
{
    return p->write(p, bytes, n);
}

static void put32(unsigned char *to, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++) {
        to[i] = (unsigned char)(v >> (24 - 8 * i));
    }
}

static uint32_t get32(const unsigned char *from)
{
    return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

bool h2peer_frame(struct h2peer *p, unsigned type, unsigned flags, uint32_t stream,
                  const void *payload, size_t n)
{
    struct pfs_buf b = {0};
    unsigned char head[HEAD_LEN] = {(unsigned char)(n >> 16), (unsigned char)(n >> 8),
                                    (unsigned char)n, (unsigned char)type, (unsigned char)flags};

    put32(head + 5, stream);
    bool ok = pfs_buf_add(&b, head, sizeof head) && (n == 0 || pfs_buf_add(&b, payload, n)) &&
              p->write(p, pfs_buf_data(&b), pfs_buf_len(&b));
    pfs_buf_fini(&b);
    return ok;
}

bool h2peer_settings(struct h2peer *p, unsigned n_pairs, const uint32_t *pairs)
{
    unsigned char payload[16 * 6];

    for (unsigned i = 0; i < n_pairs; i++) {
        payload[6 * i] = 0;
        payload[6 * i + 1] = (unsigned char)pairs[2 * i];
        put32(payload + 6 * i + 2, pairs[2 * i + 1]);
    }
    return h2peer_frame(p, H2_SETTINGS, 0, 0, payload, (size_t)n_pairs * 6);
}

/* A string literal without Huffman coding: length with a 7-bit prefix, bytes. */
static void encode_string(struct pfs_buf *b, const char *s)
{
    size_t n = strlen(s);
    unsigned char len[8];
    unsigned k = 0;

    if (n < 127) {
        len[k++] = (unsigned char)n;
    } else {
        size_t rest = n - 127;

        len[k++] = 127;
        for (; rest >= 128; rest >>= 7) {
            len[k++] = (unsigned char)(rest | 128);
        }
        len[k++] = (unsigned char)rest;
    }
    if (!pfs_buf_add(b, len, k) || !pfs_buf_add(b, s, n)) {
        abort();
    }
}

void h2peer_encode(struct pfs_buf *b, const char *const *fields)
{
    for (; fields[0]; fields += 2) {
        if (!pfs_buf_add(b, "\0", 1)) {
            abort();
        }
        encode_string(b, fields[0]);
        encode_string(b, fields[1]);
    }
}

bool h2peer_headers(struct h2peer *p, unsigned flags, uint32_t stream, const char *const *fields)
{
    struct pfs_buf b = {0};

    h2peer_encode(&b, fields);
    bool ok = h2peer_frame(p, H2_HEADERS, flags | H2_END_HEADERS, stream, pfs_buf_data(&b),
                           pfs_buf_len(&b));
    pfs_buf_fini(&b);
    return ok;
}

bool h2peer_data(struct h2peer *p, unsigned flags, uint32_t stream, const char *text)
{
    return h2peer_frame(p, H2_DATA, flags, stream, text, strlen(text));
}

bool h2peer_rst(struct h2peer *p, uint32_t stream, uint32_t code)
{
    unsigned char payload[4];

    put32(payload, code);
    return h2peer_frame(p, H2_RST_STREAM, 0, stream, payload, sizeof payload);
}

bool h2peer_goaway(struct h2peer *p, uint32_t last, uint32_t code, const char *debug)
{
    unsigned char payload[128];
    size_t n = strlen(debug);

    put32(payload, last);
    put32(payload + 4, code);
    memcpy(payload + 8, debug, n);
    return h2peer_frame(p, H2_GOAWAY, 0, 0, payload, 8 + n);
}

bool h2peer_ping(struct h2peer *p)
{
    return h2peer_frame(p, H2_PING, 0, 0, "01234567", 8);
}

bool h2peer_window(struct h2peer *p, uint32_t stream, uint32_t n)
{
    unsigned char payload[4];

    put32(payload, n);
    return h2peer_frame(p, H2_WINDOW_UPDATE, 0, stream, payload, sizeof payload);
}

bool h2peer_reply(struct h2peer *p, uint32_t stream, const char *status, const char *body)
{
    return h2peer_reply_with(p, stream, status, NULL, NULL, body);
}

bool h2peer_reply_with(struct h2peer *p, uint32_t stream, const char *status, const char *name,
                       const char *value, const char *body)
{
    const char *fields[] = {":status", status, "content-type", "application/json", name,
                            value,     NULL};

    return h2peer_headers(p, *body ? 0 : H2_END_STREAM, stream, fields) &&
           (!*body || h2peer_data(p, H2_END_STREAM, stream, body));
}

/* ---- reading ---- */

/* At least n bytes in `in`. */
static bool have(struct h2peer *p, size_t n)
{
    int64_t deadline = pfs_now() + H2PEER_WAIT_NS;

    while (pfs_buf_len(&p->in) < n) {
        char *room = pfs_buf_room(&p->in, 65536);
        ssize_t got = room ? p->read(p, room, 65536, deadline) : -1;

        p->eof |= got == 0;
        if (got <= 0) {
            return false;
        }
        pfs_buf_added(&p->in, (size_t)got);
    }
    return true;
}

static struct h2req *find(struct h2peer *p, uint32_t stream)
{
    for (unsigned i = 0; i < H2PEER_STREAMS; i++) {
        if (p->streams[i].stream == stream) {
            return &p->streams[i];
        }
    }
    return NULL;
}

static void keep(char *dst, size_t cap, const nghttp2_nv *nv)
{
    size_t n = nv->valuelen < cap - 1 ? nv->valuelen : cap - 1;

    memcpy(dst, nv->value, n);
    dst[n] = '\0';
}

static void take_field(struct h2req *r, const nghttp2_nv *nv)
{
    const struct {
        const char *name;
        char *dst;
        size_t cap;
    } wanted[] = {{":method", r->method, sizeof r->method},
                  {":path", r->path, sizeof r->path},
                  {"x-req-id", r->req_id, sizeof r->req_id},
                  {"x-attempt", r->attempt, sizeof r->attempt},
                  {"authorization", r->authorization, sizeof r->authorization}};

    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        if (nv->namelen == strlen(wanted[i].name) &&
            memcmp(nv->name, wanted[i].name, nv->namelen) == 0) {
            keep(wanted[i].dst, wanted[i].cap, nv);
        }
    }
}

static void take_headers(struct h2peer *p, const struct h2frame *f)
{
    struct h2req *r = find(p, 0);
    const uint8_t *at = f->payload;
    size_t left = f->len;

    if (!r) {
        return;
    }
    pfs_buf_fini(&r->body);
    *r = (struct h2req){.stream = f->stream};
    if (f->flags & 0x20) { /* PRIORITY */
        at += 5;
        left -= 5;
    }
    for (;;) {
        nghttp2_nv nv;
        int flags = 0;
        ssize_t used = nghttp2_hd_inflate_hd2(p->inflater, &nv, &flags, at, left, 1);

        if (used < 0) {
            return;
        }
        at += used;
        left -= (size_t)used;
        if (flags & NGHTTP2_HD_INFLATE_EMIT) {
            take_field(r, &nv);
        }
        if (flags & NGHTTP2_HD_INFLATE_FINAL) {
            nghttp2_hd_inflate_end_headers(p->inflater);
            return;
        }
    }
}

static void take_frame(struct h2peer *p, const struct h2frame *f)
{
    struct h2req *r = f->stream ? find(p, f->stream) : NULL;

    switch ((enum h2_type)f->type) {
    case H2_HEADERS:
        take_headers(p, f);
        r = find(p, f->stream);
        break;
    case H2_DATA:
        if (r && f->len && !pfs_buf_add(&r->body, f->payload, f->len)) {
            abort();
        }
        if (p->gives_credit && f->len) {
            h2peer_window(p, 0, (uint32_t)f->len);
            h2peer_window(p, f->stream, (uint32_t)f->len);
        }
        break;
    case H2_SETTINGS:
        if (!(f->flags & H2_ACK)) {
            h2peer_frame(p, H2_SETTINGS, H2_ACK, 0, NULL, 0);
        }
        return;
    case H2_PING:
        p->n_pings += !(f->flags & H2_ACK);
        if (p->answers_pings && !(f->flags & H2_ACK)) {
            h2peer_frame(p, H2_PING, H2_ACK, 0, f->payload, f->len);
        }
        return;
    case H2_RST_STREAM:
        p->n_rst++;
        p->rst_code = get32(f->payload);
        if (r) {
            h2peer_forget(r);
        }
        return;
    case H2_GOAWAY:
        p->goaway = true;
        p->goaway_code = get32(f->payload + 4);
        return;
    case H2_PRIORITY:
    case H2_PUSH_PROMISE:
    case H2_WINDOW_UPDATE:
    case H2_CONTINUATION:
        return;
    }
    if (r && (f->flags & H2_END_STREAM)) {
        r->ended = true;
    }
}

bool h2peer_next(struct h2peer *p, struct h2frame *ret)
{
    pfs_buf_consume(&p->in, p->frame_len);
    p->frame_len = 0;
    if (!have(p, HEAD_LEN)) {
        return false;
    }
    const unsigned char *h = (const unsigned char *)pfs_buf_data(&p->in);
    size_t n = (size_t)h[0] << 16 | (size_t)h[1] << 8 | h[2];

    if (!have(p, HEAD_LEN + n)) {
        return false;
    }
    h = (const unsigned char *)pfs_buf_data(&p->in);
    *ret = (struct h2frame){.type = h[3],
                            .flags = h[4],
                            .stream = get32(h + 5) & 0x7fffffff,
                            .len = n,
                            .payload = h + HEAD_LEN};
    p->frame_len = HEAD_LEN + n;
    take_frame(p, ret);
    return true;
}

bool h2peer_wait(struct h2peer *p, unsigned type, struct h2frame *ret)
{
    bool ackable = type == H2_SETTINGS || type == H2_PING;

    while (h2peer_next(p, ret)) {
        if (ret->type == type && !(ackable && (ret->flags & H2_ACK))) {
            return true;
        }
    }
    return false;
}

bool h2peer_hello(struct h2peer *p, unsigned n_pairs, const uint32_t *pairs)
{
    size_t n = sizeof PREFACE - 1;

    if (!have(p, n) || memcmp(pfs_buf_data(&p->in), PREFACE, n) != 0) {
        return false;
    }
    pfs_buf_consume(&p->in, n);
    return h2peer_settings(p, n_pairs, pairs);
}

struct h2req *h2peer_head(struct h2peer *p)
{
    struct h2frame f;

    return h2peer_wait(p, H2_HEADERS, &f) ? find(p, f.stream) : NULL;
}

struct h2req *h2peer_request(struct h2peer *p)
{
    struct h2frame f;

    while (h2peer_next(p, &f)) {
        struct h2req *r = f.stream ? find(p, f.stream) : NULL;

        if (r && r->ended && (f.type == H2_HEADERS || f.type == H2_DATA)) {
            return r;
        }
    }
    return NULL;
}

void h2peer_forget(struct h2req *r)
{
    pfs_buf_fini(&r->body);
    *r = (struct h2req){0};
}

bool h2peer_drain(struct h2peer *p)
{
    struct h2frame f;

    while (h2peer_next(p, &f)) {
    }
    return p->eof;
}

void h2peer_serve(struct h2peer *p, h2peer_reply_fn *reply, void *arg)
{
    for (struct h2req *r; (r = h2peer_request(p)) != NULL;) {
        if (reply) {
            reply(p, r, arg);
        } else {
            h2peer_reply(p, r->stream, "200", "{}");
        }
        h2peer_forget(r);
    }
}
