/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "rig.h"
#include "base/err.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static void init_exchange(struct exchange *ex)
{
    exchange_init(ex);
    ex->method = "GET";
    ex->target = "/x";
    ex->reply_max = 1000;
}

void rig_init(struct rig *r)
{
    static const struct h1_options options = {.authority = "files.test:8080"};

    *r = (struct rig){0};
    cr_assert_eq(h1_session_new(&options, &r->s, &r->err), PFS_OK);
    init_exchange(&r->ex);
}

void rig_fini(struct rig *r)
{
    rig_end(r, RIG_CUT);
    exchange_fini(&r->ex);
    r->s->ops->free(r->s);
}

void rig_submit(struct rig *r)
{
    cr_assert_eq(r->s->ops->submit(r->s, &r->ex, &r->err), PFS_OK, "%s", r->err.text);
    rig_collect(r);
}

void rig_renew(struct rig *r)
{
    cr_assert_eq(r->n_done, 1);
    exchange_fini(&r->ex);
    init_exchange(&r->ex);
    r->events = r->n_done = 0;
}

const char *rig_drain(struct rig *r, size_t cap)
{
    static char all[64 << 10];
    size_t len = 0, n;

    do {
        char *piece = malloc(cap); /* its own block, so that a sanitizer sees a write past it */

        cr_assert_eq(r->s->ops->drain(r->s, piece, cap, &n, &r->err), PFS_OK);
        cr_assert(n <= cap && len + n < sizeof all);
        memcpy(all + len, piece, n);
        len += n;
        free(piece);
    } while (n > 0);
    all[len] = '\0';
    cr_assert_not(r->s->ops->wants_drain(r->s));
    rig_collect(r);
    return all;
}

void rig_collect(struct rig *r)
{
    struct list *node;

    while ((node = list_take_first(&r->s->ready))) {
        cr_assert_eq(list_entry(node, struct exchange, ready), &r->ex);
        cr_assert_eq(r->events & EXCHANGE_DONE, 0, "an event after DONE");
        r->n_done += (r->ex.events & EXCHANGE_DONE) != 0;
        r->events |= r->ex.events;
        r->ex.events = 0;
    }
    cr_assert_eq(r->s->state.n_open, r->ex.in_session ? 1 : 0);
}

enum pfs_class rig_feed_n(struct rig *r, const char *data, size_t n, size_t step)
{
    enum pfs_class cls = PFS_OK;

    for (size_t at = 0; at < n && cls == PFS_OK; at += step) {
        size_t len = n - at < step ? n - at : step;
        char *copy = malloc(len);

        memcpy(copy, data + at, len);
        cls = r->s->ops->feed(r->s, copy, len, 0, &r->err);
        free(copy);
        cr_assert(cls == PFS_OK || (r->err.cls == cls && *r->err.text));
        rig_collect(r);
    }
    return cls;
}

enum pfs_class rig_feed(struct rig *r, const char *text)
{
    return rig_feed_n(r, text, strlen(text), SIZE_MAX / 2);
}

void rig_end(struct rig *r, enum rig_end end)
{
    struct pfs_error why;

    if (end == RIG_OPEN) {
        return;
    }
    pfs_fail(&why, PFS_CONN_LOST, PFS_OUTCOME_UN, PFS_PHASE_WAIT, "the peer is gone");
    if (end == RIG_EOF) {
        r->s->ops->eof(r->s);
    }
    r->s->ops->fail_all(r->s, &why);
    rig_collect(r);
    cr_assert(r->s->state.is_closing);
}
