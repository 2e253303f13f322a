/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * One HTTP/2 client session as lib/http/session.h has it. Called by conn under the connection's
 * lock. Requests are never left queued inside nghttp2: max_open keeps what is submitted below the
 * peer's limit.
 */
#include "base/alloc.h"
#include "base/decimal.h"
#include "base/err.h"
#include "h2/h2_internal.h"
#include <string.h>

/* For all that may leave something to be sent. */
static struct h2_session *stir(struct session *s)
{
    struct h2_session *h = h2_of(s);

    h->n_to_send = H2_UNKNOWN;
    return h;
}

static enum pfs_class broken(struct h2_session *h, struct pfs_error *err)
{
    h->gave_up_reported = true;
    return pfs_fail(err, PFS_PROTOCOL, PFS_OUTCOME_UN, PFS_PHASE_WAIT, "%s breaks HTTP/2: %s",
                    h->options.authority, h->gave_up_why[0] ? h->gave_up_why : "malformed frames");
}

static enum pfs_class no_memory(struct h2_session *h, enum pfs_phase phase, struct pfs_error *err)
{
    h->out_of_memory = true;
    return pfs_fail(err, PFS_NOMEM, PFS_OUTCOME_UN, phase, "HTTP/2 session with %s: out of memory",
                    h->options.authority);
}

/*
 * A peer that breaks the protocol is no error of mem_recv: nghttp2 queues GOAWAY and ignores all
 * that follows. Its GOAWAY, which goes before all DATA, is taken out here to learn the reason.
 */
static bool has_given_up(struct h2_session *h)
{
    if (h->goaway_seen || h->said_goodbye || nghttp2_session_check_request_allowed(h->ng)) {
        return false; /* after a GOAWAY of either side h2_drain finds it */
    }
    while (!h->gave_up) {
        const uint8_t *data;
        ssize_t n = nghttp2_session_mem_send(h->ng, &data);

        if (n == 0) {
            break;
        }
        if (n < 0 || !h2_emit(h, data, (size_t)n)) {
            h->out_of_memory = true;
            break;
        }
    }
    return true;
}

static enum pfs_class h2_feed(struct session *s, const void *data, size_t n, int64_t now_ns,
                              struct pfs_error *err)
{
    struct h2_session *h = stir(s);

    h->now_ns = now_ns;
    if (h->out_of_memory) {
        return no_memory(h, PFS_PHASE_WAIT, err);
    }
    if (!s->state.is_up && n >= 5 && memcmp(data, "HTTP/", 5) == 0) {
        return pfs_fail(err, PFS_PROTOCOL, PFS_OUTCOME_NA, PFS_PHASE_SETTINGS,
                        "%s answers in HTTP/1.1, not HTTP/2", h->options.authority);
    }
    ssize_t used = nghttp2_session_mem_recv(h->ng, data, n);
    h2_credit_received(h);
    if (h->fatal.cls != PFS_OK) {
        *err = h->fatal;
        return err->cls;
    }
    if (used == NGHTTP2_ERR_NOMEM || h->out_of_memory) {
        return no_memory(h, PFS_PHASE_WAIT, err);
    }
    if (used < 0) {
        return pfs_fail(err, PFS_PROTOCOL, PFS_OUTCOME_UN, PFS_PHASE_WAIT, "%s breaks HTTP/2: %s",
                        h->options.authority, nghttp2_strerror((int)used));
    }
    if (!h->gave_up && !nghttp2_session_want_write(h->ng)) { /* the usual case */
        h->n_to_send = 0;
        return PFS_OK;
    }
    return has_given_up(h) ? broken(h, err) : PFS_OK;
}

bool h2_emit(struct h2_session *h, const void *bytes, size_t n)
{
    struct h2_out *o = &h->out;
    size_t fits = n < o->cap - o->len ? n : o->cap - o->len;

    if (fits) {
        memcpy(o->piece + o->len, bytes, fits);
        o->len += fits;
    }
    if (fits < n && !pfs_buf_add(&o->rest, (const char *)bytes + fits, n - fits)) {
        h->out_of_memory = true;
    }
    return !h->out_of_memory;
}

/* What did not fit into the last piece goes into this one. */
static void emit_rest(struct h2_out *o)
{
    size_t len = pfs_buf_len(&o->rest);

    if (len) {
        o->len = len < o->cap ? len : o->cap;
        memcpy(o->piece, pfs_buf_data(&o->rest), o->len);
        pfs_buf_consume(&o->rest, o->len);
    }
}

/* Fills the piece with frames. DATA goes into it from within nghttp2, which then answers 0. */
static enum pfs_class fill_piece(struct h2_session *h, struct pfs_error *err)
{
    struct h2_out *o = &h->out;

    emit_rest(o);
    while (o->len < o->cap && pfs_buf_len(&o->rest) == 0 && h->n_to_send != 0) {
        const uint8_t *data;
        size_t before = o->len;
        ssize_t n = nghttp2_session_mem_send(h->ng, &data);

        if (n == NGHTTP2_ERR_NOMEM || h->out_of_memory) {
            return no_memory(h, PFS_PHASE_SEND, err);
        }
        if (n < 0) {
            return pfs_fail(err, PFS_PROTOCOL, PFS_OUTCOME_UN, PFS_PHASE_SEND,
                            "HTTP/2 session with %s: %s", h->options.authority,
                            nghttp2_strerror((int)n));
        }
        if (n == 0 && o->len == before) {
            h->n_to_send = h->gave_up ? H2_UNKNOWN : 0;
            break;
        }
        if (n > 0 && !h2_emit(h, data, (size_t)n)) {
            return no_memory(h, PFS_PHASE_SEND, err);
        }
    }
    return PFS_OK;
}

static enum pfs_class h2_drain(struct session *s, void *buf, size_t cap, size_t *ret_n,
                               struct pfs_error *err)
{
    struct h2_session *h = h2_of(s);

    if (h->out_of_memory) {
        return no_memory(h, PFS_PHASE_SEND, err);
    }
    h->out.piece = buf;
    h->out.cap = cap;
    enum pfs_class cls = fill_piece(h, err);
    *ret_n = h->out.len;
    h->out.cap = h->out.len = 0;
    if (cls == PFS_OK && *ret_n == 0 && h->gave_up && !h->gave_up_reported) {
        cls = broken(h, err);
    }
    return cls;
}

static bool h2_wants_drain(struct session *s)
{
    struct h2_session *h = h2_of(s);

    if (h->n_to_send > 0 || pfs_buf_len(&h->out.rest) > 0 || h->out_of_memory) {
        return true;
    }
    return h->n_to_send == H2_UNKNOWN &&
           (nghttp2_session_want_write(h->ng) || (h->gave_up && !h->gave_up_reported));
}

/*
 * Names and values are not copied: they live until the exchange is DONE, and it is not before its
 * header was serialised or dropped.
 */
static nghttp2_nv field(const char *name, size_t name_len, const char *value, uint8_t flags)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, name_len,
                        strlen(value),
                        flags | NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}

/*
 * A value that changes stays out of HPACK's table; so that its name is there all the same and need
 * not be spelled out each time, the first of a connection is let in.
 */
static uint8_t index_flag(const struct h2_session *h, enum hpack_use use)
{
    bool keep_out = use == HPACK_NOTHING || (use == HPACK_NAME && h->guard.n_streams > 0);

    return keep_out ? NGHTTP2_NV_FLAG_NO_INDEX : 0;
}

static size_t request_fields(const struct h2_session *h, const struct exchange *ex, nghttp2_nv *nv)
{
    size_t n = 0;

    nv[n++] = field(":method", 7, ex->method, 0);
    nv[n++] = h->scheme;
    nv[n++] = h->authority;
    nv[n++] = field(":path", 5, ex->target, 0);
    if (ex->content_type) {
        nv[n++] = field("content-type", 12, ex->content_type, 0);
    }
    for (unsigned i = 0; i < ex->n_fields; i++) {
        const struct http_field *f = &ex->fields[i];

        nv[n++] = field(f->name, strlen(f->name), f->value, index_flag(h, f->hpack));
    }
    return n;
}

static enum pfs_class h2_submit(struct session *s, struct exchange *ex, struct pfs_error *err)
{
    struct h2_session *h = h2_of(s);
    nghttp2_nv nv[6 + EXCHANGE_MAX_FIELDS];
    nghttp2_data_provider body = {.read_callback = h2_read_body_cb};
    bool has_body = ex->body_stream || ex->body_len > 0;
    int64_t length = ex->body_stream ? ex->body_stream_len : (int64_t)ex->body_len;
    char digits[PFS_DECIMAL_MAX];

    if (s->state.is_closing) {
        return pfs_refuse(err, PFS_SHUTDOWN, "the connection is closing");
    }
    if (s->state.n_open >= s->state.max_open) {
        return pfs_refuse(err, PFS_OVERLOAD, "all streams of the connection are in use");
    }
    size_t n = request_fields(h, ex, nv);
    if (length > 0 || (length == 0 && ex->content_type)) {
        const char *text = pfs_decimal(digits, (uint64_t)length);
        nv[n] = field("content-length", 14, text, 0);
        nv[n++].flags = NGHTTP2_NV_FLAG_NO_COPY_NAME; /* the text is gone after this */
    }
    h->n_to_send = has_body || h->n_to_send == H2_UNKNOWN ? H2_UNKNOWN : h->n_to_send + 1;
    int32_t id = nghttp2_submit_request(h->ng, NULL, nv, n, has_body ? &body : NULL, ex);
    if (id < 0) {
        stir(s);
        return id == NGHTTP2_ERR_NOMEM ? pfs_nomem(err, "a request")
                                       : pfs_refuse(err, PFS_SHUTDOWN, "%s", nghttp2_strerror(id));
    }
    ex->stream_id = id;
    ex->in_session = true;
    h->latest = ex;
    ex->window = (struct pfs_window){.size = H2_STREAM_WINDOW};
    s->state.n_open++;
    s->state.is_closing |= id > H2_LAST_STREAM_ID;
    h->guard.n_streams++;
    list_append(&s->open, &ex->node);
    return PFS_OK;
}

static void h2_cancel(struct session *s, struct exchange *ex, const struct pfs_error *why)
{
    struct h2_session *h = stir(s);

    h2_forget(h, ex);
    if (!ex->reply_ended || !ex->request_sent) {
        nghttp2_submit_rst_stream(h->ng, NGHTTP2_FLAG_NONE, ex->stream_id, NGHTTP2_CANCEL);
        s->state.n_resets++;
    }
    exchange_fail_at(ex, FAILURE_DEADLINE, why);
    session_done(s, ex);
}

static void h2_resume(struct session *s, struct exchange *ex)
{
    struct h2_session *h = stir(s);

    /* Else the body would stand still: the next drain says it. */
    h2_done(h, nghttp2_session_resume_data(h->ng, ex->stream_id));
}

static void h2_consumed(struct session *s, struct exchange *ex, size_t n)
{
    ex->n_unconsumed -= n;
    if (ex->in_session) {
        h2_credit_taken(stir(s), ex, n);
    }
}

static void h2_ping(struct session *s)
{
    if (nghttp2_submit_ping(stir(s)->ng, NGHTTP2_FLAG_NONE, NULL) == 0) {
        s->state.pings_sent++;
    }
}

static void h2_shutdown(struct session *s)
{
    stir(s)->said_goodbye = true;
    nghttp2_submit_goaway(h2_of(s)->ng, NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR, NULL, 0);
    s->state.is_closing = true;
}

static void h2_fail_all(struct session *s, const struct pfs_error *why)
{
    struct h2_session *h = h2_of(s);

    s->state.is_closing = true;
    list_for_each (n, &s->open) {
        struct exchange *ex = list_entry(n, struct exchange, node);

        h2_forget(h, ex);
        if (!(ex->reply_ended && ex->head.status >= 200)) {
            exchange_fail(ex, why);
        }
        session_done(s, ex);
    }
}

static void h2_rest(struct session *s)
{
    struct h2_session *h = h2_of(s);

    h2_mem_rest(&h->mem, nghttp2_session_want_write(h->ng));
    if (pfs_buf_len(&h->out.rest) == 0) {
        pfs_buf_fini(&h->out.rest);
    }
}

static void h2_free(struct session *s)
{
    struct h2_session *h = h2_of(s);

    h2_mem_fini(&h->mem);
    pfs_buf_fini(&h->out.rest);
    pfs_free(h);
}

static const struct session_ops h2_ops = {
    .name = "h2",
    .multiplexes = true,
    .feed = h2_feed,
    .drain = h2_drain,
    .wants_drain = h2_wants_drain,
    .submit = h2_submit,
    .cancel = h2_cancel,
    .resume = h2_resume,
    .consumed = h2_consumed,
    .ping = h2_ping,
    .shutdown = h2_shutdown,
    .fail_all = h2_fail_all,
    .rest = h2_rest,
    .free = h2_free,
};

static int make_nghttp2(struct h2_session *h)
{
    nghttp2_session_callbacks *cbs = NULL;
    nghttp2_option *option = NULL;
    int rc = nghttp2_session_callbacks_new(&cbs);

    if (rc == 0) {
        rc = nghttp2_option_new(&option);
    }
    if (rc == 0) {
        h2_set_callbacks(cbs);
        nghttp2_option_set_no_auto_window_update(option, 1);
        nghttp2_option_set_peer_max_concurrent_streams(option, H2_STREAMS_ASSUMED);
        nghttp2_option_set_max_outbound_ack(option, 1000);
        nghttp2_option_set_max_settings(option, 32);
        for (unsigned type = 0; type < 256; type++) { /* unknown ones, so that they are counted */
            nghttp2_option_set_user_recv_extension_type(option, (uint8_t)type);
        }
        rc = nghttp2_session_client_new3(&h->ng, cbs, h, option, &h->mem.face);
    }
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(cbs);
    return rc;
}

static int submit_preface(struct h2_session *h)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, 64 << 10},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    int rc = nghttp2_submit_settings(h->ng, NGHTTP2_FLAG_NONE, settings,
                                     sizeof settings / sizeof *settings);

    return rc ? rc
              : nghttp2_session_set_local_window_size(h->ng, NGHTTP2_FLAG_NONE, 0, H2_CONN_WINDOW);
}

enum pfs_class h2_session_new(const struct h2_options *o, struct session **ret,
                              struct pfs_error *err)
{
    struct h2_session *h = pfs_calloc(1, sizeof *h);

    if (!h) {
        return pfs_nomem(err, "an HTTP/2 session");
    }
    h->base.ops = &h2_ops;
    h->base.state.max_open =
        o->max_streams < H2_STREAMS_ASSUMED ? o->max_streams : H2_STREAMS_ASSUMED;
    h->n_to_send = H2_UNKNOWN; /* the preface */
    list_init(&h->base.ready);
    list_init(&h->base.open);
    h->options = *o;
    h->scheme = field(":scheme", 7, o->scheme, 0);
    h->authority = field(":authority", 10, o->authority, 0);
    h2_mem_init(&h->mem);
    if (make_nghttp2(h) != 0 || submit_preface(h) != 0) {
        h2_free(&h->base);
        return pfs_nomem(err, "an HTTP/2 session");
    }
    *ret = &h->base;
    return PFS_OK;
}

const char *h2_library_version(void)
{
    return nghttp2_version(0)->version_str;
}
