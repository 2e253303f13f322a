/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "session.h"
#include "interrupt.h"
#include "limit.h"
#include "util.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE (256u << 10) /* what a program like cp moves at once */

enum pfs_class session_open(struct session *s, struct target *t, const struct setup *setup,
                            unsigned caller, struct pfs_error *err)
{
    *s = (struct session){.target = t, .setup = setup, .caller = caller};
    rng_seed(&s->rng, caller);
    if (t->limit) {
        s->tls = limit_connect(t->limit, t->limit_op, err);
        return s->tls ? PFS_OK : err->cls;
    }
    s->remote = &t->remotes[caller % setup->remotes];
    s->serial = (uint64_t)now_ns(); /* other rounds have other names */
    if (s->remote->queue) {
        s->n_message = setup->size > SESSION_ID_MAX ? (size_t)setup->size : SESSION_ID_MAX;
        s->message = xcalloc(1, s->n_message);
        memset(s->message, 'x', s->n_message);
    }
    if (setup->size > CONTENT_MAX)
        s->buffer = xcalloc(1, PIECE);
    if (t->spec->file) /* of all calls: not made anew for each */
        snprintf(s->path, sizeof s->path, "%s", t->spec->file);
    return PFS_OK;
}

static void own_path(struct session *s)
{
    snprintf(s->path, sizeof s->path, "%s/c%u-%llu", s->remote->base, s->caller,
             (unsigned long long)s->own);
}

void session_close(struct session *s)
{
    struct pfs_error err;

    if (s->created && !interrupted()) { /* best effort: its directory is removed in the end */
        own_path(s);
        enum pfs_class ignored = pfs_remove(s->remote->client, s->path, &err);
        (void)ignored;
    }
    limit_disconnect(s->tls);
    free(s->message);
    free(s->buffer);
    *s = (struct session){.target = NULL};
}

/* ---- before the call ---- */

/* "b7-123x": who sent it, a number, and what fills it up. */
static void make_message(struct session *s)
{
    int n =
        snprintf(s->message, s->n_message, "b%u-%llu", s->caller, (unsigned long long)++s->serial);

    s->message[n] = 'x';
    s->n_message = s->setup->size > n + 1 ? (size_t)s->setup->size : (size_t)n + 1;
}

/* "BASE/f12", for each call: with printf it took a thousand instructions of some 30,000. */
static void file_path(struct session *s, char kind, unsigned number)
{
    char digits[10];
    size_t n = strlen(s->remote->base), i = sizeof digits;

    memcpy(s->path, s->remote->base, n);
    s->path[n++] = '/';
    s->path[n++] = kind;
    do {
        digits[--i] = (char)('0' + number % 10);
    } while ((number /= 10) != 0);
    memcpy(s->path + n, digits + i, sizeof digits - i);
    s->path[n + sizeof digits - i] = '\0';
}

enum bench_op session_next(struct session *s, const struct workload_part *part)
{
    enum bench_op op = part->op;
    const char *base = s->remote ? s->remote->base : NULL;

    if (s->remote && s->target->spec->file)
        return op;
    if ((part->then == OP_REMOVE && s->created) || (part->then == OP_DEQUEUE && s->enqueued))
        op = part->then;
    switch (op) {
    case OP_STAT:
    case OP_READ:
        file_path(s, 'f', (unsigned)(rng_next(&s->rng) % s->setup->files));
        break;
    case OP_WRITE:
        file_path(s, 'w', s->caller);
        break;
    case OP_LIST:
        snprintf(s->path, sizeof s->path, "%s/list", base);
        break;
    case OP_CREATE:
        s->own = ++s->serial;
        own_path(s);
        break;
    case OP_REMOVE:
        own_path(s);
        break;
    case OP_ENQUEUE:
        snprintf(s->path, sizeof s->path, "%s/enqueue", s->remote->queue);
        make_message(s);
        break;
    case OP_DEQUEUE:
        snprintf(s->path, sizeof s->path, "%s/dequeue", s->remote->queue);
        break;
    case OP_PING:
    case OP_PIPE:
    case N_OPS:
        break;
    }
    return op;
}

/* ---- the call ---- */

static enum pfs_class read_stream(struct session *s, struct pfs_error *err)
{
    struct pfs_stream *in;
    size_t n = 1;
    enum pfs_class cls = pfs_open_read(s->remote->client, s->path, 0, -1, &in, err);

    if (cls != PFS_OK)
        return cls;
    while (cls == PFS_OK && n > 0) {
        if (interrupted()) {
            cls = interrupt_error(err);
            break;
        }
        cls = pfs_stream_read(in, s->buffer, PIECE, &n, err);
        s->streamed += cls == PFS_OK ? (int64_t)n : 0;
    }
    pfs_stream_close(in);
    return cls;
}

static enum pfs_class call_read(struct session *s, struct pfs_error *err)
{
    s->streamed = 0;
    return s->setup->size > CONTENT_MAX
               ? read_stream(s, err)
               : pfs_read(s->remote->client, s->path, 0, -1, &s->data, err);
}

static enum pfs_class call_write(struct session *s, struct pfs_error *err)
{
    int64_t size = s->setup->size;
    struct pfs_client *c = s->remote->client;
    struct pfs_stream *out;
    enum pfs_class cls;

    if (size <= CONTENT_MAX) {
        cls = pfs_write(c, s->path, s->setup->content, (size_t)size, -1, 0, NULL, err);
    } else {
        cls = pfs_open_write(c, s->path, size, PFS_WRITE_CREATE | PFS_WRITE_TRUNCATE, &out, err);
        if (cls != PFS_OK)
            return cls;
        for (int64_t left = size; cls == PFS_OK && left > 0; left -= PIECE)
            cls = interrupted() ? interrupt_error(err)
                                : pfs_stream_write(out, s->setup->content,
                                                   (size_t)(left < PIECE ? left : PIECE), err);
        if (cls == PFS_OK)
            cls = pfs_stream_finish(out, err);
        pfs_stream_close(out);
    }
    s->bytes_written += cls == PFS_OK ? (uint64_t)size : 0;
    return cls;
}

/* ---- queues ---- */

static uint64_t hash(const char *id, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */

    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)id[i]) * 0x100000001b3u;
    return h ^ h >> 29;
}

static size_t id_length(const char *message)
{
    return strspn(message, "b0123456789-");
}

bool account_message(struct queue_account *a, const struct pfs_data *reply)
{
    static const char mark[] = "\"data\":\"";
    const char *at = reply->len ? memmem(reply->bytes, reply->len, mark, sizeof mark - 1) : NULL;

    if (at == NULL)
        return false;
    at += sizeof mark - 1;
    size_t n = 0, most = (size_t)(reply->bytes + reply->len - at);
    while (n < most && strchr("b0123456789-", at[n]) && at[n])
        n++;
    atomic_fetch_add(&a->dequeued, 1);
    atomic_fetch_add(&a->out_sum, hash(at, n));
    return true;
}

static enum pfs_class call_enqueue(struct session *s, struct pfs_error *err)
{
    struct queue_account *a = &s->target->account;
    enum pfs_class cls =
        pfs_write(s->remote->client, s->path, s->message, s->n_message, -1, 0, NULL, err);

    s->enqueued = true;
    if (cls == PFS_OK || err->outcome == PFS_OUTCOME_AP) {
        atomic_fetch_add(&a->enqueued, 1);
        atomic_fetch_add(&a->in_sum, hash(s->message, id_length(s->message)));
        s->bytes_written += s->n_message;
    } else if (err->outcome == PFS_OUTCOME_UN) {
        atomic_fetch_add(&a->unknown, 1);
    }
    return cls;
}

static enum pfs_class call_dequeue(struct session *s, struct pfs_error *err)
{
    enum pfs_class cls = pfs_read(s->remote->client, s->path, 0, -1, &s->data, err);

    s->enqueued = false;
    if (cls != PFS_OK && err->outcome != PFS_OUTCOME_NA)
        atomic_fetch_add(&s->target->account.taken_unknown, 1);
    return cls;
}

static enum pfs_class call_limit(struct session *s, enum bench_op op, struct pfs_error *err)
{
    enum pfs_class cls = limit_call(s->tls, op, err);

    if (cls == PFS_OK && op == OP_PIPE)
        s->bytes_read += LIMIT_PIECE;
    return cls;
}

enum pfs_class session_call(struct session *s, enum bench_op op, struct pfs_error *err)
{
    struct pfs_client *c = s->remote ? s->remote->client : NULL;
    enum pfs_class cls;

    switch (op) {
    case OP_STAT:
        return pfs_stat(c, s->path, &s->stat, err);
    case OP_READ:
        return call_read(s, err);
    case OP_WRITE:
        return call_write(s, err);
    case OP_LIST:
        return pfs_readdir(c, s->path, &s->list, err);
    case OP_CREATE:
        cls = pfs_create(c, s->path, err);
        s->created = cls == PFS_OK;
        return cls;
    case OP_REMOVE:
        cls = pfs_remove(c, s->path, err);
        s->created = false;
        return cls;
    case OP_ENQUEUE:
        return call_enqueue(s, err);
    case OP_DEQUEUE:
        return call_dequeue(s, err);
    case OP_PING:
    case OP_PIPE:
    case N_OPS:
        break;
    }
    return call_limit(s, op, err);
}

/* ---- after the call ---- */

/* A reply that is complete but not what was stored. */
static enum pfs_class wrong(struct pfs_error *err, const char *path, const char *what,
                            long long wanted, long long got)
{
    *err =
        (struct pfs_error){.cls = PFS_PAYLOAD, .outcome = PFS_OUTCOME_NA, .phase = PFS_PHASE_REPLY};
    snprintf(err->text, sizeof err->text, "%.380s has %lld %s instead of %lld", path, got, what,
             wanted);
    return err->cls;
}

static enum pfs_class check_read(struct session *s, struct pfs_error *err)
{
    int64_t got = s->data.len ? (int64_t)s->data.len : s->streamed;

    pfs_data_fini(&s->data);
    s->bytes_read += (uint64_t)got;
    return got == s->setup->size ? PFS_OK : wrong(err, s->path, "bytes", s->setup->size, got);
}

static void take_message(struct session *s)
{
    if (!account_message(&s->target->account, &s->data))
        atomic_fetch_add(&s->target->account.empty, 1);
    s->bytes_read += s->data.len;
    pfs_data_fini(&s->data);
}

enum pfs_class session_check(struct session *s, enum bench_op op, struct pfs_error *err)
{
    long long got;

    switch (op) {
    case OP_STAT:
        got = s->stat.size;
        pfs_stat_fini(&s->stat);
        return got == s->setup->size ? PFS_OK : wrong(err, s->path, "bytes", s->setup->size, got);
    case OP_READ:
        return check_read(s, err);
    case OP_LIST:
        got = (long long)s->list.n;
        pfs_list_fini(&s->list);
        return got == s->setup->entries ? PFS_OK
                                        : wrong(err, s->path, "entries", s->setup->entries, got);
    case OP_DEQUEUE:
        take_message(s);
        return PFS_OK;
    case OP_WRITE:
    case OP_CREATE:
    case OP_REMOVE:
    case OP_ENQUEUE:
    case OP_PING:
    case OP_PIPE:
    case N_OPS:
        break; /* the call has said everything */
    }
    return PFS_OK;
}
