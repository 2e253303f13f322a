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
#include "base/path.h"
#include "queue.h"
#include <inttypes.h>
#include <pthread.h>
#include <sqlite3.h>
#include <string.h>

#define BUSY_WAIT_MS 5000 /* for another process that has the database open */

/* One row per statement, prepared once: identifier, text. */
#define STATEMENTS(X)                                                                              \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                    \
    X(COMMIT, "COMMIT")                                                                            \
    X(ROLLBACK, "ROLLBACK")                                                                        \
    X(MAKE, "INSERT OR IGNORE INTO queues(name) VALUES(?1)")                                       \
    X(COUNT_QUEUES, "SELECT count(*) FROM queues WHERE name <> ?1")                                \
    X(FORGET, "DELETE FROM queues WHERE name = ?1 OR ?1 = '' OR "                                  \
              "substr(name, 1, length(?1) + 1) = ?1 || '/'")                                       \
    X(FORGET_MESSAGES, "DELETE FROM messages WHERE queue NOT IN (SELECT name FROM queues)")        \
    X(TOUCH, "UPDATE queues SET last_ns = max(?2, last_ns + 1) WHERE name = ?1 RETURNING last_ns") \
    X(PUSH, "INSERT INTO messages(queue, time_ns, id, data) VALUES(?1, ?2, ?3, ?4)")               \
    X(TAKE, "DELETE FROM messages WHERE seq = (SELECT seq FROM messages WHERE queue = ?1 "         \
            "ORDER BY seq LIMIT 1) RETURNING id, time_ns, data, seq")                              \
    X(PUT_BACK, "INSERT INTO messages(queue, time_ns, id, data, seq) SELECT ?1, ?2, ?3, ?4, ?5 "   \
                "WHERE EXISTS (SELECT 1 FROM queues WHERE name = ?1)")                             \
    X(PEEK, "SELECT id, time_ns, data, seq FROM messages WHERE queue = ?1 ORDER BY seq LIMIT 1")   \
    X(CLEAR, "DELETE FROM messages WHERE queue = ?1")                                              \
    X(CLEAR_TIME, "UPDATE queues SET last_ns = 0 WHERE name = ?1")                                 \
    X(LOOK, "SELECT last_ns, (SELECT count(*) FROM messages WHERE queue = ?1) FROM queues "        \
            "WHERE name = ?1")                                                                     \
    X(BELOW, "SELECT name FROM queues WHERE ?1 = '' OR "                                           \
             "substr(name, 1, length(?1) + 1) = ?1 || '/' ORDER BY replace(name, '/', char(1))")   \
    X(TOTAL, "SELECT coalesce(sum(length(data)), 0) FROM messages")

enum statement {
#define X(id, text) S_##id,
    STATEMENTS(X)
#undef X
        N_STATEMENTS
};

struct queue_sqlite {
    struct queue_backend base;
    struct queue_limits limits; /* fixed after open */
    pthread_mutex_t mu;         /* of everything below; held while the disk works */
    sqlite3 *db;
    sqlite3_stmt *statements[N_STATEMENTS];
    uint64_t total; /* bytes of all messages */
};

static struct queue_sqlite *of(struct queue_backend *b)
{
    return (struct queue_sqlite *)b;
}

static enum pfs_class class_of(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_NOMEM:
        return PFS_NOMEM;
    case SQLITE_FULL:
        return PFS_NOSPC;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return PFS_BUSY;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
        return PFS_DENIED;
    default:
        return PFS_IO;
    }
}

/* What was not committed was not applied; whether a commit that failed was is not known. */
static enum pfs_class fail(struct queue_sqlite *s, enum pfs_outcome outcome, struct pfs_error *err)
{
    return pfs_fail(err, class_of(sqlite3_errcode(s->db)), outcome, PFS_PHASE_LOCAL,
                    "queue database: %s", sqlite3_errmsg(s->db));
}

/* The statement, ready to run with its first parameter bound (NULL: it has none). */
static sqlite3_stmt *prepare(struct queue_sqlite *s, enum statement which, const char *name)
{
    sqlite3_stmt *st = s->statements[which];

    sqlite3_reset(st);
    if (name) {
        sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
    }
    return st;
}

/* Runs a statement without rows. */
static enum pfs_class run(struct queue_sqlite *s, enum statement which, const char *name,
                          struct pfs_error *err)
{
    sqlite3_stmt *st = prepare(s, which, name);
    int rc = sqlite3_step(st);
    enum pfs_class cls = rc == SQLITE_DONE ? PFS_OK : fail(s, PFS_OUTCOME_NA, err);

    sqlite3_reset(st);
    return cls;
}

/* Runs one that has one row with a number. */
static enum pfs_class ask(struct queue_sqlite *s, enum statement which, const char *name,
                          int64_t *ret, struct pfs_error *err)
{
    sqlite3_stmt *st = prepare(s, which, name);
    enum pfs_class cls = PFS_OK;

    if (sqlite3_step(st) == SQLITE_ROW) {
        *ret = sqlite3_column_int64(st, 0);
    } else {
        cls = fail(s, PFS_OUTCOME_NA, err);
    }
    sqlite3_reset(st);
    return cls;
}

static void roll_back(struct queue_sqlite *s)
{
    if (!sqlite3_get_autocommit(s->db)) {
        run(s, S_ROLLBACK, NULL, NULL);
    }
}

/* Ends a transaction: commits what went well so far, takes back the rest. */
static enum pfs_class end(struct queue_sqlite *s, enum pfs_class cls, struct pfs_error *err)
{
    if (cls == PFS_OK) {
        cls = run(s, S_COMMIT, NULL, err);
        if (cls != PFS_OK && err) {
            err->outcome = PFS_OUTCOME_UN;
        }
    }
    if (cls != PFS_OK) {
        roll_back(s);
    }
    return cls;
}

static enum pfs_class sql_make(struct queue_backend *b, const char *name, struct pfs_error *err)
{
    struct queue_sqlite *s = of(b);
    int64_t n = 0;

    pthread_mutex_lock(&s->mu);
    enum pfs_class cls = ask(s, S_COUNT_QUEUES, name, &n, err);

    if (cls == PFS_OK && (uint64_t)n >= s->limits.max_queues) {
        cls = pfs_refuse(err, PFS_NOSPC, "too many queues: %" PRIu64 " are allowed",
                         s->limits.max_queues);
    } else if (cls == PFS_OK) {
        cls = run(s, S_MAKE, name, err);
    }
    pthread_mutex_unlock(&s->mu);
    return cls;
}

/* Messages may be many: the total is counted again. */
static void recount_locked(struct queue_sqlite *s)
{
    int64_t total = 0;

    if (ask(s, S_TOTAL, NULL, &total, NULL) == PFS_OK) {
        s->total = (uint64_t)total;
    }
}

static enum pfs_class sql_remove(struct queue_backend *b, const char *name, struct pfs_error *err)
{
    struct queue_sqlite *s = of(b);

    pthread_mutex_lock(&s->mu);
    enum pfs_class cls = run(s, S_BEGIN, NULL, err);

    if (cls == PFS_OK) {
        cls = run(s, S_FORGET, name, err);
        cls = cls == PFS_OK ? run(s, S_FORGET_MESSAGES, NULL, err) : cls;
        cls = end(s, cls, err);
    }
    recount_locked(s);
    pthread_mutex_unlock(&s->mu);
    return cls;
}

/* PUSH, or PUT_BACK with its place. */
static enum pfs_class write_row(struct queue_sqlite *s, enum statement which, const char *name,
                                const struct queue_message *m, struct pfs_error *err)
{
    sqlite3_stmt *st = prepare(s, which, name);

    sqlite3_bind_int64(st, 2, m->time_ns);
    sqlite3_bind_text(st, 3, m->id, -1, SQLITE_STATIC);
    sqlite3_bind_blob64(st, 4, m->len ? m->data : "", m->len, SQLITE_STATIC);
    if (which == S_PUT_BACK) {
        sqlite3_bind_int64(st, 5, m->place);
    }
    int rc = sqlite3_step(st);
    enum pfs_class cls = rc == SQLITE_DONE ? PFS_OK : fail(s, PFS_OUTCOME_NA, err);

    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    return cls;
}

static enum pfs_class insert(struct queue_sqlite *s, const char *name, const void *data, size_t len,
                             struct pfs_error *err)
{
    sqlite3_stmt *st = prepare(s, S_TOUCH, name);

    sqlite3_bind_int64(st, 2, pfs_wall_now());
    int rc = sqlite3_step(st);
    int64_t time_ns = rc == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;

    sqlite3_reset(st);
    if (rc == SQLITE_DONE) {
        return pfs_refuse(err, PFS_NOTFOUND,
                          "queue does not exist: %s (create it with mkdir first; not found)", name);
    }
    if (rc != SQLITE_ROW) {
        return fail(s, PFS_OUTCOME_NA, err);
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
    enum pfs_class cls = queue_check_room(&s->limits, s->total, len, err);

    if (cls == PFS_OK) {
        cls = run(s, S_BEGIN, NULL, err);
    }
    if (cls == PFS_OK) {
        cls = end(s, insert(s, name, data, len, err), err);
    }
    if (cls == PFS_OK) {
        s->total += len;
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
    enum pfs_class cls = keep ? PFS_OK : run(s, S_BEGIN, NULL, err);

    if (cls == PFS_OK) {
        sqlite3_stmt *st = prepare(s, keep ? S_PEEK : S_TAKE, name);
        int rc = sqlite3_step(st);

        if (rc == SQLITE_ROW) {
            cls = read_row(st, ret, err);
        } else if (rc != SQLITE_DONE) {
            cls = fail(s, PFS_OUTCOME_NA, err);
        }
        sqlite3_reset(st);
    }
    if (!keep) {
        cls = end(s, cls, err);
        s->total -= cls == PFS_OK && ret->len < s->total ? ret->len : cls == PFS_OK ? s->total : 0;
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

    recount_locked(s);
    pthread_mutex_unlock(&s->mu);
    return cls;
}

static enum pfs_class sql_clear(struct queue_backend *b, const char *name, struct pfs_error *err)
{
    struct queue_sqlite *s = of(b);

    pthread_mutex_lock(&s->mu);
    enum pfs_class cls = run(s, S_BEGIN, NULL, err);

    if (cls == PFS_OK) {
        cls = run(s, S_CLEAR, name, err);
        cls = cls == PFS_OK ? run(s, S_CLEAR_TIME, name, err) : cls;
        cls = end(s, cls, err);
    }
    recount_locked(s);
    pthread_mutex_unlock(&s->mu);
    return cls;
}

static enum pfs_class children_locked(struct queue_sqlite *s, const char *name,
                                      bool (*fn)(void *arg, const char *child), void *arg,
                                      struct pfs_error *err)
{
    sqlite3_stmt *st = prepare(s, S_BELOW, name);
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
    enum pfs_class cls = rc == SQLITE_DONE ? PFS_OK : fail(s, PFS_OUTCOME_NA, err);

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
    sqlite3_stmt *st = prepare(s, S_LOOK, name);
    int rc = sqlite3_step(st);

    if (rc == SQLITE_ROW) {
        *ret = (struct queue_state){.exists = true,
                                    .last_ns = sqlite3_column_int64(st, 0),
                                    .size = (uint64_t)sqlite3_column_int64(st, 1)};
    } else if (rc != SQLITE_DONE) {
        cls = fail(s, PFS_OUTCOME_NA, err);
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

    for (size_t i = 0; i < N_STATEMENTS; i++) {
        sqlite3_finalize(s->statements[i]);
    }
    sqlite3_close(s->db);
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

static enum pfs_class set_up(struct queue_sqlite *s, struct pfs_error *err)
{
    static const char *const texts[N_STATEMENTS] = {
#define X(id, text) [S_##id] = text,
        STATEMENTS(X)
#undef X
    };
    static const char schema[] =
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
        "CREATE TABLE IF NOT EXISTS queues(name TEXT PRIMARY KEY, last_ns INTEGER NOT NULL "
        "DEFAULT 0) WITHOUT ROWID;"
        "CREATE TABLE IF NOT EXISTS messages(seq INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT "
        "NOT NULL, time_ns INTEGER NOT NULL, id TEXT NOT NULL, data BLOB NOT NULL);"
        "CREATE INDEX IF NOT EXISTS messages_by_queue ON messages(queue, seq);";
    int64_t total = 0;

    sqlite3_busy_timeout(s->db, BUSY_WAIT_MS);
    if (sqlite3_exec(s->db, schema, NULL, NULL, NULL) != SQLITE_OK) {
        return fail(s, PFS_OUTCOME_NA, err);
    }
    for (size_t i = 0; i < N_STATEMENTS; i++) {
        if (sqlite3_prepare_v3(s->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &s->statements[i],
                               NULL) != SQLITE_OK) {
            return fail(s, PFS_OUTCOME_NA, err);
        }
    }
    enum pfs_class cls = ask(s, S_TOTAL, NULL, &total, err);

    s->total = (uint64_t)total;
    return cls;
}

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
    /* The lock is ours: SQLite need not have one. */
    if (sqlite3_open_v2(db_path, &s->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK) {
        cls = fail(s, PFS_OUTCOME_NA, err);
    } else {
        cls = set_up(s, err);
    }
    if (cls != PFS_OK) {
        sql_close(&s->base);
        return cls;
    }
    *ret = &s->base;
    return PFS_OK;
}
