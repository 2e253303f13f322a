/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "alarm.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mutex.h"
#include "base/thread.h"

void alarms_init(struct alarms *as)
{
    list_init(&as->set);
    pthread_cond_init(&as->earlier, NULL);
    as->next_ns = INT64_MAX;
}

void alarms_fini(struct alarms *as)
{
    pthread_mutex_lock(as->mu);
    as->over = true;
    pthread_cond_signal(&as->earlier);
    pthread_mutex_unlock(as->mu);
    if (atomic_load(&as->started)) {
        pthread_join(as->thread, NULL);
    }
    pthread_cond_destroy(&as->earlier);
}

/* Takes those that are due; returns when the next one is. */
static int64_t take_due_locked(struct alarms *as, struct list *due)
{
    int64_t now = pfs_now(), next = INT64_MAX;

    list_for_each (it, &as->set) {
        struct alarm *a = list_entry(it, struct alarm, node);

        if (a->at_ns > now) {
            next = pfs_earlier(next, a->at_ns);
            continue;
        }
        list_remove(&a->node);
        if (as->take_locked(as->owner, a)) {
            list_append(due, &a->node);
        }
    }
    return next;
}

static void wait_locked(struct alarms *as)
{
    if (as->next_ns == INT64_MAX) {
        pthread_cond_wait(&as->earlier, as->mu); /* ends with alarms_fini at the latest */
    } else {
        pfs_cond_wait_until(&as->earlier, as->mu, as->next_ns);
    }
}

static void *watch(void *arg)
{
    struct alarms *as = arg;
    struct list due, *node;

    list_init(&due);
    pthread_mutex_lock(as->mu);
    while (!as->over) {
        as->next_ns = take_due_locked(as, &due);
        if (list_is_empty(&due)) {
            wait_locked(as);
            continue;
        }
        pthread_mutex_unlock(as->mu);
        while ((node = list_take_first(&due))) {
            as->ring(as->owner, list_entry(node, struct alarm, node));
        }
        pthread_mutex_lock(as->mu);
    }
    pthread_mutex_unlock(as->mu);
    return NULL;
}

enum pfs_class alarms_start(struct alarms *as, struct pfs_error *err)
{
    if (atomic_load(&as->started)) {
        return PFS_OK;
    }
    /* One at a time: nobody sets an alarm on the word of another whose thread does not start. */
    pthread_mutex_lock(as->mu);
    bool ok = atomic_load(&as->started) || pfs_thread_start(watch, as, &as->thread) == 0;

    atomic_store(&as->started, ok);
    pthread_mutex_unlock(as->mu);
    return ok ? PFS_OK : pfs_refuse(err, PFS_NOMEM, "no thread for deadlines could be started");
}

void alarm_set_locked(struct alarms *as, struct alarm *a, int64_t at_ns)
{
    a->at_ns = at_ns;
    list_append(&as->set, &a->node);
    if (at_ns < as->next_ns) {
        pthread_cond_signal(&as->earlier);
    }
}

void alarm_stop_locked(struct alarm *a)
{
    list_remove(&a->node);
}
