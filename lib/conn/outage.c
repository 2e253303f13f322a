/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * When no connection can be had. Calls wait for a grace of READY_GRACE_NS (the remote may just be
 * restarting), then fail at once with the last reason. Attempts go on in the background as long as
 * there is demand: every second at most at first, so that the remote is found again within a second
 * of its return, then ever more rarely; an hour's outage costs some 300 attempts.
 */
#include "base/clock.h"
#include "base/random.h"
#include "conn/generation_internal.h"
#include <stdlib.h>

#define READY_GRACE_NS (2 * PFS_SEC)
#define BACKOFF_FIRST_NS (250 * PFS_MS)
#define BACKOFF_EAGER_CAP_NS (PFS_SEC / 6 * 5) /* a second at most, with jitter */
#define BACKOFF_CAP_NS (15 * PFS_SEC)
#define EAGER_FOR_NS (50 * PFS_SEC)
/* Without a call for so long nobody needs the remote found. */
#define DEMAND_NS (60 * PFS_SEC)

/* Failures that the next attempt would only repeat: there is no point in waiting for it. */
static bool is_permanent(enum pfs_class cls)
{
    return cls == PFS_TLS_VERIFY || cls == PFS_TLS_AUTH || cls == PFS_ALPN || cls == PFS_CONFIG;
}

static bool grace_is_over(const struct generation *g, int64_t now)
{
    return now - g->outage_since_ns >= READY_GRACE_NS || is_permanent(g->last_error.cls);
}

bool outage_fails_fast_locked(const struct generation *g, int64_t now)
{
    return g->outage_since_ns != 0 && grace_is_over(g, now);
}

/* +-20 %, so that many clients do not come back together. */
static int64_t jitter(int64_t ns)
{
    return ns / 100 * (80 + pfs_random() % 41);
}

void outage_on_failure_locked(struct generation *g, const struct conn *c,
                              const struct pfs_error *why, int64_t now, bool *ret_fail)
{
    bool others_ready = g->n_conns > g->n_connecting;

    g->last_error = *why;
    if (!others_ready && g->outage_since_ns == 0) {
        g->outage_since_ns = c->created_ns;
    }
    int64_t cap = now - g->outage_since_ns < EAGER_FOR_NS ? BACKOFF_EAGER_CAP_NS : BACKOFF_CAP_NS;
    g->backoff_ns = g->backoff_ns == 0 ? BACKOFF_FIRST_NS : g->backoff_ns / 10 * 16;
    g->backoff_ns = pfs_earlier(g->backoff_ns, cap);
    g->next_attempt_ns = now + jitter(g->backoff_ns);
    *ret_fail = !others_ready && grace_is_over(g, now);
    int64_t next = g->next_attempt_ns;
    if (!list_is_empty(&g->queue) && !others_ready && !*ret_fail) {
        next = pfs_earlier(next, g->outage_since_ns + READY_GRACE_NS);
    }
    generation_arm_locked(g, next);
}

void outage_over_locked(struct generation *g)
{
    g->outage_since_ns = g->next_attempt_ns = g->backoff_ns = 0;
}

/*
 * What failed beside READY connections were ones more, which may well wait; but the first one after
 * the last of them, closed in order perhaps, is made at once (row 38).
 */
void outage_on_loss_locked(struct generation *g)
{
    if (g->outage_since_ns == 0 && g->n_conns == g->n_connecting) {
        outage_over_locked(g);
    }
}

void outage_on_time(struct io_timer *t)
{
    struct generation *g = container_of(t, struct generation, timer);
    int64_t now = pfs_now();
    struct list failed;
    struct pfs_error why;
    struct conn *c = NULL;

    list_init(&failed);
    pthread_mutex_lock(&g->mu);
    why = g->last_error;
    if (g->outage_since_ns != 0 && grace_is_over(g, now)) {
        generation_take_queue_locked(g, &failed);
    }
    if (g->outage_since_ns == 0) { /* there was no memory for a connection */
        c = generation_wants_conn_for_queue_locked(g, now);
    } else if (now - g->last_demand_ns < DEMAND_NS) {
        c = generation_wants_conn_locked(g, now);
        if (now < g->next_attempt_ns) {
            generation_arm_locked(g, g->next_attempt_ns);
        } else if (!list_is_empty(&g->queue)) {
            generation_arm_locked(g, g->outage_since_ns + READY_GRACE_NS);
        }
    }
    pthread_mutex_unlock(&g->mu);
    generation_start_conn(g, c);
    generation_fail_list(&failed, &why);
    generation_unref(g); /* the timer's */
}
