/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_QUEUE_DB_H
#define AGFSD_QUEUE_DB_H

/*
 * The database of queue_sqlite: its tables, and its statements, prepared once. Under the lock of
 * who owns it.
 */
#include <proxyfs/error.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* '0' comes after '/': what is between them is found in the index. */
#define BELOW_IT "queue > ?1 || '/' AND queue < ?1 || '0'"
#define COST_OF_MESSAGES                                                                           \
    "SELECT coalesce(sum(length(data) + 2 * length(CAST(queue AS BLOB))), 0) + count(*) * ?2 "     \
    "FROM messages"

/* One row per statement, prepared once: identifier, text. */
#define STATEMENTS(X)                                                                              \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                    \
    X(COMMIT, "COMMIT")                                                                            \
    X(ROLLBACK, "ROLLBACK")                                                                        \
    X(MAKE, "INSERT OR IGNORE INTO queues(name) VALUES(?1)")                                       \
    X(COUNT_QUEUES, "SELECT count(*) FROM queues WHERE name <> ?1")                                \
    X(FORGET, "DELETE FROM queues WHERE name = ?1 OR ?1 = '' OR "                                  \
              "substr(name, 1, length(?1) + 1) = ?1 || '/'")                                       \
    X(TOUCH, "UPDATE queues SET last_ns = max(?2, last_ns + 1) WHERE name = ?1 RETURNING last_ns") \
    X(PUSH, "INSERT INTO messages(queue, time_ns, id, data) VALUES(?1, ?2, ?3, ?4)")               \
    X(TAKE, "DELETE FROM messages WHERE seq = (SELECT seq FROM messages WHERE queue = ?1 "         \
            "ORDER BY seq LIMIT 1) RETURNING id, time_ns, data, seq")                              \
    X(PUT_BACK, "INSERT INTO messages(queue, time_ns, id, data, seq) SELECT ?1, ?2, ?3, ?4, ?5 "   \
                "WHERE EXISTS (SELECT 1 FROM queues WHERE name = ?1)")                             \
    X(PEEK, "SELECT id, time_ns, data, seq FROM messages WHERE queue = ?1 ORDER BY seq LIMIT 1")   \
    X(CLEAR, "DELETE FROM messages WHERE queue = ?1")                                              \
    X(CLEAR_BELOW, "DELETE FROM messages WHERE " BELOW_IT)                                         \
    X(CLEAR_ALL, "DELETE FROM messages")                                                           \
    X(CLEAR_TIME, "UPDATE queues SET last_ns = 0 WHERE name = ?1")                                 \
    X(LOOK, "SELECT last_ns, (SELECT count(*) FROM messages WHERE queue = ?1) FROM queues "        \
            "WHERE name = ?1")                                                                     \
    X(BELOW, "SELECT name FROM queues WHERE ?1 = '' OR "                                           \
             "substr(name, 1, length(?1) + 1) = ?1 || '/' ORDER BY replace(name, '/', char(0))")   \
    X(FREE, "SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size")      \
    X(COST, COST_OF_MESSAGES " WHERE queue = ?1")                                                  \
    X(COST_BELOW, COST_OF_MESSAGES " WHERE " BELOW_IT)                                             \
    X(COST_ALL, COST_OF_MESSAGES)

enum statement {
#define X(id, text) S_##id,
    STATEMENTS(X)
#undef X
        N_STATEMENTS
};

struct queue_db {
    sqlite3 *db;
    sqlite3_stmt *statements[N_STATEMENTS];
};

/* A database file, made when missing. Errors as those of queue_sqlite_open; close it then too. */
enum pfs_class qdb_open(struct queue_db *d, const char *path, struct pfs_error *err);
void qdb_close(struct queue_db *d);

/* The error of what SQLite did last. */
enum pfs_class qdb_fail(struct queue_db *d, enum pfs_outcome outcome, struct pfs_error *err);
/* The statement, ready to run with its first parameter bound (NULL: it has none). */
sqlite3_stmt *qdb_prepare(struct queue_db *d, enum statement which, const char *name);
/* Runs a statement without rows. */
enum pfs_class qdb_run(struct queue_db *d, enum statement which, const char *name,
                       struct pfs_error *err);
/* Runs one that has one row with a number. */
enum pfs_class qdb_ask(struct queue_db *d, enum statement which, const char *name, int64_t *ret,
                       struct pfs_error *err);
/*
 * May a message of len bytes take room on the disk? Some is left to take messages out with, which
 * needs it for the log of that.
 */
bool qdb_has_room(struct queue_db *d, size_t len);
/* Ends a transaction: commits what went well so far, takes back the rest. */
enum pfs_class qdb_end(struct queue_db *d, enum pfs_class cls, struct pfs_error *err);

#endif
