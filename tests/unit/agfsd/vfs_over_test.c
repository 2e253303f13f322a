/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Work that nobody wants any more: the deadline passed, the client has gone, the server ends. */
#include "base/clock.h"
#include "base/reply.h"
#include "driver_util.h"
#include "grep.h"
#include "vfs_rig.h"
#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

TestSuite(vfs_over, .init = vfs_rig_init, .fini = vfs_rig_fini, .timeout = 60);

/*
 * ---- a driver: /lines, /silent and /late have no end; it lists /one, and /live, a stream ----
 */

struct endless {
    struct pfs_stream base;
    bool silent, late;
    pfs_io_fn *done; /* of a read that waits */
    void *arg;
};

static atomic_int reads, opened;  /* begun so far */
static atomic_uint flags_of_open; /* those of the last one */

static void endless_read(struct pfs_stream *s, void *buf, size_t cap, pfs_io_fn *done, void *arg)
{
    struct endless *e = (struct endless *)s;
    struct pfs_error none = {0};

    reads++;
    if (e->silent) {
        e->done = done;
        e->arg = arg;
        return;
    }
    memset(buf, '\n', cap);
    done(arg, cap, &none);
}

/* /late: a read that was over when it was given up, but whose callback was not called yet. */
static atomic_bool late_called, late_answered;
static pthread_t late_thread;

static void *call_late(void *arg)
{
    struct endless *e = arg;
    struct pfs_error none = {0};
    int64_t end = pfs_after(pfs_now(), PFS_SEC / 5);

    while (!late_answered && pfs_now() < end) { /* is nobody waiting for it? */
        sched_yield();
    }
    late_called = true;
    e->done(e->arg, 1, &none);
    free(e);
    return NULL;
}

static void endless_close(struct pfs_stream *s)
{
    struct endless *e = (struct endless *)s;
    struct pfs_error err = {.cls = PFS_CANCELLED};

    if (e->late) {
        pthread_create(&late_thread, NULL, call_late, e);
        return;
    }
    if (e->done) {
        e->done(e->arg, 0, &err);
    }
    free(e);
}

static const struct pfs_stream_ops endless_ops = {
    .blocking = true, .read = endless_read, .close = endless_close};
static const struct pfs_stream_ops silent_ops = {.read = endless_read, .close = endless_close};

static void open_read(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct endless *e = calloc(1, sizeof *e);

    opened++;
    flags_of_open = req->flags;
    if (strcmp(req->path, "/one") == 0) {
        free(e);
        reply->data = strdup("Needle");
        reply->len = 6;
        return;
    }
    e->late = strcmp(req->path, "/late") == 0;
    e->silent = e->late || strcmp(req->path, "/silent") == 0;
    e->base.ops = e->silent ? &silent_ops : &endless_ops;
    e->base.size = -1;
    reply->stream = &e->base;
}

static void stat_file(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    reply->stat.name = strdup("f");
    reply->stat.is_dir = strcmp(req->path, "/") == 0;
}

static void list(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    reply->list = calloc(2, sizeof *reply->list);
    reply->n_list = 2;
    reply->list[0] = (struct pfs_stat){.name = strdup("live"), .meta_type = strdup("stream")};
    reply->list[1] = (struct pfs_stat){.name = strdup("one")};
}

static void driver_close(struct pfs_driver *d)
{
    free(d);
}

static const struct pfs_driver_ops driver_ops = {
    .name = "endless",
    .op = {[PFS_OP_OPEN_READ] = open_read, [PFS_OP_STAT] = stat_file, [PFS_OP_READDIR] = list},
    .close = driver_close};

static void mount_endless(void)
{
    struct pfs_driver *d = calloc(1, sizeof *d);

    d->ops = &driver_ops;
    vfs_rig_publish("/e", "endless", d);
    vfs_rig_memfs("/m");
}

/* ---- what is done with them ---- */

static const struct {
    enum pfs_op op;
    const char *path, *path2, *text;
} rows[] = {{PFS_OP_DIGEST, "/e/lines", NULL, "md5"},
            {PFS_OP_DIGEST, "/e/silent", NULL, "xxh3"},
            {PFS_OP_GREP, "/e/lines", NULL, "x"},
            {PFS_OP_GREP, "/e/silent", NULL, "x"},
            {PFS_OP_COPY, "/e/silent", "/m/copy", NULL}};

#define N_ROWS (sizeof rows / sizeof *rows)

static void begin(struct rig_call *call, size_t i, struct vfs_fate *f, int64_t deadline_ns)
{
    struct pfs_request req = PFS_REQUEST_INIT;
    int before = reads;

    req.op = rows[i].op;
    req.path = rows[i].path;
    req.path2 = rows[i].path2;
    req.text = rows[i].text;
    req.deadline_ns = deadline_ns;
    req.host = f;
    vfs_rig_submit(call, &req);
    while (reads == before) { /* until a worker is in the middle of it */
        sched_yield();
    }
}

static void expect_nothing_copied(void)
{
    struct pfs_reply r = vfs_rig_path(PFS_OP_STAT, "/m/copy");

    cr_assert_eq(r.err.cls, PFS_NOTFOUND);
    pfs_reply_fini(&r);
}

static void expect_over(struct rig_call *call, size_t i, enum pfs_class cls)
{
    vfs_rig_wait(call);
    cr_assert_eq(call->reply.err.cls, cls, "row %zu: %d", i, (int)call->reply.err.cls);
    cr_assert_eq(call->reply.err.outcome, PFS_OUTCOME_NA);
    pfs_reply_fini(&call->reply);
}

Test(vfs_over, a_deadline_ends_it)
{
    static struct rig_call calls[N_ROWS];
    int64_t soon = pfs_after(pfs_now(), 3 * PFS_SEC);

    mount_endless();
    for (size_t i = 0; i < N_ROWS; i++) {
        begin(&calls[i], i, NULL, soon);
    }
    for (size_t i = 0; i < N_ROWS; i++) {
        expect_over(&calls[i], i, PFS_TIMEOUT);
    }
    expect_nothing_copied();
}

Test(vfs_over, a_client_that_goes_ends_it)
{
    static struct rig_call call;

    mount_endless();
    for (size_t i = 0; i < N_ROWS; i++) {
        struct vfs_fate f = {.reads = !vfs_changes(rows[i].op)};

        begin(&call, i, &f, 0);
        vfs_give_up(vfs_rig, &f);
        expect_over(&call, i, PFS_CANCELLED);
    }
    expect_nothing_copied();
}

Test(vfs_over, a_read_that_ends_while_it_is_given_up_is_waited_for)
{
    static struct rig_call call;
    struct pfs_request req = PFS_REQUEST_INIT;
    struct vfs_fate f = {.reads = true};

    mount_endless();
    req.op = PFS_OP_DIGEST;
    req.path = "/e/late";
    req.text = "md5";
    req.host = &f;
    vfs_rig_submit(&call, &req);
    while (reads == 0) {
        sched_yield();
    }
    vfs_give_up(vfs_rig, &f);
    vfs_rig_wait(&call);
    cr_assert(late_called);
    late_answered = true;
    pthread_join(late_thread, NULL);
    cr_assert_eq(call.reply.err.cls, PFS_CANCELLED);
    pfs_reply_fini(&call.reply);
}

Test(vfs_over, a_copy_that_somebody_may_ask_for_again_goes_on)
{
    static struct rig_call call;
    struct vfs_fate f = {.kept = true};

    mount_endless();
    begin(&call, N_ROWS - 1, &f, pfs_after(pfs_now(), 3 * PFS_SEC));
    vfs_give_up(vfs_rig, &f);
    expect_over(&call, N_ROWS - 1, PFS_TIMEOUT);
}

Test(vfs_over, the_end_of_the_server_ends_it)
{
    static struct rig_call calls[N_ROWS];

    mount_endless();
    for (size_t i = 0; i < N_ROWS; i++) {
        begin(&calls[i], i, NULL, 0);
    }
    vfs_stop(vfs_rig);
    for (size_t i = 0; i < N_ROWS; i++) {
        expect_over(&calls[i], i, PFS_SHUTDOWN);
    }
}

/* ---- what a search does not wait for ---- */

static struct pfs_reply grep(const char *path, const char *pattern, uint32_t flags)
{
    struct pfs_request req = PFS_REQUEST_INIT;

    req.op = PFS_OP_GREP;
    req.path = path;
    req.text = pattern;
    req.flags = flags;
    return vfs_rig_do(&req);
}

Test(vfs_over, a_search_below_neither_follows_streams_nor_asks_for_anything_live)
{
    mount_endless();
    struct pfs_reply r = grep("/e", "needle", PFS_GREP_RECURSIVE | PFS_GREP_ICASE);

    cr_assert_eq(r.err.cls, PFS_OK, "%s", r.err.text);
    cr_assert_eq(r.n_matches, 1);
    cr_assert_eq(opened, 1, "the stream was passed over");
    cr_assert_eq(flags_of_open, 0, "flags of a search are none of a read");
    pfs_reply_fini(&r);
}

Test(vfs_over, a_pattern_that_costs_too_much_is_refused)
{
    vfs_rig_memfs("/m");
    vfs_rig_put("/m/a", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!");
    struct pfs_reply r = grep("/m", "(a|aa)+[bc]$", PFS_GREP_RECURSIVE);

    cr_assert_eq(r.err.cls, PFS_BADARG);
    cr_assert_str_eq(r.err.text, "grep failed: the pattern is too expensive for /m/a:1");
    pfs_reply_fini(&r);
}

Test(vfs_over, a_search_below_goes_past_lines_that_are_too_long)
{
    char *line = malloc(70001);

    memset(line, 'x', 70000);
    line[70000] = '\0';
    vfs_rig_memfs("/m");
    vfs_rig_put("/m/a", line);
    vfs_rig_put("/m/b", "needle");
    free(line);
    struct pfs_reply r = grep("/m", "needle", PFS_GREP_RECURSIVE);

    cr_assert_eq(r.err.cls, PFS_OK, "%s", r.err.text);
    cr_assert_eq(r.n_matches, 1);
    cr_assert_str_eq(r.matches[0].file, "/m/b");
    pfs_reply_fini(&r);
    r = grep("/m/a", "needle", 0);
    cr_assert_eq(r.err.cls, PFS_TOOBIG, "of this file nothing is known");
    cr_assert_str_eq(r.err.text, "grep failed: bufio.Scanner: token too long");
    pfs_reply_fini(&r);
}

/* A directory of WIDE files, which are not there, and one directory such as itself. */
#define WIDE 60000

static void wide_stat(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    reply->stat.is_dir = true;
    cr_assert(pfs_stat_fill(&reply->stat, "/", "wide", "directory"));
}

static void wide_readdir(struct pfs_driver *d, const struct pfs_request *req,
                         struct pfs_reply *reply)
{
    size_t cap = 0;

    for (int i = 0; i <= WIDE; i++) {
        struct pfs_stat *st = reply_add_entry(reply, &cap);

        cr_assert(st && pfs_stat_fill(st, i ? "f" : "d", "wide", i ? "file" : "directory"));
        st->is_dir = i == 0;
    }
}

static void wide_close(struct pfs_driver *d)
{
}

Test(vfs_over, a_search_of_too_much_says_what_to_do_and_is_not_made_again)
{
    static const struct pfs_driver_ops ops = {
        .name = "wide",
        .op = {[PFS_OP_STAT] = wide_stat, [PFS_OP_READDIR] = wide_readdir},
        .close = wide_close};
    static struct pfs_driver wide = {.ops = &ops};

    vfs_rig_publish("/w", "wide", &wide);
    struct pfs_reply r = grep("/w", "needle", PFS_GREP_RECURSIVE);

    cr_assert_eq(r.err.cls, PFS_TOOBIG, "busy would be tried again at each hop: %s", r.err.text);
    cr_assert_not_null(strstr(r.err.text, "search its directories one by one"), "%s", r.err.text);
    pfs_reply_fini(&r);
}

/* ---- a copy of what is taken out ---- */

static struct pfs_reply copy(const char *from, const char *to)
{
    struct pfs_request req = PFS_REQUEST_INIT;

    req.op = PFS_OP_COPY;
    req.path = from;
    req.path2 = to;
    return vfs_rig_do(&req);
}

/* What goes back does so on a worker. */
static void await_read(const char *path, const char *text)
{
    int64_t end = pfs_after(pfs_now(), 20 * PFS_SEC);
    bool same = false;

    while (!same && pfs_now() < end) {
        struct pfs_reply r = vfs_rig_path(PFS_OP_READ, path);

        cr_assert_eq(r.err.cls, PFS_OK, "%s", r.err.text);
        same = r.len == strlen(text) && memcmp(r.data, text, r.len) == 0;
        pfs_reply_fini(&r);
        sched_yield();
    }
    cr_assert(same, "%s never was %s", path, text);
}

Test(vfs_over, a_message_whose_copy_fails_goes_back)
{
    vfs_rig_queuefs("/q");
    vfs_rig_memfs("/m");
    struct pfs_reply r = vfs_rig_path(PFS_OP_MKDIR, "/q/a");

    pfs_reply_fini(&r);
    vfs_rig_put("/q/a/enqueue", "precious");
    r = copy("/q/a/dequeue", "/m/none/x");
    cr_assert_eq(r.err.cls, PFS_NOTFOUND, "%s", r.err.text);
    cr_assert_eq(r.err.outcome, PFS_OUTCOME_NA);
    pfs_reply_fini(&r);
    await_read("/q/a/size", "1");
    r = copy("/q/a/dequeue", "/m/x");
    cr_assert_eq(r.err.cls, PFS_OK, "%s", r.err.text);
    pfs_reply_fini(&r);
    await_read("/q/a/size", "0");
    r = vfs_rig_path(PFS_OP_READ, "/m/x");
    cr_assert_not_null(strstr(r.data, "precious"));
    pfs_reply_fini(&r);
}

/* ---- a search as a stream ---- */

static atomic_int read_ended;
static size_t read_n;
static enum pfs_class read_class;

static void on_read(void *arg, size_t n, const struct pfs_error *err)
{
    read_n = n;
    read_class = err->cls;
    read_ended++;
}

static struct pfs_stream *grep_as_stream(const char *path)
{
    struct pfs_request req = PFS_REQUEST_INIT;
    struct pfs_error err;
    struct grep *g = NULL;

    req.path = path;
    req.text = "Needle";
    cr_assert_eq(grep_new(vfs_rig, &req, &g, &err), PFS_OK, "%s", err.text);
    return grep_stream(vfs_rig, g);
}

Test(vfs_over, a_search_that_is_closed_ends)
{
    char buf[200];

    mount_endless();
    struct pfs_stream *s = grep_as_stream("/e/silent");

    cr_assert_not(s->ops->blocking);
    s->ops->read(s, buf, sizeof buf, on_read, NULL);
    while (reads == 0) {
        sched_yield();
    }
    s->ops->close(s);
    cr_assert_eq(read_ended, 1, "before close returns");
    cr_assert_eq(read_class, PFS_CANCELLED);
    s = grep_as_stream("/e/lines"); /* never read */
    s->ops->close(s);
}

/* Reads the search to its end, less than a line at a time. */
static void search_to_end(const char *path, char all[200])
{
    struct pfs_stream *s = grep_as_stream(path);

    all[0] = '\0';
    do {
        char buf[7];
        int n = read_ended + 1;

        s->ops->read(s, buf, sizeof buf, on_read, NULL);
        while (read_ended != n) {
            sched_yield();
        }
        cr_assert_eq(read_class, PFS_OK);
        strncat(all, buf, read_n);
    } while (read_n > 0);
    s->ops->close(s);
}

Test(vfs_over, a_search_as_a_stream_says_what_it_found)
{
    char all[200];

    mount_endless();
    search_to_end("/e/one", all);
    cr_assert_str_eq(all, "{\"file\":\"/e/one\",\"line\":1,\"content\":\"Needle\"}\n"
                          "{\"count\":1,\"type\":\"summary\"}\n");
    search_to_end("/e", all);
    cr_assert_str_eq(all, "{\"error\":\"path is a directory, use recursive=true to search\"}\n");
}
