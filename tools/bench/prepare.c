/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* What a target must hold before it is measured, and its removal. */
#include "interrupt.h"
#include "session.h"
#include "target_spec.h"
#include "util.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS_MAX 16      /* that prepare at a time */
#define PIECE (256ll << 10) /* of streamed content */

/* ---- many small calls at a time ---- */

typedef enum pfs_class item_fn(struct remote *r, const struct setup *s, unsigned i,
                               struct pfs_error *err);

struct batch {
    struct remote *remote;
    const struct setup *setup;
    item_fn *fn;
    unsigned end;
    atomic_uint next;
    pthread_mutex_t mu;
    struct pfs_error first; /* under mu */
};

static void *batch_main(void *arg)
{
    struct batch *b = arg;
    struct pfs_error err;
    unsigned i;

    while ((i = atomic_fetch_add(&b->next, 1)) < b->end) {
        if (b->fn(b->remote, b->setup, i, &err) != PFS_OK) {
            pthread_mutex_lock(&b->mu);
            if (b->first.cls == PFS_OK)
                b->first = err;
            pthread_mutex_unlock(&b->mu);
            atomic_store(&b->next, b->end);
        }
    }
    return NULL;
}

/* fn for each i in from..to-1; the first error ends it. */
static enum pfs_class for_each(struct remote *r, const struct setup *s, unsigned from, unsigned to,
                               item_fn *fn, struct pfs_error *err)
{
    struct batch b = {.remote = r,
                      .setup = s,
                      .fn = fn,
                      .end = to,
                      .next = from,
                      .mu = PTHREAD_MUTEX_INITIALIZER};
    pthread_t threads[THREADS_MAX];
    unsigned n = 0, wanted = to > from ? to - from - 1 : 0;

    while (n < wanted && n < THREADS_MAX && pthread_create(&threads[n], NULL, batch_main, &b) == 0)
        n++;
    batch_main(&b);
    while (n > 0)
        pthread_join(threads[--n], NULL);
    if (b.first.cls != PFS_OK)
        *err = b.first;
    return b.first.cls;
}

/* ---- files and entries ---- */

static enum pfs_class put_stream(struct pfs_client *c, const char *path, const struct setup *s,
                                 struct pfs_error *err)
{
    struct pfs_stream *out;

    if (pfs_open_write(c, path, s->size, PFS_WRITE_CREATE | PFS_WRITE_TRUNCATE, &out, err) !=
        PFS_OK)
        return err->cls;
    enum pfs_class cls = PFS_OK;
    for (int64_t left = s->size; cls == PFS_OK && left > 0; left -= PIECE)
        cls = interrupted()
                  ? interrupt_error(err)
                  : pfs_stream_write(out, s->content, (size_t)(left < PIECE ? left : PIECE), err);
    if (cls == PFS_OK)
        cls = pfs_stream_finish(out, err);
    pfs_stream_close(out);
    return cls;
}

static enum pfs_class put_file(struct remote *r, const struct setup *s, unsigned i,
                               struct pfs_error *err)
{
    char path[SESSION_PATH_MAX];

    if (interrupted())
        return interrupt_error(err);
    snprintf(path, sizeof path, "%s/f%u", r->base, i);
    return s->size > CONTENT_MAX
               ? put_stream(r->control, path, s, err)
               : pfs_write(r->control, path, s->content, (size_t)s->size, -1, 0, NULL, err);
}

static enum pfs_class put_entry(struct remote *r, const struct setup *s, unsigned i,
                                struct pfs_error *err)
{
    char path[SESSION_PATH_MAX];

    (void)s;
    if (interrupted())
        return interrupt_error(err);
    snprintf(path, sizeof path, "%s/list/e%06u", r->base, i);
    return pfs_create(r->control, path, err);
}

/* ---- directories ---- */

static char *join(const char *dir, const char *name)
{
    size_t n = strlen(dir);

    while (n > 0 && dir[n - 1] == '/')
        n--;
    return xasprintf("%.*s/%s", (int)n, dir, name);
}

/* Makes "PATH/agfs-bench-ID-NUMBER". */
static enum pfs_class make_dir(struct target *t, unsigned number, const char *path, char **ret,
                               struct pfs_error *err)
{
    char name[64];

    snprintf(name, sizeof name, "agfs-bench-%s-%u", t->id, number + 1);
    char *parent = spec_numbered(path, number + 1), *dir = join(parent, name);
    free(parent);
    enum pfs_class cls = strlen(dir) + 32 > SESSION_PATH_MAX ? PFS_INVALID : PFS_OK;
    if (cls != PFS_OK) {
        *err = (struct pfs_error){.cls = cls};
        snprintf(err->text, sizeof err->text, "the path is longer than %d bytes",
                 SESSION_PATH_MAX - 32);
    } else {
        cls = pfs_mkdir(t->remotes[number].control, dir, 0755, err);
    }
    if (cls == PFS_OK) {
        *ret = dir;
    } else {
        free(dir);
    }
    return cls;
}

static enum pfs_class make_base(struct target *t, unsigned number, struct pfs_error *err)
{
    /* Where servers usually have files; a directory made elsewhere might mean something. */
    static const char *const usual[] = {"/memfs", "/local", "/localfs", "/"};
    struct remote *r = &t->remotes[number];
    enum pfs_class cls = PFS_NOTFOUND;

    if (t->spec->path)
        return make_dir(t, number, t->spec->path, &r->base, err);
    for (size_t i = 0; i < sizeof usual / sizeof usual[0] && cls != PFS_OK; i++) {
        cls = make_dir(t, number, usual[i], &r->base, err);
        if (cls != PFS_OK && err->phase != PFS_PHASE_REPLY)
            return cls; /* the server is not there, which no other path will change */
    }
    if (cls != PFS_OK)
        snprintf(err->text, sizeof err->text,
                 "no directory that takes files (tried /memfs, /local, /localfs and /): "
                 "name one with --path");
    return cls;
}

static enum pfs_class make_queue(struct target *t, unsigned number, struct pfs_error *err)
{
    struct remote *r = &t->remotes[number];
    enum pfs_class cls = make_dir(t, number, t->spec->queue, &r->queue, err);

    if (cls != PFS_OK && err->phase == PFS_PHASE_REPLY) {
        size_t n = strlen(err->text);
        snprintf(err->text + n, sizeof err->text - n, "; --queue names the mount of a queuefs");
    }
    return cls;
}

static enum pfs_class prepare_files(struct remote *r, const struct setup *s, struct pfs_error *err)
{
    unsigned have = r->size == s->size ? r->files : 0;
    enum pfs_class cls = for_each(r, s, have, s->files, put_file, err);

    if (cls == PFS_OK) {
        r->files = s->files > have ? s->files : have;
        r->size = s->size;
    }
    return cls;
}

static enum pfs_class prepare_entries(struct remote *r, const struct setup *s, bool first,
                                      struct pfs_error *err)
{
    enum pfs_class cls = PFS_OK;

    if (first) {
        char *dir = join(r->base, "list");
        cls = pfs_mkdir(r->control, dir, 0755, err);
        free(dir);
    }
    if (cls == PFS_OK)
        cls = for_each(r, s, r->entries, s->entries, put_entry, err);
    if (cls == PFS_OK)
        r->entries = s->entries;
    return cls;
}

/* Of a server that may be anything, nothing is asked but what is measured. */
static enum pfs_class check_file(const struct workload *w, struct pfs_error *err)
{
    for (enum bench_op op = 0; op < N_OPS; op++) {
        if (workload_has(w, op) && op != OP_STAT && op != OP_READ && op != OP_WRITE) {
            *err = (struct pfs_error){.cls = PFS_INVALID};
            snprintf(err->text, sizeof err->text, "file= is for stat, read and write only");
            return PFS_INVALID;
        }
    }
    return PFS_OK;
}

static enum pfs_class prepare_remote(struct target *t, unsigned number, const struct workload *w,
                                     const struct setup *s, struct pfs_error *err)
{
    struct remote *r = &t->remotes[number];
    bool queue = workload_has(w, OP_ENQUEUE) || workload_has(w, OP_DEQUEUE), new_base = false;
    bool files = workload_has(w, OP_STAT) || workload_has(w, OP_READ);
    bool base = files || workload_has(w, OP_WRITE) || workload_has(w, OP_CREATE) ||
                workload_has(w, OP_LIST);
    enum pfs_class cls = PFS_OK;

    if (base && r->base == NULL) {
        cls = make_base(t, number, err);
        new_base = true;
    }
    if (cls == PFS_OK && queue && r->queue == NULL)
        cls = make_queue(t, number, err);
    if (cls == PFS_OK && files)
        cls = prepare_files(r, s, err);
    if (cls == PFS_OK && workload_has(w, OP_LIST))
        cls = prepare_entries(r, s, new_base, err);
    return cls;
}

enum pfs_class target_prepare(struct target *t, const struct workload *w, const struct setup *s,
                              struct pfs_error *err)
{
    enum pfs_class cls = PFS_OK;

    if (t->limit == NULL && t->spec->file) {
        cls = check_file(w, err);
        free(t->path);
        t->path = xstrdup(t->spec->file);
        return cls;
    }
    for (unsigned i = 0; i < s->remotes && cls == PFS_OK && t->limit == NULL; i++)
        cls = prepare_remote(t, i, w, s, err);
    if (t->path == NULL && cls == PFS_OK)
        t->path = xstrdup(t->remotes[0].base ? t->remotes[0].base : t->remotes[0].queue);
    return cls;
}

/* ---- the end ---- */

static enum pfs_class has_no_end(const struct remote *r, struct pfs_error *err)
{
    *err = (struct pfs_error){.cls = PFS_PAYLOAD, .phase = PFS_PHASE_REPLY};
    snprintf(err->text, sizeof err->text, "%s gives more messages than were put into it", r->queue);
    return err->cls;
}

/* Takes messages out until there are none. */
static enum pfs_class drain(struct remote *r, const struct setup *s, unsigned i,
                            struct pfs_error *err)
{
    struct queue_account *a = r->account;
    char path[SESSION_PATH_MAX];
    struct pfs_data reply;

    (void)s;
    (void)i;
    snprintf(path, sizeof path, "%s/dequeue", r->queue);
    for (;;) {
        if (pfs_read(r->control, path, 0, -1, &reply, err) != PFS_OK)
            return err->cls;
        bool more = account_message(a, &reply);
        pfs_data_fini(&reply);
        if (!more)
            return PFS_OK;
        if (atomic_fetch_add(&a->left, 1) >= atomic_load(&a->enqueued) + atomic_load(&a->unknown))
            return has_no_end(r, err);
    }
}

static void remove_dir(struct remote *r, char **dir, struct pfs_error *err)
{
    struct pfs_error e;

    if (pfs_remove_all(r->control, *dir, &e) != PFS_OK && e.cls != PFS_NOTFOUND) {
        *err = e;
        snprintf(err->text, sizeof err->text, "%s is left behind: %.400s", *dir, e.text);
        return;
    }
    free(*dir);
    *dir = NULL;
}

enum pfs_class target_clean(struct target *t, struct pfs_error *err)
{
    *err = (struct pfs_error){.cls = PFS_OK};
    for (unsigned i = 0; i < t->n_remotes; i++) {
        struct remote *r = &t->remotes[i];
        if (r->queue) {
            for_each(r, NULL, 0, THREADS_MAX, drain, err);
            remove_dir(r, &r->queue, err);
        }
        if (r->base)
            remove_dir(r, &r->base, err);
    }
    return err->cls;
}
