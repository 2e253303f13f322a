/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "errors.h"
#include "backend.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/reply.h"
#include "results.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/*
 * The set of texts: 4-way associative, so that a look-up is constant work. A slot is used again
 * once nobody has been given its text for the grace period. 1024 texts are 0.5 MiB.
 */
#define N_SETS 256
#define N_WAYS 4

struct slot {
    uint64_t hash;
    int64_t returned_ns; /* last time; 0: never used */
    char text[PFS_ERROR_TEXT_MAX];
};

struct line {
    int64_t wall_ns;
    char text[PFS_ERROR_TEXT_MAX + 512];
};

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
/* Under mu. */
static struct slot slots[N_SETS][N_WAYS];
static struct line lines[ERRORS_KEPT];
static uint64_t n_noted; /* ever; line i is lines[i % ERRORS_KEPT] */

/* Words by which agfs-shell and others tell errors apart (agfs-http-api.md 9.3). */
static const char *missing_words(const struct pfs_error *err)
{
    const char *t = err->text;

    if (err->cls == PFS_NOTFOUND && !strcasestr(t, "not found") && !strcasestr(t, "no such file")) {
        return "no such file or directory";
    }
    if (err->cls == PFS_DENIED && !strcasestr(t, "permission")) {
        return "permission denied";
    }
    if (err->cls == PFS_EXISTS && !strcasestr(t, "already exists") && !strcasestr(t, "not empty")) {
        return "already exists";
    }
    if (err->cls == PFS_UNSUPPORTED && !strcasestr(t, "not support")) {
        return "not supported";
    }
    return NULL;
}

static uint64_t hash_of(const char *s)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a */

    for (; *s; s++) {
        h = (h ^ (unsigned char)*s) * 1099511628211u;
    }
    return h;
}

/* The slot that holds `text`, or one that may be overwritten with it, or NULL. */
static struct slot *find_slot_locked(const char *text, uint64_t hash, int64_t now, int64_t grace)
{
    struct slot *set = slots[hash % N_SETS], *unused = NULL;

    for (unsigned i = 0; i < N_WAYS; i++) {
        if (set[i].returned_ns && set[i].hash == hash && strcmp(set[i].text, text) == 0) {
            return &set[i];
        }
        if (!set[i].returned_ns || now - set[i].returned_ns >= grace) {
            unused = &set[i];
        }
    }
    return unused;
}

const char *errors_text(const struct pfs_error *err)
{
    struct pfs_error whole = *err;
    const char *words = missing_words(err);

    if (words && whole.text[0]) {
        pfs_refuse(&whole, err->cls, "%s: %s", words, err->text);
    }
    if (!whole.text[0]) {
        return pfs_class_text(err->cls);
    }
    const char *ret = pfs_class_text(err->cls);
    uint64_t hash = hash_of(whole.text);
    int64_t now = pfs_now(), grace = results_grace_ns();

    pthread_mutex_lock(&mu);
    struct slot *s = find_slot_locked(whole.text, hash, now, grace);
    if (s) {
        if (!s->returned_ns || s->hash != hash || strcmp(s->text, whole.text) != 0) {
            memcpy(s->text, whole.text, sizeof s->text);
            s->hash = hash;
        }
        s->returned_ns = now;
        ret = s->text;
    }
    pthread_mutex_unlock(&mu);
    return ret;
}

void errors_note(const char *op, const char *path, const struct pfs_error *err)
{
    char where[256];
    struct line l = {.wall_ns = pfs_wall_now()};

    pfs_escape_line(where, sizeof where, path ? path : "-", path ? strlen(path) : 1);
    snprintf(l.text, sizeof l.text, "%s %s %s/%s/%s%s%s: %s", op, where, pfs_class_name(err->cls),
             pfs_outcome_name(err->outcome), pfs_phase_name(err->phase), err->origin[0] ? " " : "",
             err->origin, err->text);
    pthread_mutex_lock(&mu);
    lines[n_noted++ % ERRORS_KEPT] = l;
    pthread_mutex_unlock(&mu);
}

static bool add_line(struct pfs_buf *b, const struct line *l)
{
    time_t s = (time_t)(l->wall_ns / PFS_SEC);
    char when[32];
    struct tm tm;

    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", gmtime_r(&s, &tm));
    return pfs_buf_printf(b, "%s.%03dZ %s\n", when, (int)(l->wall_ns % PFS_SEC / PFS_MS), l->text);
}

/* The list as text, oldest first; false: out of memory. */
static bool list_text(struct pfs_buf *b, int64_t *ret_newest_ns)
{
    bool ok = true;

    *ret_newest_ns = 0;
    pthread_mutex_lock(&mu);
    for (uint64_t i = n_noted > ERRORS_KEPT ? n_noted - ERRORS_KEPT : 0; ok && i < n_noted; i++) {
        ok = add_line(b, &lines[i % ERRORS_KEPT]);
        *ret_newest_ns = lines[i % ERRORS_KEPT].wall_ns;
    }
    pthread_mutex_unlock(&mu);
    return ok;
}

static void serve_stat(struct pfs_reply *reply, const struct pfs_buf *b, int64_t newest_ns)
{
    reply->stat =
        (struct pfs_stat){.size = (int64_t)pfs_buf_len(b), .mode = 0444, .mtime_ns = newest_ns};
    if (!pfs_stat_fill(&reply->stat, strrchr(ERRORS_PATH, '/') + 1, BACKEND_NAME, "control")) {
        pfs_nomem(&reply->err, ERRORS_PATH);
    }
}

void errors_serve(const struct pfs_request *req, struct pfs_reply *reply)
{
    struct pfs_buf b = {0};
    int64_t newest_ns;

    if (req->op == PFS_OP_READDIR) {
        pfs_refuse(&reply->err, PFS_BADARG, "%s is not a directory", ERRORS_PATH);
    } else if (req->op != PFS_OP_READ && req->op != PFS_OP_STAT) {
        pfs_refuse(&reply->err, PFS_DENIED, "permission denied: %s is read-only", ERRORS_PATH);
    } else if (!list_text(&b, &newest_ns)) {
        pfs_nomem(&reply->err, ERRORS_PATH);
    } else if (req->op == PFS_OP_READ) {
        size_t len = pfs_buf_len(&b);

        pfs_reply_take_range(reply, pfs_buf_take(&b, NULL), len, req);
    } else {
        serve_stat(reply, &b, newest_ns);
    }
    pfs_buf_fini(&b);
}
