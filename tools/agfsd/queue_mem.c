/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Queues in memory: a sorted table of names, each with its list of messages, under one lock. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include "base/path.h"
#include "driver_util.h"
#include "queue.h"
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

struct message {
    struct list link;
    char id[37];
    int64_t time_ns;
    size_t len;
    char data[];
};

struct queue {
    char *name;
    struct list messages;
    uint64_t size;
    int64_t last_ns;
};

struct queue_mem {
    struct queue_backend base;
    struct queue_limits limits; /* fixed after open */
    pthread_mutex_t mu;         /* of everything below; never held across a wait */
    struct queue **queues;      /* sorted by queue_compare */
    size_t n_queues, cap_queues;
    uint64_t total;  /* cost of all messages */
    int64_t last_ns; /* times of enqueues grow strictly */
};

static struct queue_mem *of(struct queue_backend *b)
{
    return container_of(b, struct queue_mem, base);
}

static uint64_t cost(size_t len)
{
    return QUEUE_MESSAGE_COST + len;
}

/* Index of the first queue whose name is not before the name. */
static size_t find_place_locked(const struct queue_mem *m, const char *name)
{
    size_t low = 0, high = m->n_queues;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (queue_compare(m->queues[mid]->name, name) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

static struct queue *find_locked(const struct queue_mem *m, const char *name)
{
    size_t i = find_place_locked(m, name);

    return i < m->n_queues && strcmp(m->queues[i]->name, name) == 0 ? m->queues[i] : NULL;
}

static void clear_locked(struct queue_mem *m, struct queue *q)
{
    list_for_each (it, &q->messages) {
        struct message *msg = list_entry(it, struct message, link);

        m->total -= cost(msg->len);
        pfs_free(msg);
    }
    list_init(&q->messages);
    q->size = 0;
    q->last_ns = 0;
}

static void queue_free_locked(struct queue_mem *m, struct queue *q)
{
    clear_locked(m, q);
    pfs_free(q->name);
    pfs_free(q);
}

static struct queue *queue_new(const char *name)
{
    struct queue *q = pfs_calloc(1, sizeof *q);

    if (q) {
        list_init(&q->messages);
        q->name = pfs_strdup(name);
        if (!q->name) {
            pfs_free(q);
            q = NULL;
        }
    }
    return q;
}

static enum pfs_class make_locked(struct queue_mem *m, const char *name, struct queue **ret,
                                  struct pfs_error *err)
{
    size_t at = find_place_locked(m, name);

    if (at < m->n_queues && strcmp(m->queues[at]->name, name) == 0) {
        *ret = m->queues[at];
        return PFS_OK;
    }
    if (m->n_queues >= m->limits.max_queues) {
        return pfs_refuse(err, PFS_NOSPC, "too many queues: %" PRIu64 " are allowed",
                          m->limits.max_queues);
    }
    struct queue **grown = pfs_grown(m->queues, m->n_queues, &m->cap_queues, sizeof *grown);

    if (!grown) {
        return pfs_nomem(err, "a queue");
    }
    m->queues = grown;
    struct queue *q = queue_new(name);

    if (!q) {
        return pfs_nomem(err, "a queue");
    }
    memmove(&m->queues[at + 1], &m->queues[at], (m->n_queues - at) * sizeof *m->queues);
    m->queues[at] = q;
    m->n_queues++;
    *ret = q;
    return PFS_OK;
}

static enum pfs_class mem_make(struct queue_backend *b, const char *name, struct pfs_error *err)
{
    struct queue_mem *m = of(b);
    struct queue *q;

    pthread_mutex_lock(&m->mu);
    enum pfs_class cls = make_locked(m, name, &q, err);

    pthread_mutex_unlock(&m->mu);
    return cls;
}

static enum pfs_class mem_remove(struct queue_backend *b, const char *name, struct pfs_error *err)
{
    struct queue_mem *m = of(b);
    char child[PFS_COMPONENT_MAX + 1];
    size_t kept = 0;

    pthread_mutex_lock(&m->mu);
    for (size_t i = 0; i < m->n_queues; i++) {
        struct queue *q = m->queues[i];

        if (strcmp(q->name, name) == 0 || queue_child_of(q->name, name, child, sizeof child)) {
            queue_free_locked(m, q);
        } else {
            m->queues[kept++] = q;
        }
    }
    m->n_queues = kept;
    pthread_mutex_unlock(&m->mu);
    return PFS_OK;
}

static enum pfs_class push_locked(struct queue_mem *m, const char *name, struct message *msg,
                                  struct pfs_error *err)
{
    struct queue *q;
    int64_t now = pfs_wall_now();
    enum pfs_class cls = queue_check_room(&m->limits, m->total, msg->len, cost(msg->len), err);

    if (cls == PFS_OK) {
        cls = make_locked(m, name, &q, err);
    }
    if (cls != PFS_OK) {
        return cls;
    }
    m->last_ns = now > m->last_ns ? now : m->last_ns + 1;
    msg->time_ns = m->last_ns;
    queue_make_id(msg->id, msg->time_ns);
    list_append(&q->messages, &msg->link);
    q->size++;
    q->last_ns = msg->time_ns;
    m->total += cost(msg->len);
    return PFS_OK;
}

static enum pfs_class mem_push(struct queue_backend *b, const char *name, const void *data,
                               size_t len, struct pfs_error *err)
{
    struct queue_mem *m = of(b);
    /* Refused before memory is asked for; the total is looked at under the lock. */
    enum pfs_class cls = queue_check_room(&m->limits, 0, len, cost(len), err);

    if (cls != PFS_OK) {
        return cls;
    }
    struct message *msg = pfs_malloc(sizeof *msg + len);

    if (!msg) {
        return pfs_nomem(err, "a message");
    }
    msg->len = len;
    if (len > 0) {
        memcpy(msg->data, data, len);
    }
    pthread_mutex_lock(&m->mu);
    cls = push_locked(m, name, msg, err);
    pthread_mutex_unlock(&m->mu);
    if (cls != PFS_OK) {
        pfs_free(msg);
    }
    return cls;
}

static enum pfs_class mem_take(struct queue_backend *b, const char *name, bool keep,
                               struct queue_message *ret, struct pfs_error *err)
{
    struct queue_mem *m = of(b);
    enum pfs_class cls = PFS_OK;

    *ret = (struct queue_message){0};
    pthread_mutex_lock(&m->mu);
    struct queue *q = find_locked(m, name);

    if (q && q->size > 0) {
        struct message *msg = list_entry(q->messages.next, struct message, link);

        /* Copied before it is taken: without memory the message stays. */
        ret->data = pfs_strndup(msg->data, msg->len);
        if (!ret->data) {
            cls = pfs_nomem(err, "a message");
        } else {
            memcpy(ret->id, msg->id, sizeof ret->id);
            ret->time_ns = msg->time_ns;
            ret->len = msg->len;
        }
        if (cls == PFS_OK && !keep) {
            list_remove(&msg->link);
            q->size--;
            m->total -= cost(msg->len);
            pfs_free(msg);
        }
    }
    pthread_mutex_unlock(&m->mu);
    return cls;
}

static void put_back_locked(struct queue_mem *m, struct queue *q, struct message *msg)
{
    struct list *before = q->messages.next;

    while (before != &q->messages &&
           list_entry(before, struct message, link)->time_ns < msg->time_ns) {
        before = before->next; /* taken before it, put back before it */
    }
    list_append(before, &msg->link); /* in front of that one */
    q->size++;
    m->total += cost(msg->len);
}

static enum pfs_class mem_put_back(struct queue_backend *b, const char *name,
                                   const struct queue_message *back, struct pfs_error *err)
{
    struct queue_mem *m = of(b);
    struct message *msg = pfs_malloc(sizeof *msg + back->len);

    if (!msg) {
        return pfs_nomem(err, "a message");
    }
    memcpy(msg->id, back->id, sizeof msg->id);
    msg->time_ns = back->time_ns;
    msg->len = back->len;
    memcpy(msg->data, back->data, back->len);
    pthread_mutex_lock(&m->mu);
    struct queue *q = find_locked(m, name);

    if (q) {
        put_back_locked(m, q, msg);
        msg = NULL;
    }
    pthread_mutex_unlock(&m->mu);
    pfs_free(msg);
    return PFS_OK;
}

static enum pfs_class mem_clear(struct queue_backend *b, const char *name, struct pfs_error *err)
{
    struct queue_mem *m = of(b);

    pthread_mutex_lock(&m->mu);
    struct queue *q = find_locked(m, name);

    if (q) {
        clear_locked(m, q);
    }
    pthread_mutex_unlock(&m->mu);
    return PFS_OK;
}

static bool note_child(void *arg, const char *child)
{
    *(bool *)arg = true;
    return false;
}

static void children_locked(struct queue_mem *m, const char *name,
                            bool (*fn)(void *arg, const char *child), void *arg)
{
    char from[PFS_PATH_MAX + 2], child[PFS_COMPONENT_MAX + 1], last[PFS_COMPONENT_MAX + 1] = "";
    size_t n = strlen(name);

    if (n > PFS_PATH_MAX) {
        return;
    }
    snprintf(from, sizeof from, "%s%s", name, n > 0 ? "/" : "");
    for (size_t i = find_place_locked(m, from);
         i < m->n_queues && queue_child_of(m->queues[i]->name, name, child, sizeof child); i++) {
        if (strcmp(child, last) != 0 && !fn(arg, child)) {
            return;
        }
        memcpy(last, child, sizeof last);
    }
}

static enum pfs_class mem_look(struct queue_backend *b, const char *name, struct queue_state *ret,
                               struct pfs_error *err)
{
    struct queue_mem *m = of(b);

    *ret = (struct queue_state){0};
    pthread_mutex_lock(&m->mu);
    struct queue *q = find_locked(m, name);

    if (q) {
        *ret = (struct queue_state){.exists = true, .size = q->size, .last_ns = q->last_ns};
    }
    children_locked(m, name, note_child, &ret->has_below);
    pthread_mutex_unlock(&m->mu);
    return PFS_OK;
}

static enum pfs_class mem_children(struct queue_backend *b, const char *name,
                                   bool (*fn)(void *arg, const char *child), void *arg,
                                   struct pfs_error *err)
{
    struct queue_mem *m = of(b);

    pthread_mutex_lock(&m->mu);
    children_locked(m, name, fn, arg);
    pthread_mutex_unlock(&m->mu);
    return PFS_OK;
}

static bool lock_mutex_soon(pthread_mutex_t *mu)
{
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (pthread_mutex_trylock(mu) == 0) {
            return true;
        }
    }
    return false;
}

static size_t mem_effort(struct queue_backend *b, const char *name, enum queue_effort what)
{
    struct queue_mem *m = of(b);
    size_t n = 0;

    if (!lock_mutex_soon(&m->mu)) {
        return SIZE_MAX;
    }
    if (what == QUEUE_EFFORT_MESSAGE) {
        const struct queue *q = find_locked(m, name);

        n = q && q->size > 0 ? list_entry(q->messages.next, struct message, link)->len : 0;
    } else if (what == QUEUE_EFFORT_ALL) {
        n = (size_t)m->total + m->n_queues * sizeof(struct queue);
    } else if (what == QUEUE_EFFORT_NAMES) {
        n = m->n_queues * ENTRY_BYTES;
    }
    pthread_mutex_unlock(&m->mu);
    return n;
}

static void mem_close(struct queue_backend *b)
{
    struct queue_mem *m = of(b);

    for (size_t i = 0; i < m->n_queues; i++) {
        queue_free_locked(m, m->queues[i]);
    }
    pfs_free(m->queues);
    pthread_mutex_destroy(&m->mu);
    pfs_free(m);
}

static const struct queue_backend_ops mem_ops = {
    .type = "memory",
    .make = mem_make,
    .remove = mem_remove,
    .push = mem_push,
    .take = mem_take,
    .put_back = mem_put_back,
    .clear = mem_clear,
    .look = mem_look,
    .children = mem_children,
    .effort = mem_effort,
    .close = mem_close,
};

struct queue_backend *queue_mem_open(const struct queue_limits *limits)
{
    struct queue_mem *m = pfs_calloc(1, sizeof *m);

    if (!m) {
        return NULL;
    }
    m->base.ops = &mem_ops;
    m->limits = *limits;
    pthread_mutex_init(&m->mu, NULL);
    return &m->base;
}
