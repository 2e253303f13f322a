/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * queuefs: a directory per queue with the control files enqueue, dequeue, peek, size and clear
 * (agfs-http-api.md 8.3). The texts are the stock server's; the classes say what it leaves open.
 */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/reply.h"
#include "driver_options.h"
#include "driver_util.h"
#include "drivers.h"
#include "jsonout.h"
#include "queuefs.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char readme[] =
    "QueueFS: message queues as files\n"
    "\n"
    "Every directory is a queue; queues may be nested.\n"
    "\n"
    "  enqueue   write: appends one message, the whole body\n"
    "  dequeue   read: takes the first message, {} when there is none\n"
    "  peek      read: shows the first message; its time is that of the last enqueue\n"
    "  size      read: how many messages there are\n"
    "  clear     write: removes all messages\n"
    "\n"
    "  agfs mkdir /queuefs/jobs\n"
    "  agfs -c 'echo -n hello > /queuefs/jobs/enqueue'\n"
    "  agfs cat /queuefs/jobs/dequeue\n"
    "\n"
    "A message goes to exactly one reader: {\"id\":UUIDv7,\"data\":text,\"timestamp\":time}.\n"
    "Bytes that are not UTF-8 are shown as U+FFFD.\n"
    "\n"
    "Options: backend memory (lost on restart) or sqlite (in the file db_path, safe once\n"
    "acknowledged; by default queue.db in the server's working directory);\n"
    "max_message_bytes, max_bytes, max_queues.\n";

/* The files of a queue, in the order in which a listing shows them. */
static const struct control {
    const char *name;
    enum queue_file file;
    uint32_t mode;
    const char *meta_type;
} controls[] = {
    {"enqueue", QUEUE_ENQUEUE, 0222, "control"}, {"dequeue", QUEUE_DEQUEUE, 0444, "control"},
    {"peek", QUEUE_PEEK, 0444, "control"},       {"size", QUEUE_SIZE, 0444, "status"},
    {"clear", QUEUE_CLEAR, 0222, "control"},
};
#define N_CONTROLS (sizeof controls / sizeof *controls)

enum pfs_class queuefs_parse(const char *path, struct queue_path *ret, struct pfs_error *err)
{
    const char *base = pfs_path_base(path);
    size_t n = strlen(path);

    ret->file = strcmp(path, "/README") == 0 ? QUEUE_README : QUEUE_DIR;
    ret->file_name = base;
    for (size_t i = 0; i < N_CONTROLS; i++) {
        if (strcmp(controls[i].name, base) == 0) {
            ret->file = controls[i].file;
            n = (size_t)(base - path) - 1; /* without the '/' before it */
        }
    }
    if (ret->file > QUEUE_README && n == 0) {
        return pfs_refuse(err, PFS_BADARG, "invalid path: operation without queue name");
    }
    if (n > PFS_PATH_MAX) {
        return pfs_refuse(err, PFS_BADARG, "file name too long");
    }
    snprintf(ret->name, sizeof ret->name, "%.*s", n > 0 ? (int)n - 1 : 0, path + 1);
    return PFS_OK;
}

/* ---- content ---- */

static enum pfs_class message_text(const struct queue_message *m, char **ret, size_t *ret_len,
                                   struct pfs_error *err)
{
    struct jout j = {0};

    jo_begin(&j, '{');
    if (m->data) {
        jo_member(&j, "id", m->id);
        jo_key(&j, "data");
        jo_strn(&j, m->data, m->len);
        jo_key(&j, "timestamp");
        jo_time(&j, m->time_ns);
    }
    jo_end(&j, '}');
    *ret = jo_take_bare(&j, ret_len);
    return *ret ? PFS_OK : pfs_nomem(err, "a message");
}

static enum pfs_class fetch_message(struct queuefs *q, const struct queue_path *p, char **ret,
                                    size_t *ret_len, struct pfs_receipt **ret_receipt,
                                    struct pfs_error *err)
{
    struct queue_message m;
    enum pfs_class cls = q->backend->ops->take(q->backend, p->name, p->file == QUEUE_PEEK, &m, err);

    if (cls == PFS_OK) {
        bool taken = m.data && p->file == QUEUE_DEQUEUE;

        cls = message_text(&m, ret, ret_len, err);
        if (cls != PFS_OK && taken && err) {
            err->outcome = PFS_OUTCOME_AP; /* it is gone from the queue */
        }
        if (cls == PFS_OK && taken && ret_receipt) {
            *ret_receipt = queuefs_receipt(q, p->name, &m);
        } else {
            pfs_free(m.data);
        }
    }
    return cls;
}

static enum pfs_class fetch_size(struct queuefs *q, const struct queue_path *p, char **ret,
                                 size_t *ret_len, struct pfs_error *err)
{
    struct queue_state state;
    char text[24];
    enum pfs_class cls = q->backend->ops->look(q->backend, p->name, &state, err);

    if (cls == PFS_OK) {
        snprintf(text, sizeof text, "%" PRIu64, state.size);
        *ret = pfs_strdup(text);
        *ret_len = strlen(text);
        cls = *ret ? PFS_OK : pfs_nomem(err, "a size");
    }
    return cls;
}

enum pfs_class queuefs_fetch(struct queuefs *q, const struct queue_path *p, char **ret,
                             size_t *ret_len, struct pfs_receipt **ret_receipt,
                             struct pfs_error *err)
{
    return p->file == QUEUE_SIZE ? fetch_size(q, p, ret, ret_len, err)
                                 : fetch_message(q, p, ret, ret_len, ret_receipt, err);
}

static void op_read(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct queue_path p;
    char *text = NULL;
    size_t len = 0;

    if (queuefs_parse(req->path, &p, &reply->err) != PFS_OK) {
        return;
    }
    switch (p.file) {
    case QUEUE_DIR:
        pfs_refuse(&reply->err, PFS_BADARG, "is a directory: %s", req->path);
        return;
    case QUEUE_ENQUEUE:
    case QUEUE_CLEAR:
        pfs_refuse(&reply->err, PFS_DENIED, "permission denied: %s is write-only", req->path);
        return;
    case QUEUE_README:
        text = pfs_strdup(readme);
        len = sizeof readme - 1;
        break;
    case QUEUE_DEQUEUE:
    case QUEUE_PEEK:
    case QUEUE_SIZE:
        if (queuefs_fetch(queuefs_of(d), &p, &text, &len, &reply->receipt, &reply->err) != PFS_OK) {
            return;
        }
        break;
    }
    pfs_reply_take_range(reply, text, len, req);
}

static void op_write(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct queue_backend *b = queuefs_of(d)->backend;
    struct queue_path p;

    if (queuefs_parse(req->path, &p, &reply->err) != PFS_OK) {
        return;
    }
    switch (p.file) {
    case QUEUE_DIR:
        pfs_refuse(&reply->err, PFS_BADARG, "is a directory: %s", req->path);
        break;
    case QUEUE_ENQUEUE:
        if (b->ops->push(b, p.name, req->data, req->len, &reply->err) == PFS_OK) {
            reply->count = (int64_t)req->len;
        }
        break;
    case QUEUE_CLEAR:
        b->ops->clear(b, p.name, &reply->err);
        break;
    case QUEUE_README:
    case QUEUE_DEQUEUE:
    case QUEUE_PEEK:
    case QUEUE_SIZE:
        pfs_refuse(&reply->err, PFS_DENIED, "cannot write to: %s", req->path);
        break;
    }
}

/* ---- what is there ---- */

static bool fill(struct pfs_stat *st, const char *name, uint32_t mode, const char *meta_type)
{
    st->mode = mode;
    st->is_dir = strcmp(meta_type, "queue") == 0 || meta_type[0] == '\0';
    st->mtime_ns = pfs_wall_now();
    return pfs_stat_fill(st, name, "queuefs", meta_type);
}

static bool fill_readme(struct pfs_stat *st)
{
    st->size = sizeof readme - 1;
    return fill(st, "README", 0444, "doc");
}

static bool fill_control(struct pfs_stat *st, enum queue_file file, const struct queue_state *state)
{
    char digits[24];

    for (size_t i = 0; i < N_CONTROLS; i++) {
        if (controls[i].file == file &&
            !fill(st, controls[i].name, controls[i].mode, controls[i].meta_type)) {
            return false;
        }
    }
    if (file == QUEUE_SIZE) {
        st->size = snprintf(digits, sizeof digits, "%" PRIu64, state->size);
    } else if (file == QUEUE_PEEK && state->last_ns > 0) {
        st->mtime_ns = state->last_ns;
    }
    return true;
}

void queuefs_stat(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct queue_backend *b = queuefs_of(d)->backend;
    struct queue_path p;
    struct queue_state state = {0};
    bool filled;

    if (queuefs_parse(req->path, &p, &reply->err) != PFS_OK ||
        (p.name[0] && b->ops->look(b, p.name, &state, &reply->err) != PFS_OK)) {
        return;
    }
    if (p.file == QUEUE_README) {
        filled = fill_readme(&reply->stat);
    } else if (p.file != QUEUE_DIR) {
        filled = fill_control(&reply->stat, p.file, &state);
    } else if (p.name[0] == '\0') {
        filled = fill(&reply->stat, "/", 0755, "") &&
                 pfs_stat_add_meta(&reply->stat, "backend", b->ops->type);
    } else if (state.exists || state.has_below) {
        filled = fill(&reply->stat, p.file_name, 0755, "queue");
    } else {
        pfs_refuse(&reply->err, PFS_NOTFOUND, "no such file or directory: %s", req->path);
        return;
    }
    if (!filled) {
        pfs_nomem(&reply->err, "stat");
    }
}

struct listing {
    struct pfs_reply *reply;
    size_t cap;
    bool failed;
};

static bool add_child(void *arg, const char *child)
{
    struct listing *l = arg;
    struct pfs_stat *st = reply_add_entry(l->reply, &l->cap);

    l->failed |= !st || !fill(st, child, 0755, "queue");
    return !l->failed;
}

static void op_readdir(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct queue_backend *b = queuefs_of(d)->backend;
    struct queue_path p;
    struct queue_state state = {0};
    struct listing l = {.reply = reply};

    if (queuefs_parse(req->path, &p, &reply->err) != PFS_OK) {
        return;
    }
    if (p.file != QUEUE_DIR) {
        pfs_refuse(&reply->err, PFS_BADARG, "not a directory: %s", req->path);
        return;
    }
    bool root = p.name[0] == '\0';

    if (!root && b->ops->look(b, p.name, &state, &reply->err) != PFS_OK) {
        return;
    }
    if (root) {
        struct pfs_stat *st = reply_add_entry(reply, &l.cap);

        l.failed = !st || !fill_readme(st);
    }
    if (root || (state.has_below && state.size == 0)) {
        b->ops->children(b, p.name, add_child, &l, &reply->err);
    } else { /* also of a queue that does not exist, as the stock server */
        for (size_t i = 0; i < N_CONTROLS && !l.failed; i++) {
            struct pfs_stat *st = reply_add_entry(reply, &l.cap);

            l.failed = !st || !fill_control(st, controls[i].file, &state);
        }
    }
    if (l.failed) {
        pfs_nomem(&reply->err, "a listing");
    }
}

/* ---- making, removing, and what is not done here ---- */

static void op_create(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct queue_path p;

    if (queuefs_parse(req->path, &p, &reply->err) == PFS_OK && p.file <= QUEUE_README) {
        pfs_refuse(&reply->err, p.file == QUEUE_DIR ? PFS_BADARG : PFS_EXISTS,
                   p.file == QUEUE_DIR ? "cannot create files: %s is a directory"
                                       : "file already exists: %s",
                   req->path);
    }
}

static void op_mkdir(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct queue_backend *b = queuefs_of(d)->backend;
    struct queue_path p;

    if (queuefs_parse(req->path, &p, &reply->err) != PFS_OK) {
        return;
    }
    if (p.file > QUEUE_README) {
        pfs_refuse(&reply->err, PFS_BADARG,
                   "cannot create directory: %s is not a valid directory path", req->path);
    } else if (p.file == QUEUE_README) {
        pfs_refuse(&reply->err, PFS_EXISTS, "file already exists: %s", req->path);
    } else if (p.name[0] == '\0') {
        pfs_refuse(&reply->err, PFS_BADARG, "invalid queue name");
    } else {
        b->ops->make(b, p.name, &reply->err);
    }
}

static void op_remove(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct queue_backend *b = queuefs_of(d)->backend;
    struct queue_path p;

    if (queuefs_parse(req->path, &p, &reply->err) != PFS_OK) {
        return;
    }
    if (p.file != QUEUE_DIR) {
        pfs_refuse(&reply->err, PFS_DENIED, "cannot remove control files: %s", req->path);
    } else if (req->op == PFS_OP_REMOVE) {
        pfs_refuse(&reply->err, PFS_BADARG,
                   "cannot remove directory with Remove: use RemoveAll instead");
    } else {
        b->ops->remove(b, p.name, &reply->err);
    }
}

static void op_denied(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    pfs_refuse(&reply->err, PFS_DENIED,
               req->op == PFS_OP_RENAME ? "cannot rename files in queuefs service"
                                        : "cannot change permissions in queuefs service");
}

/* Shells truncate and touch before they write: that has no effect, and must not enqueue. */
static void op_nothing(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
}

static void op_close(struct pfs_driver *d)
{
    struct queuefs *q = queuefs_of(d);

    queuefs_handles_fini(q);
    if (q->backend) {
        q->backend->ops->close(q->backend);
    }
    pthread_mutex_destroy(&q->mu);
    pfs_free(q);
}

static const struct pfs_driver_ops queuefs_ops = {
    .name = "queuefs",
    .is_long = queuefs_is_long,
    .op = {[PFS_OP_CREATE] = op_create,
           [PFS_OP_MKDIR] = op_mkdir,
           [PFS_OP_REMOVE] = op_remove,
           [PFS_OP_REMOVE_ALL] = op_remove,
           [PFS_OP_READ] = op_read,
           [PFS_OP_WRITE] = op_write,
           [PFS_OP_READDIR] = op_readdir,
           [PFS_OP_STAT] = queuefs_stat,
           [PFS_OP_RENAME] = op_denied,
           [PFS_OP_CHMOD] = op_denied,
           [PFS_OP_TRUNCATE] = op_nothing,
           [PFS_OP_TOUCH] = op_nothing,
           [PFS_OP_HANDLE_OPEN] = queuefs_hopen,
           [PFS_OP_HANDLE_READ] = queuefs_hread,
           [PFS_OP_HANDLE_WRITE] = queuefs_hwrite,
           [PFS_OP_HANDLE_SEEK] = queuefs_hseek,
           [PFS_OP_HANDLE_SYNC] = queuefs_hsync,
           [PFS_OP_HANDLE_STAT] = queuefs_hstat,
           [PFS_OP_HANDLE_CLOSE] = queuefs_hclose},
    .close = op_close,
};

static enum pfs_class open_backend(const struct queue_limits *limits, const char *db,
                                   struct queue_backend **ret, struct pfs_error *err)
{
    if (!db) {
        *ret = queue_mem_open(limits);
        return *ret ? PFS_OK : pfs_nomem(err, "queuefs");
    }
    enum pfs_class cls = queue_sqlite_open(db, limits, ret, err);

    if (cls != PFS_OK) {
        pfs_err_prefix(err, "failed to initialize sqlite backend");
    }
    return cls;
}

enum pfs_class queuefs_open(const struct pfs_option *options, size_t n, struct pfs_driver **ret,
                            struct pfs_error *err)
{
    struct queue_limits limits;
    const char *db;
    enum pfs_class cls = queuefs_options(options, n, &limits, &db, err);
    struct queuefs *q = cls == PFS_OK ? pfs_calloc(1, sizeof *q) : NULL;

    if (!q) {
        return cls == PFS_OK ? pfs_nomem(err, "queuefs") : cls;
    }
    pthread_mutex_init(&q->mu, NULL);
    for (size_t i = 0; i < QUEUEFS_BUCKETS; i++) {
        list_init(&q->handles[i]);
    }
    q->ops = queuefs_ops;
    q->base.ops = &q->ops;
    q->max_held = limits.max_bytes;
    cls = open_backend(&limits, db, &q->backend, err);
    if (cls != PFS_OK) {
        op_close(&q->base);
        return cls;
    }
    q->ops.nonblocking = !q->backend->ops->blocking;
    *ret = &q->base;
    return PFS_OK;
}
