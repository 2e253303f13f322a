/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_ALARM_H
#define AGFSD_ALARM_H

/*
 * Deadlines of what waits in a list of somebody's, under his lock. One thread, which is started
 * when first needed, looks after all alarms of an owner.
 */
#include "base/list.h"
#include <proxyfs/error.h>
#include <pthread.h>
#include <stdatomic.h>

struct alarm {
    struct list node;
    int64_t at_ns; /* CLOCK_MONOTONIC */
};

struct alarms {
    pthread_mutex_t *mu; /* fixed, as are the next four: the owner's */
    void *owner;
    /* It is due. Takes what it is for from where it waits, false: something else ends that. */
    bool (*take_locked)(void *owner, struct alarm *a);
    /* Ends what was taken. No lock is held. */
    void (*ring)(void *owner, struct alarm *a);
    pthread_t thread; /* once started */
    atomic_bool started;

    pthread_cond_t earlier; /* under *mu: look again */
    struct list set;
    int64_t next_ns; /* when the thread wakes; INT64_MAX: not by itself */
    bool over;
};

/* The first four members are set. */
void alarms_init(struct alarms *as);
/* No alarm is set. */
void alarms_fini(struct alarms *as);
/* To be called before the lock is taken for alarm_set_locked. Errors: NOMEM: no thread. */
enum pfs_class alarms_start(struct alarms *as, struct pfs_error *err);
/* Sets an alarm that is not set. */
void alarm_set_locked(struct alarms *as, struct alarm *a, int64_t at_ns);
/* Stops one that is set or was, and was not taken. */
void alarm_stop_locked(struct alarm *a);

#endif
