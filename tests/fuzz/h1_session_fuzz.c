/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Replies to the HTTP/1.1 session. The first byte of the input chooses the request and how the
 * reply is cut into pieces, the rest is what the peer sends.
 */
#include "base/err.h"
#include "h1/h1.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void prepare(struct exchange *ex, uint8_t choice)
{
    exchange_init(ex);
    ex->method = choice & 1 ? "HEAD" : "GET";
    ex->target = "/x";
    ex->reply_max = 4096;
    ex->reply_stream = choice & 2;
}

static void send_all(struct session *s)
{
    char piece[64];
    size_t got;
    struct pfs_error err;

    do {
        check(s->ops->drain(s, piece, sizeof piece, &got, &err) == PFS_OK);
    } while (got > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct h1_options options = {.authority = "h"};
    struct session *s;
    struct exchange ex;
    struct pfs_error err;

    if (n == 0) {
        return 0;
    }
    uint8_t choice = data[0];
    size_t step = choice >> 4 ? choice >> 4 : n;
    enum pfs_class cls = PFS_OK;

    check(h1_session_new(&options, &s, &err) == PFS_OK);
    prepare(&ex, choice);
    check(s->ops->submit(s, &ex, &err) == PFS_OK);
    send_all(s);
    for (size_t at = 1; at < n && cls == PFS_OK; at += step) {
        cls = s->ops->feed(s, data + at, n - at < step ? n - at : step, 0, &err);
        if (!ex.in_session && !s->state.is_closing) { /* keep-alive: the next one */
            check(ex.events & EXCHANGE_DONE);
            list_remove(&ex.ready);
            exchange_fini(&ex);
            prepare(&ex, choice);
            check(s->ops->submit(s, &ex, &err) == PFS_OK);
            send_all(s);
        }
    }
    if (cls == PFS_OK) {
        pfs_fail(&err, PFS_CONN_LOST, PFS_OUTCOME_UN, PFS_PHASE_WAIT, "end of input");
    }
    if (cls == PFS_OK && choice & 4) {
        s->ops->eof(s);
    }
    s->ops->fail_all(s, &err);
    check(s->state.n_open == 0 && (ex.events & EXCHANGE_DONE));
    check((ex.err.cls == PFS_OK) == (ex.reply_ended && ex.head.status >= 200));
    exchange_fini(&ex);
    s->ops->free(s);
    return 0;
}
