/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/clock.h"
#include "rig.h"
#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct h2_result *result_of(struct h2_peer *p, int32_t id)
{
    return &p->results[(id - 1) / 2 % PEER_STREAMS];
}

static int on_header(nghttp2_session *s, const nghttp2_frame *f, const uint8_t *name, size_t nn,
                     const uint8_t *value, size_t nv, uint8_t flags, void *user)
{
    if (nn == 7 && memcmp(name, ":status", 7) == 0) {
        result_of(user, f->hd.stream_id)->status = atoi((const char *)value);
    }
    return 0;
}

static int on_data(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *d, size_t n,
                   void *user)
{
    struct h2_result *r = result_of(user, id);

    for (size_t i = 0; i < n; i++) {
        if ((char)d[i] != fake_pattern(r->n + i)) {
            r->pattern = false;
        }
        if (r->n + i < sizeof r->head - 1) {
            r->head[r->n + i] = (char)d[i];
        }
    }
    r->n += n;
    return 0;
}

static int on_close(nghttp2_session *s, int32_t id, uint32_t code, void *user)
{
    result_of(user, id)->closed = true;
    result_of(user, id)->code = code;
    return 0;
}

static int on_frame(nghttp2_session *s, const nghttp2_frame *f, void *user)
{
    struct h2_peer *p = user;

    if (f->hd.type == NGHTTP2_GOAWAY) {
        p->goaway = f->goaway.error_code;
        p->goaway_last = f->goaway.last_stream_id;
        p->n_goaway++;
    } else if (f->hd.type == NGHTTP2_PING) {
        p->ponged = f->hd.flags & NGHTTP2_FLAG_ACK;
    } else if (f->hd.type == NGHTTP2_SETTINGS) {
        p->max_streams =
            nghttp2_session_get_remote_settings(s, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    }
    return 0;
}

void h2_peer_open(struct h2_peer *p, const struct rig *r, uint32_t window)
{
    nghttp2_session_callbacks *cb;
    nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window}};

    memset(p, 0, sizeof *p);
    for (int i = 0; i < PEER_STREAMS; i++) {
        p->results[i].pattern = true;
    }
    p->fd = peer_connect(r);
    nghttp2_session_callbacks_new(&cb);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
    cr_assert_eq(nghttp2_session_client_new(&p->s, cb, p), 0);
    nghttp2_session_callbacks_del(cb);
    nghttp2_submit_settings(p->s, NGHTTP2_FLAG_NONE, settings, window ? 1 : 0);
}

void h2_peer_close(struct h2_peer *p)
{
    nghttp2_session_del(p->s);
    close(p->fd);
}

/* In one piece, as far as it is not long. */
void h2_peer_flush(struct h2_peer *p)
{
    static char all[65536];
    size_t len = 0;
    const uint8_t *bytes;
    ssize_t n;

    while ((n = nghttp2_session_mem_send(p->s, &bytes)) > 0) {
        if (len + (size_t)n > sizeof all) {
            (p->drip ? peer_drip : peer_send)(p->fd, all, len);
            len = 0;
        }
        memcpy(all + len, bytes, (size_t)n);
        len += (size_t)n;
    }
    if (len) {
        (p->drip ? peer_drip : peer_send)(p->fd, all, len);
    }
}

bool h2_peer_read(struct h2_peer *p, int ms)
{
    struct pollfd pf = {.fd = p->fd, .events = POLLIN};
    uint8_t buf[65536];

    if (p->ended || poll(&pf, 1, ms) <= 0) {
        return false;
    }
    ssize_t n = recv(p->fd, buf, sizeof buf, 0);

    if (n <= 0 || nghttp2_session_mem_recv(p->s, buf, (size_t)n) < 0) {
        p->ended = true;
        return false;
    }
    return true;
}

bool h2_peer_until(struct h2_peer *p, const bool *flag)
{
    int64_t end = pfs_now() + 30 * PFS_SEC;

    while (!*flag && !p->ended && pfs_now() < end) {
        h2_peer_flush(p);
        h2_peer_read(p, 1000);
    }
    return *flag;
}

bool h2_peer_finish(struct h2_peer *p, int index)
{
    return h2_peer_until(p, &p->results[index].closed);
}

bool h2_peer_settle(struct h2_peer *p)
{
    h2_peer_flush(p); /* nghttp2 lets a PING overtake what is queued */
    p->ponged = false;
    nghttp2_submit_ping(p->s, NGHTTP2_FLAG_NONE, NULL);
    return h2_peer_until(p, &p->ponged);
}

/* ---- requests ---- */

static ssize_t on_read(nghttp2_session *s, int32_t id, uint8_t *buf, size_t cap, uint32_t *flags,
                       nghttp2_data_source *source, void *user)
{
    struct h2_result *r = result_of(user, id);
    size_t n = r->to_send - r->sent < cap ? r->to_send - r->sent : cap;

    for (size_t i = 0; i < n; i++) {
        buf[i] = (uint8_t)fake_pattern(r->sent + i);
    }
    r->sent += n;
    if (r->sent == r->to_send) {
        *flags = NGHTTP2_DATA_FLAG_EOF;
    }
    return (ssize_t)n;
}

#define NV(name, value)                                                                            \
    {                                                                                              \
        (uint8_t *)(uintptr_t)(name), (uint8_t *)(uintptr_t)(value), strlen(name), strlen(value),  \
            NGHTTP2_NV_FLAG_NONE                                                                   \
    }

static int submit(struct h2_peer *p, const char *method, const char *path, bool has_body,
                  int64_t declare)
{
    char length[24];
    nghttp2_data_provider body = {.read_callback = on_read};

    snprintf(length, sizeof length, "%lld", (long long)declare);
    nghttp2_nv nv[] = {NV(":method", method), NV(":path", path), NV(":scheme", "http"),
                       NV(":authority", "test"), NV("content-length", length)};
    int32_t id =
        nghttp2_submit_request(p->s, NULL, nv, declare >= 0 ? 5 : 4, has_body ? &body : NULL, NULL);

    cr_assert_gt(id, 0);
    return (id - 1) / 2;
}

int h2_peer_get(struct h2_peer *p, const char *path)
{
    return submit(p, "GET", path, false, -1);
}

int h2_peer_put(struct h2_peer *p, const char *path, size_t len, int64_t declare)
{
    int index = submit(p, "PUT", path, true, declare);

    p->results[index].to_send = len;
    return index;
}
