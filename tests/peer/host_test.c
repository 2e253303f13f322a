/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* An event loop of the program that carries connections (proxyfs/host.h). */
#include "base/clock.h"
#include "world.h"
#include <criterion/criterion.h>
#include <poll.h>
#include <proxyfs/host.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A loop with a thread: besides its host it hears commands, one letter each. */
struct loop {
    struct pfs_host *host;
    struct pfs_client *c;
    pthread_t thread;
    int commands[2];
    atomic_uint n_here, n_elsewhere; /* done on the loop's thread, or on another */
    atomic_int last_class;
    atomic_uint n_listed; /* entries of the last listing */
    struct pfs_stream *upload;
    atomic_uint n_uploaded;
};

static void on_done(void *arg, struct pfs_reply *r)
{
    struct loop *l = arg;

    atomic_store(&l->last_class, (int)r->err.cls);
    atomic_store(&l->n_listed, (unsigned)r->n_list);
    pfs_reply_fini(r);
    atomic_fetch_add(pthread_equal(pthread_self(), l->thread) ? &l->n_here : &l->n_elsewhere, 1);
}

static void submit_to(struct loop *l, enum pfs_op op, const char *path)
{
    struct pfs_request req = PFS_REQUEST_INIT;

    req.op = op;
    req.path = path;
    pfs_submit(l->c, &req, on_done, l);
}

static void submit(struct loop *l)
{
    submit_to(l, PFS_OP_TOUCH, "/f");
}

static void on_finished(void *arg, size_t n, const struct pfs_error *err)
{
    struct loop *l = arg;

    cr_expect_eq(err->cls, PFS_OK, "%s", err->text);
    l->upload->ops->close(l->upload);
    atomic_fetch_add(&l->n_uploaded, 1);
}

static void on_written(void *arg, size_t n, const struct pfs_error *err)
{
    struct loop *l = arg;

    cr_expect_eq(n, 1, "%s", err->text);
    l->upload->ops->finish(l->upload, on_finished, l);
}

static void on_upload(void *arg, struct pfs_reply *r)
{
    struct loop *l = arg;

    cr_expect_eq(r->err.cls, PFS_OK, "%s", r->err.text);
    l->upload = r->stream;
    r->stream = NULL;
    pfs_reply_fini(r);
}

/* Opens a stream and gives it its content, before the loop comes round again. */
static void upload(struct loop *l)
{
    struct pfs_request req = PFS_REQUEST_INIT;

    req.op = PFS_OP_OPEN_WRITE;
    req.path = "/f";
    req.size = 1;
    pfs_submit(l->c, &req, on_upload, l);
    l->upload->ops->write(l->upload, "x", 1, on_written, l);
}

static void *loop_main(void *arg)
{
    struct loop *l = arg;
    struct pollfd fds[] = {{.fd = pfs_host_fd(l->host), .events = POLLIN},
                           {.fd = l->commands[0], .events = POLLIN}};

    pfs_host_enter(l->host);
    for (char command = '\0'; command != 'q';) {
        int64_t until = pfs_host_before_sleep(l->host);

        cr_assert(poll(fds, 2, pfs_ms_until(pfs_now(), until, 60000)) >= 0);
        command = '\0';
        if (fds[1].revents) {
            cr_assert_eq(read(l->commands[0], &command, 1), 1);
        }
        switch (command) {
        case 's':
            submit(l);
            break;
        case 'u':
            upload(l);
            break;
        case 'l':
            submit_to(l, PFS_OP_READDIR, "/little");
            break;
        case 'L':
            submit_to(l, PFS_OP_READDIR, "/large");
            break;
        case 'B':
            submit_to(l, PFS_OP_READDIR, "/broken");
            break;
        }
        pfs_host_turn(l->host);
        pfs_host_work(l->host);
    }
    pfs_host_run(l->host);
    return NULL;
}

static void loop_open(struct loop *l)
{
    cr_assert_eq(pfs_host_new(&l->host, NULL), PFS_OK);
    cr_assert_eq(pipe(l->commands), 0);
    cr_assert_eq(pthread_create(&l->thread, NULL, loop_main, l), 0);
}

static void tell(struct loop *l, const char *commands)
{
    cr_assert_eq(write(l->commands[1], commands, strlen(commands)), (ssize_t)strlen(commands));
}

/* All clients are gone. */
static void loop_close(struct loop *l)
{
    pfs_host_stop(l->host);
    pthread_join(l->thread, NULL);
    pfs_host_free(l->host);
    close(l->commands[0]);
    close(l->commands[1]);
}

/* A loop, and a client of a peer with that script. */
static void begin(struct loop *l, struct world *w, h2script_fn *script, const char *const *options)
{
    loop_open(l);
    world_open(w, script, NULL, options);
    l->c = w->c;
}

/* The loop ends first: its connections do with the client. */
static void end(struct loop *l, struct world *w)
{
    tell(l, "q");
    world_close(w);
    loop_close(l);
}

static void await(struct world *w, atomic_uint *n, unsigned at_least)
{
    world_mark(w);
    while (atomic_load(n) < at_least) {
        cr_assert(world_ms(w) < 10000);
        sched_yield();
    }
}

Test(host, carries_the_calls_of_its_thread_and_lends_its_connection)
{
    struct world w = {0};
    struct loop l = {0};

    begin(&l, &w, world_serve, OPTIONS("timeout", "60s"));
    tell(&l, "s");
    await(&w, &l.n_here, 1); /* connected by the loop as well */
    tell(&l, "ssss");
    await(&w, &l.n_here, 5);
    cr_assert_eq(atomic_load(&l.last_class), PFS_OK);
    cr_assert_eq(atomic_load(&l.n_elsewhere), 0);
    cr_assert_eq(atomic_load(&w.server.n_conns), 1);
    submit(&l); /* of a thread without a loop */
    await(&w, &l.n_here, 6);
    cr_assert_eq(world_mkdir(&w), PFS_OK, "%s", w.err.text);
    cr_assert_eq(atomic_load(&w.server.n_conns), 1);
    end(&l, &w);
}

Test(host, takes_a_connection_of_its_own_beside_another_ones)
{
    struct world w = {0};
    struct loop l = {0};

    begin(&l, &w, world_serve, OPTIONS("timeout", "60s"));
    cr_assert_eq(world_mkdir(&w), PFS_OK, "%s", w.err.text);
    for (unsigned n = 1; atomic_load(&l.n_here) == 0; n++) { /* until it is up, the other does */
        tell(&l, "s");
        world_mark(&w);
        while (atomic_load(&l.n_here) + atomic_load(&l.n_elsewhere) < n) {
            cr_assert(world_ms(&w) < 10000);
        }
    }
    cr_assert_eq(atomic_load(&w.server.n_conns), 2);
    cr_assert_eq(atomic_load(&l.last_class), PFS_OK);
    end(&l, &w);
}

Test(host, with_one_connection_uses_another_ones)
{
    struct world w = {0};
    struct loop l = {0};

    begin(&l, &w, world_serve, OPTIONS("timeout", "60s", "max_connections", "1"));
    cr_assert_eq(world_mkdir(&w), PFS_OK, "%s", w.err.text);
    tell(&l, "s");
    await(&w, &l.n_elsewhere, 1);
    cr_assert_eq(atomic_load(&l.last_class), PFS_OK);
    cr_assert_eq(atomic_load(&w.server.n_conns), 1);
    end(&l, &w);
}

/* Answers the first two together: for a while the connection counts as one with much to do. */
static void two_at_a_time(struct h2server *s, struct h2peer *p)
{
    h2peer_hello(p, 0, NULL);
    struct h2req *first = h2peer_request(p), *second = first ? h2peer_request(p) : NULL;

    if (second) {
        world_reply(p, first);
        world_reply(p, second);
        h2peer_forget(first);
        h2peer_forget(second);
    }
    for (struct h2req *r; (r = h2peer_request(p)) != NULL;) {
        world_reply(p, r);
        h2peer_forget(r);
    }
}

/* The loop itself has to take the stream to its connection: waiting for that would be for ever. */
Test(host, writes_to_a_stream_that_its_connection_has_not_taken_yet)
{
    struct world w = {0};
    struct loop l = {0};

    begin(&l, &w, two_at_a_time, OPTIONS("timeout", "60s"));
    tell(&l, "ss");
    await(&w, &l.n_here, 2);
    tell(&l, "u");
    await(&w, &l.n_uploaded, 1);
    end(&l, &w);
}

#define LITTLE 10
#define LARGE 5000

/* A listing, in frames; `broken`: its last entry has no end. */
static void send_listing(struct h2peer *p, const struct h2req *r, unsigned n, bool broken)
{
    const char *fields[] = {":status", "200", "content-type", "application/json", NULL};
    char frame[16000], *at = frame + sprintf(frame, "{\"files\":[");

    h2peer_headers(p, 0, r->stream, fields);
    for (unsigned i = 0; i < n; i++) {
        at += sprintf(at, "%s{\"name\":\"%u\",\"size\":1,\"mode\":420,\"isDir\":false",
                      i ? "," : "", i);
        at += sprintf(at, broken && i == n - 1 ? "" : "}");
        if (at > frame + sizeof frame - 100) {
            h2peer_data(p, 0, r->stream, frame);
            at = frame;
        }
    }
    sprintf(at, "]}");
    h2peer_data(p, H2_END_STREAM, r->stream, frame);
}

static void lists(struct h2server *s, struct h2peer *p)
{
    h2peer_hello(p, 0, NULL);
    for (struct h2req *r; (r = h2peer_request(p)) != NULL;) {
        send_listing(p, r, strstr(r->path, "little") ? LITTLE : LARGE, strstr(r->path, "broken"));
        h2peer_forget(r);
    }
}

/* The loop has others to serve: it is a thread more that takes the time; the reply comes here. */
Test(host, has_long_replies_decoded_by_a_thread_that_is_made_for_it)
{
    struct world w = {0};
    struct loop l = {0};

    begin(&l, &w, lists, OPTIONS("timeout", "60s", "retries", "1"));
    tell(&l, "l");
    await(&w, &l.n_here, 1);
    cr_assert_eq(atomic_load(&l.n_listed), LITTLE);
    unsigned n_threads = leaks_now().threads;

    tell(&l, "LLL");
    await(&w, &l.n_here, 4);
    cr_assert_eq(atomic_load(&l.last_class), PFS_OK);
    cr_assert_eq(atomic_load(&l.n_listed), LARGE);
    cr_assert_eq(leaks_now().threads, n_threads + 1);
    tell(&l, "B");
    await(&w, &l.n_here, 5);
    cr_assert_eq(atomic_load(&l.last_class), PFS_PAYLOAD);
    cr_assert_eq(atomic_load(&l.n_elsewhere), 0);
    end(&l, &w); /* no thread is left */
}

/* What the decoder has is waited for. */
Test(host, ends_with_long_replies_on_their_way)
{
    struct world w = {0};
    struct loop l = {0};
    struct pfs_stats stats = {0};

    begin(&l, &w, lists, OPTIONS("timeout", "60s"));
    tell(&l, "LLLLLLLLq");
    world_mark(&w);
    while (stats.calls < 8) {
        cr_assert(world_ms(&w) < 10000);
        pfs_client_stats(w.c, &stats);
    }
    world_close(&w);
    cr_assert_eq(atomic_load(&l.n_here) + atomic_load(&l.n_elsewhere), 8);
    loop_close(&l);
}

static void never_answers(struct h2server *s, struct h2peer *p)
{
    h2peer_hello(p, 0, NULL);
    h2peer_drain(p);
}

Test(host, keeps_the_time_while_nothing_comes)
{
    struct world w = {0};
    struct loop l = {0};

    begin(&l, &w, never_answers, OPTIONS("timeout", "300ms", "retries", "1"));
    tell(&l, "s");
    await(&w, &l.n_here, 1);
    cr_assert_eq(atomic_load(&l.last_class), PFS_TIMEOUT);
    end(&l, &w);
}

Test(host, ends_with_calls_in_flight)
{
    struct world w = {0};
    struct loop l = {0};

    begin(&l, &w, never_answers, OPTIONS("timeout", "60s"));
    tell(&l, "ssq");
    world_mark(&w);
    struct pfs_stats stats = {0};
    while (stats.calls < 2) {
        cr_assert(world_ms(&w) < 10000);
        pfs_client_stats(w.c, &stats);
    }
    world_close(&w);
    cr_assert_eq(atomic_load(&l.n_here) + atomic_load(&l.n_elsewhere), 2);
    cr_assert_eq(atomic_load(&l.last_class), PFS_SHUTDOWN);
    loop_close(&l);
}
