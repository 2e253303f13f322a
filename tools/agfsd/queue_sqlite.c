/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Queues in an SQLite database. An enqueue is answered when its transaction is on the disk (WAL,
 * synchronous=FULL), so it survives the end of the process and of the machine; a dequeue is one
 * DELETE ... RETURNING. One connection under one lock: SQLite has one writer at a time anyway.
 */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include "base/path.h"
#include "queue.h"
#include "queue_db.h"
#include <inttypes.h>
#include <pthread.h>
#include <sqlite3.h>
#include <string.h>

struct queue_sqlite {
    struct queue_backend base;
    struct queue_limits limits; /* fixed after open */
    pthread_mutex_t mu;         /* of everything below; held while the disk works */
    struct queue_db db;
    uint64_t total; /* cost of all messages */
};

static struct queue_sqlite *of(struct queue_backend *b)
{
    return container_of(b, struct queue_sqlite, base);
}

/* Of a message: its queue is named in the table and in the index. */
static uint64_t cost(const char *name, size_t len)
{
    return QUEUE_MESSAGE_COST + 2 * strlen(name) + len;
}

static enum pfs_class sql_make(struct queue_backend *b, const char *name, struct pfs_error *err)
{
    struct queue_sqlite *s = of(b);
    int64_t n = 0;

    pthread_mutex_lock(&s->mu);
    enum pfs_class cls = qdb_ask(&s->db, S_COUNT_QUEUES, name, &n, err);

    if (cls == PFS_OK && (uint64_t)n >= s->limits.max_queues) {
        cls = pfs_refuse(err, PFS_NOSPC, "too many queues: %" PRIu64 " are allowed",
                         s->limits.max_queues);
    } else if (cls == PFS_OK) {
        cls = qdb_run(&s->db, S_MAKE, name, err);
    }
    pthread_mutex_unlock(&s->mu);
    return cls;
}

/* What messages cost, by one of the three S_COST statements. They may be many. */
static enum pfs_class cost_locked(struct queue_sqlite *s, enum statement which, const char *name,
                                  uint64_t *io_cost, struct pfs_error *err)
{
    int64_t n = 0;

    sqlite3_bind_int(qdb_prepare(&s->db, which, NULL), 2, QUEUE_MESSAGE_COST);
    enum pfs_class cls = qdb_ask(&s->db, which, name, &n, err);

    *io_cost += (uint64_t)n;
    return cls;
}

/* All are looked at: at the begin, and where it is not known what became of a change. */
static enum pfs_class recount_locked(struct queue_sqlite *s, struct pfs_error *err)
{
    uint64_t total = 0;
    enum pfs_class cls = cost_locked(s, S_COST_ALL, NULL, &total, err);

    if (cls == PFS_OK) {
        s->total = total;
    }
    return cls;
}

/* Ends a transaction in which messages of that cost were deleted. */
static enum pfs_class end_deletion_locked(struct queue_sqlite *s, enum pfs_class cls, uint64_t gone,
                                          struct pfs_error *err)
{
    cls = qdb_end(&s->db, cls, err);
    if (cls == PFS_OK) {
        s->total -= gone < s->total ? gone : s->total;
    } else {
        recount_locked(s, NULL);
    }
    return cls;
}

/* The messages of a queue and of all below it, "" all there are. */
static enum pfs_class forget_messages(struct queue_sqlite *s, const char *name, uint64_t *ret_gone,
                                      struct pfs_error *err)
{
    if (!*name) {
        *ret_gone = s->total;
        return qdb_run(&s->db, S_CLEAR_ALL, NULL, err);
    }
    enum pfs_class cls = cost_locked(s, S_COST, name, ret_gone, err);

    cls = cls == PFS_OK ? cost_locked(s, S_COST_BELOW, name, ret_gone, err) : cls;
    cls = cls == PFS_OK ? qdb_run(&s->db, S_CLEAR, name, err) : cls;
    return cls == PFS_OK ? qdb_run(&s->db, S_CLEAR_BELOW, name, err) : cls;
}

static enum pfs_class sql_remove(struct queue_backend *b, const char *name, struct pfs_error *err)
{
    struct queue_sqlite *s = of(b);
    uint64_t gone = 0;

    pthread_mutex_lock(&s->mu);
    enum pfs_class cls = qdb_run(&s->db, S_BEGIN, NULL, err);

    if (cls == PFS_OK) {
        cls = qdb_run(&s->db, S_FORGET, name, err);
        cls = cls == PFS_OK ? forget_messages(s, name, &gone, err) : cls;
        cls = end_deletion_locked(s, cls, gone, err);
    }
    pthread_mutex_unlock(&s->mu);
    return cls;
}

/* PUSH, or PUT_BACK with its place. */
static enum pfs_class write_row(struct queue_sqlite *s, enum statement which, const char *name,
                                const struct queue_message *m, struct pfs_error *err)
{
    sqlite3_stmt *st = qdb_prepare(&s->db, which, name);

    sqlite3_bind_int64(st, 2, m->time_ns);
    sqlite3_bind_text(st, 3, m->id, -1, SQLITE_STATIC);
    sqlite3_bind_blob64(st, 4, m->len ? m->data : "", m->len, SQLITE_STATIC);
    if (which == S_PUT_BACK) {
        sqlite3_bind_int64(st, 5, m->place);
    }
    int rc = sqlite3_step(st);
    enum pfs_class cls = rc == SQLITE_DONE ? PFS_OK : qdb_fail(&s->db, PFS_OUTCOME_NA, err);

    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    return cls;
}

static enum pfs_class insert(struct queue_sqlite *s, const char *name, const void *data, size_t len,
                             struct pfs_error *err)
{
    sqlite3_stmt *st = qdb_prepare(&s->db, S_TOUCH, name);

    sqlite3_bind_int64(st, 2, pfs_wall_now());
    int rc = sqlite3_step(st);
    int64_t time_ns = rc == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;

    sqlite3_reset(st);
    if (rc == SQLITE_DONE) {
        return pfs_refuse(err, PFS_NOTFOUND,
                          "queue does not exist: %s (create it with mkdir first; not found)", name);
    }
    if (rc != SQLITE_ROW) {
        return qdb_fail(&s->db, PFS_OUTCOME_NA, err);
    }
    struct queue_message m = {.time_ns = time_ns, .data = (char *)(uintptr_t)data, .len = len};

    queue_make_id(m.id, time_ns);
    return write_row(s, S_PUSH, name, &m, err);
}

static enum pfs_class sql_push(struct queue_backend *b, const char *name, const void *data,
                               size_t len, struct pfs_error *err)
{
    struct queue_sqlite *s = of(b);

    pthread_mutex_lock(&s->mu);
    enum pfs_class cls = queue_check_room(&s->limits, s->total, len, cost(name, len), err);

    if (cls == PFS_OK && !qdb_has_room(&s->db, len)) {
        cls = pfs_refuse(err, PFS_NOSPC, "no space left on the disk of the queue database");
    }
    if (cls == PFS_OK) {
        cls = qdb_run(&s->db, S_BEGIN, NULL, err);
    }
    if (cls == PFS_OK) {
        cls = qdb_end(&s->db, insert(s, name, data, len, err), err);
    }
    if (cls == PFS_OK) {
        s->total += cost(name, len);
    }
    pthread_mutex_unlock(&s->mu);
    return cls;
}

/* The message of the row at hand. */
static enum pfs_class read_row(sqlite3_stmt *st, struct queue_message *ret, struct pfs_error *err)
{
    const unsigned char *id = sqlite3_column_text(st, 0);
    const void *data = sqlite3_column_blob(st, 2);

    ret->len = (size_t)sqlite3_column_bytes(st, 2);
    ret->time_ns = sqlite3_column_int64(st, 1);
    ret->place = sqlite3_column_int64(st, 3);
    if (id) {
        strncpy(ret->id, (const char *)id, sizeof ret->id - 1);
    }
    ret->data = pfs_strndup(ret->len ? data : "", ret->len);
    return ret->data ? PFS_OK : pfs_nomem(err, "a message");
}

static enum pfs_class sql_take(struct queue_backend *b, const char *name, bool keep,
                               struct queue_message *ret, struct pfs_error *err)
{
    struct queue_sqlite *s = of(b);

    *ret = (struct queue_message){0};
    pthread_mutex_lock(&s->mu);
    enum pfs_class cls = keep ? PFS_OK : qdb_run(&s->db, S_BEGIN, NULL, err);

    if (cls == PFS_OK) {
        sqlite3_stmt *st = qdb_prepare(&s->db, keep ? S_PEEK : S_TAKE, name);
        int rc = sqlite3_step(st);

        if (rc == SQLITE_ROW) {
            cls = read_row(st, ret, err);
        } else if (rc != SQLITE_DONE) {
            cls = qdb_fail(&s->db, PFS_OUTCOME_NA, err);
        }
        sqlite3_reset(st);
    }
    if (!keep) {
        cls = qdb_end(&s->db, cls, err);
        uint64_t gone = cls == PFS_OK && ret->data ? cost(name, ret->len) : 0;

        s->total -= gone < s->total ? gone : s->total;
    }
    pthread_mutex_unlock(&s->mu);
    if (cls != PFS_OK) {
        pfs_free(ret->data);
        *ret = (struct queue_message){0};
    }
    return cls;
}

static enum pfs_class sql_put_back(struct queue_backend *b, const char *name,
                                   const struct queue_message *m, struct pfs_error *err)
{
    struct queue_sqlite *s = of(b);

    pthread_mutex_lock(&s->mu);
    enum pfs_class cls = write_row(s, S_PUT_BACK, name, m, err);

    if (cls == PFS_OK && sqlite3_changes(s->db.db) == 1) { /* else its queue is gone */
        s->total += cost(name, m->len);
    }
    pthread_mutex_unlock(&s->mu);
    return cls;
}

static enum pfs_class sql_clear(struct queue_backend *b, const char *name, struct pfs_error *err)
{
    struct queue_sqlite *s = of(b);
    uint64_t gone = 0;

    pthread_mutex_lock(&s->mu);
    enum pfs_class cls = qdb_run(&s->db, S_BEGIN, NULL, err);

    if (cls == PFS_OK) {
        cls = cost_locked(s, S_COST, name, &gone, err);
        cls = cls == PFS_OK ? qdb_run(&s->db, S_CLEAR, name, err) : cls;
        cls = cls == PFS_OK ? qdb_run(&s->db, S_CLEAR_TIME, name, err) : cls;
        cls = end_deletion_locked(s, cls, gone, err);
    }
    pthread_mutex_unlock(&s->mu);
    return cls;
}

static enum pfs_class children_locked(struct queue_sqlite *s, const char *name,
                                      bool (*fn)(void *arg, const char *child), void *arg,
                                      struct pfs_error *err)
{
    sqlite3_stmt *st = qdb_prepare(&s->db, S_BELOW, name);
    char child[PFS_COMPONENT_MAX + 1], last[PFS_COMPONENT_MAX + 1] = "";
    int rc;

    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        const char *below = (const char *)sqlite3_column_text(st, 0);

        if (below && queue_child_of(below, name, child, sizeof child) && strcmp(child, last) != 0) {
            memcpy(last, child, sizeof last);
            if (!fn(arg, child)) {
                rc = SQLITE_DONE;
                break;
            }
        }
    }
    enum pfs_class cls = rc == SQLITE_DONE ? PFS_OK : qdb_fail(&s->db, PFS_OUTCOME_NA, err);

    sqlite3_reset(st);
    return cls;
}

static bool note_child(void *arg, const char *child)
{
    *(bool *)arg = true;
    return false;
}

static enum pfs_class sql_look(struct queue_backend *b, const char *name, struct queue_state *ret,
                               struct pfs_error *err)
{
    struct queue_sqlite *s = of(b);
    enum pfs_class cls = PFS_OK;

    *ret = (struct queue_state){0};
    pthread_mutex_lock(&s->mu);
    sqlite3_stmt *st = qdb_prepare(&s->db, S_LOOK, name);
    int rc = sqlite3_step(st);

    if (rc == SQLITE_ROW) {
        *ret = (struct queue_state){.exists = true,
                                    .last_ns = sqlite3_column_int64(st, 0),
                                    .size = (uint64_t)sqlite3_column_int64(st, 1)};
    } else if (rc != SQLITE_DONE) {
        cls = qdb_fail(&s->db, PFS_OUTCOME_NA, err);
    }
    sqlite3_reset(st);
    if (cls == PFS_OK) {
        cls = children_locked(s, name, note_child, &ret->has_below, err);
    }
    pthread_mutex_unlock(&s->mu);
    return cls;
}

static enum pfs_class sql_children(struct queue_backend *b, const char *name,
                                   bool (*fn)(void *arg, const char *child), void *arg,
                                   struct pfs_error *err)
{
    struct queue_sqlite *s = of(b);

    pthread_mutex_lock(&s->mu);
    enum pfs_class cls = children_locked(s, name, fn, arg, err);

    pthread_mutex_unlock(&s->mu);
    return cls;
}

static void sql_close(struct queue_backend *b)
{
    struct queue_sqlite *s = of(b);

    qdb_close(&s->db);
    pthread_mutex_destroy(&s->mu);
    pfs_free(s);
}

static const struct queue_backend_ops sqlite_ops = {
    .type = "sqlite",
    .blocking = true,
    .make = sql_make,
    .remove = sql_remove,
    .push = sql_push,
    .take = sql_take,
    .put_back = sql_put_back,
    .clear = sql_clear,
    .look = sql_look,
    .children = sql_children,
    .close = sql_close,
};

enum pfs_class queue_sqlite_open(const char *db_path, const struct queue_limits *limits,
                                 struct queue_backend **ret, struct pfs_error *err)
{
    struct queue_sqlite *s = pfs_calloc(1, sizeof *s);
    enum pfs_class cls;

    if (!s) {
        return pfs_nomem(err, "a queue database");
    }
    s->base.ops = &sqlite_ops;
    s->limits = *limits;
    pthread_mutex_init(&s->mu, NULL);
    cls = qdb_open(&s->db, db_path, err);
    if (cls == PFS_OK) {
        cls = recount_locked(s, err);
    }
    if (cls != PFS_OK) {
        sql_close(&s->base);
        return cls;
    }
    *ret = &s->base;
    return PFS_OK;
}
