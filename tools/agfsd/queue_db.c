/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "queue_db.h"
#include "base/err.h"
#include <stddef.h>
#include <sys/statvfs.h>

/*
 * The log grows to 1000 pages of 4 KiB and a transaction, and what is in there may all be new to
 * the tables. On small disks it is an eighth.
 */
#define DISK_RESERVE (16u << 20)
#define BUSY_WAIT_MS 5000 /* for another process that has the database open */

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
enum pfs_class qdb_fail(struct queue_db *d, enum pfs_outcome outcome, struct pfs_error *err)
{
    return pfs_fail(err, class_of(sqlite3_errcode(d->db)), outcome, PFS_PHASE_LOCAL,
                    "queue database: %s", sqlite3_errmsg(d->db));
}

sqlite3_stmt *qdb_prepare(struct queue_db *d, enum statement which, const char *name)
{
    sqlite3_stmt *st = d->statements[which];

    sqlite3_reset(st);
    if (name) {
        sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
    }
    return st;
}

enum pfs_class qdb_run(struct queue_db *d, enum statement which, const char *name,
                       struct pfs_error *err)
{
    sqlite3_stmt *st = qdb_prepare(d, which, name);
    int rc = sqlite3_step(st);
    enum pfs_class cls = rc == SQLITE_DONE ? PFS_OK : qdb_fail(d, PFS_OUTCOME_NA, err);

    sqlite3_reset(st);
    return cls;
}

enum pfs_class qdb_ask(struct queue_db *d, enum statement which, const char *name, int64_t *ret,
                       struct pfs_error *err)
{
    sqlite3_stmt *st = qdb_prepare(d, which, name);
    enum pfs_class cls = PFS_OK;

    if (sqlite3_step(st) == SQLITE_ROW) {
        *ret = sqlite3_column_int64(st, 0);
    } else {
        cls = qdb_fail(d, PFS_OUTCOME_NA, err);
    }
    sqlite3_reset(st);
    return cls;
}

/* False: the transaction goes on. SQLite ends it by itself after some errors. */
static bool roll_back(struct queue_db *d)
{
    return sqlite3_get_autocommit(d->db) || qdb_run(d, S_ROLLBACK, NULL, NULL) == PFS_OK;
}

/* A commit that fails so has not got as far as its last write. */
static bool is_before_commit(enum pfs_class cls)
{
    return cls == PFS_NOSPC || cls == PFS_BUSY || cls == PFS_NOMEM;
}

enum pfs_class qdb_end(struct queue_db *d, enum pfs_class cls, struct pfs_error *err)
{
    bool commits = cls == PFS_OK;

    if (commits) {
        cls = qdb_run(d, S_COMMIT, NULL, err);
    }
    bool undone = cls != PFS_OK && roll_back(d);

    if (commits && cls != PFS_OK && err && !(undone && is_before_commit(cls))) {
        err->outcome = PFS_OUTCOME_UN;
    }
    return cls;
}

bool qdb_has_room(struct queue_db *d, size_t len)
{
    const char *path = sqlite3_db_filename(d->db, "main");
    struct statvfs v;

    if (!path || !*path || statvfs(path, &v) != 0) {
        return true;
    }
    uint64_t all = (uint64_t)v.f_blocks * v.f_frsize, left = (uint64_t)v.f_bavail * v.f_frsize;
    uint64_t reserve = all / 8 < DISK_RESERVE ? all / 8 : DISK_RESERVE;

    uint64_t needs = reserve + 2 * (uint64_t)len; /* once in the log, once in the tables */
    int64_t unused = 0;                           /* of what the tables have */

    return left >= needs ||
           (qdb_ask(d, S_FREE, NULL, &unused, NULL) == PFS_OK && left + (uint64_t)unused >= needs);
}

static enum pfs_class set_up(struct queue_db *d, struct pfs_error *err)
{
    static const char *const texts[N_STATEMENTS] = {
#define X(id, text) [S_##id] = text,
        STATEMENTS(X)
#undef X
    };
    static const char schema[] =
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
        "PRAGMA secure_delete=OFF;" /* a message taken out is not written over with zeros */
        "CREATE TABLE IF NOT EXISTS queues(name TEXT PRIMARY KEY, last_ns INTEGER NOT NULL "
        "DEFAULT 0) WITHOUT ROWID;"
        "CREATE TABLE IF NOT EXISTS messages(seq INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT "
        "NOT NULL, time_ns INTEGER NOT NULL, id TEXT NOT NULL, data BLOB NOT NULL);"
        "CREATE INDEX IF NOT EXISTS messages_by_queue ON messages(queue, seq);";

    sqlite3_busy_timeout(d->db, BUSY_WAIT_MS);
    if (sqlite3_exec(d->db, schema, NULL, NULL, NULL) != SQLITE_OK) {
        return qdb_fail(d, PFS_OUTCOME_NA, err);
    }
    for (size_t i = 0; i < N_STATEMENTS; i++) {
        if (sqlite3_prepare_v3(d->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &d->statements[i],
                               NULL) != SQLITE_OK) {
            return qdb_fail(d, PFS_OUTCOME_NA, err);
        }
    }
    return PFS_OK;
}

enum pfs_class qdb_open(struct queue_db *d, const char *path, struct pfs_error *err)
{
    /* The lock is the owner's: SQLite need not have one. */
    if (sqlite3_open_v2(path, &d->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK) {
        return qdb_fail(d, PFS_OUTCOME_NA, err);
    }
    return set_up(d, err);
}

void qdb_close(struct queue_db *d)
{
    for (size_t i = 0; i < N_STATEMENTS; i++) {
        sqlite3_finalize(d->statements[i]);
    }
    sqlite3_close(d->db);
}
