/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * One HTTP/1.1 client session as lib/http/session.h has it. Called by conn under the connection's
 * lock. After an exchange that did not end cleanly on both sides the connection is never used
 * again: what is still on its way would be taken for part of the next one.
 */
#include "base/alloc.h"
#include "base/err.h"
#include "h1/h1_internal.h"

/* The open exchange, whose result is set, is over. */
static void end_exchange(struct h1_session *h)
{
    struct exchange *ex = h->ex;

    h->ex = NULL;
    h->base.state.hold_reading = false;
    pfs_buf_consume(&h->out, pfs_buf_len(&h->out));
    session_done(&h->base, ex);
}

/* Fails the open exchange. A header that did not come whole proves nothing and is forgotten. */
static void fail_exchange(struct h1_session *h, const struct pfs_error *why)
{
    if (!h->head_ended) {
        h->ex->head = (struct reply_head){.content_length = -1};
    }
    exchange_fail(h->ex, why);
    end_exchange(h);
}

static enum pfs_class refuse_input(const struct h1_session *h, const char *data,
                                   struct pfs_error *err)
{
    return pfs_fail(err, PFS_PROTOCOL, PFS_OUTCOME_NA, PFS_PHASE_QUEUE,
                    data[0] == '\0' ? "%s speaks HTTP/2, not HTTP/1.1"
                                    : "%s sent bytes that answer no request",
                    h->options.authority);
}

static enum pfs_class h1_feed(struct session *s, const void *data, size_t n, int64_t now_ns,
                              struct pfs_error *err)
{
    struct h1_session *h = h1_of(s);
    struct exchange *ex = h->ex;
    size_t used = 0;

    if (n == 0) {
        return PFS_OK;
    }
    enum pfs_class cls =
        ex && ex->header_sent ? h1_reply_feed(h, data, n, &used, err) : refuse_input(h, data, err);
    if (cls != PFS_OK) {
        h->is_mute = true;
        s->state.is_closing = true;
        return cls;
    }
    if (ex->reply_ended || ex->failure != FAILURE_NONE) {
        s->state.is_closing |= !h->keeps_alive || !ex->request_sent || used < n;
        end_exchange(h);
    }
    return PFS_OK;
}

static enum pfs_class h1_drain(struct session *s, void *buf, size_t cap, size_t *ret_n,
                               struct pfs_error *err)
{
    struct h1_session *h = h1_of(s);
    struct pfs_error why;

    *ret_n = 0;
    if (!h1_request_wants_drain(h)) {
        return PFS_OK;
    }
    enum pfs_class cls = h1_request_drain(h, buf, cap, ret_n, &why);
    if (cls == PFS_INVALID) { /* the caller's fault: the end of this exchange, not an error here */
        s->state.is_closing = true;
        fail_exchange(h, &why);
        return PFS_OK;
    }
    if (cls != PFS_OK) {
        *err = why;
    }
    return cls;
}

static bool h1_wants_drain(struct session *s)
{
    return h1_request_wants_drain(h1_of(s));
}

static enum pfs_class h1_submit(struct session *s, struct exchange *ex, struct pfs_error *err)
{
    struct h1_session *h = h1_of(s);
    struct pfs_error why;

    if (s->state.is_closing) {
        return pfs_refuse(err, PFS_SHUTDOWN, "the connection is closing");
    }
    if (h->ex) {
        return pfs_refuse(err, PFS_OVERLOAD, "the connection is in use");
    }
    h->ex = ex;
    h1_reply_begin(h);
    enum pfs_class cls = h1_request_begin(h, &why);
    if (cls == PFS_OK || cls == PFS_INVALID) {
        ex->in_session = true;
        s->state.n_open++;
        list_append(&s->open, &ex->node);
    }
    if (cls == PFS_INVALID) { /* no other connection could send it either: do not hand it back */
        exchange_fail_at(ex, FAILURE_LOCAL, &why);
        end_exchange(h);
        return PFS_OK;
    }
    if (cls != PFS_OK) {
        h->ex = NULL;
        pfs_buf_consume(&h->out, pfs_buf_len(&h->out));
        *err = why;
    }
    return cls;
}

/* HTTP/1.1 cannot call a request back: once it began to leave, only the connection's end does. */
static void h1_cancel(struct session *s, struct exchange *ex, const struct pfs_error *why)
{
    s->state.is_closing |= ex->header_sent;
    s->state.gave_up |= ex->header_sent;
    exchange_fail_at(ex, FAILURE_DEADLINE, why);
    end_exchange(h1_of(s));
}

/* The new chunk is found when the connection drains. */
static void h1_resume(struct session *s, struct exchange *ex)
{
}

static void h1_consumed(struct session *s, struct exchange *ex, size_t n)
{
    ex->n_unconsumed -= n;
    if (ex->in_session) {
        s->state.hold_reading = ex->n_unconsumed > H1_UNCONSUMED_MAX;
    }
}

static void h1_shutdown(struct session *s)
{
    s->state.is_closing = true;
}

static void h1_eof(struct session *s)
{
    struct h1_session *h = h1_of(s);

    s->state.is_closing = true;
    if (h->ex) {
        h1_reply_eof(h);
        if (h->ex->reply_ended) {
            end_exchange(h);
        }
    }
}

static void h1_fail_all(struct session *s, const struct pfs_error *why)
{
    struct h1_session *h = h1_of(s);

    s->state.is_closing = true;
    if (h->ex) {
        fail_exchange(h, why);
    }
}

static void h1_free(struct session *s)
{
    struct h1_session *h = h1_of(s);

    pfs_buf_fini(&h->out);
    pfs_buf_fini(&h->name);
    pfs_buf_fini(&h->value);
    pfs_free(h);
}

static const struct session_ops h1_ops = {
    .name = "http/1.1",
    .feed = h1_feed,
    .drain = h1_drain,
    .wants_drain = h1_wants_drain,
    .submit = h1_submit,
    .cancel = h1_cancel,
    .resume = h1_resume,
    .consumed = h1_consumed,
    .ping = NULL,
    .shutdown = h1_shutdown,
    .eof = h1_eof,
    .fail_all = h1_fail_all,
    .free = h1_free,
};

enum pfs_class h1_session_new(const struct h1_options *o, struct session **ret,
                              struct pfs_error *err)
{
    if (!h1_is_line_safe(o->authority)) {
        return pfs_refuse(err, PFS_CONFIG, "the host name has a control character");
    }
    struct h1_session *h = pfs_calloc(1, sizeof *h);

    if (!h) {
        return pfs_nomem(err, "an HTTP/1.1 session");
    }
    h->base.ops = &h1_ops;
    h->base.state.is_up = true;
    h->base.state.max_open = 1;
    list_init(&h->base.ready);
    list_init(&h->base.open);
    h->options = *o;
    *ret = &h->base;
    return PFS_OK;
}
