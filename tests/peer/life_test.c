/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Over loopback: the client's end, reload, complaints, signals. Names: rows of the fault table. */
#include "world.h"
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

static enum pfs_class write_x(struct world *w)
{
    return world_write(w, "x");
}

static enum pfs_class chmod_f(struct world *w)
{
    return pfs_chmod(w->c, "/f", 0644, &w->err);
}

static enum pfs_class reload(struct world *w)
{
    return pfs_reload(w->c, &w->err);
}

Test(life, A096_A104_the_end_ends_calls_in_flight)
{
    static struct world_call callers[5];
    struct world w = {0};

    world_open(&w, world_deaf, NULL, OPTIONS("timeout", "60s"));
    for (unsigned i = 0; i < 5; i++) {
        world_call_begin(&callers[i], &w, i % 2 ? write_x : world_stat);
    }
    cr_assert(h2server_await(&w.server, 5));
    world_mark(&w);
    pfs_client_free(w.c);
    w.c = NULL;
    cr_assert(world_ms(&w) < 20000, "%d ms", (int)world_ms(&w));
    for (unsigned i = 0; i < 5; i++) {
        world_call_join(&callers[i]);
        cr_assert_eq(callers[i].cls, PFS_SHUTDOWN, "%s", callers[i].w.err.text);
        cr_assert_eq(callers[i].w.err.outcome, PFS_OUTCOME_UN);
    }
    world_close(&w);
}

Test(life, A104_the_end_does_not_wait_for_a_retry)
{
    struct world w = {0};
    static struct world_call c;

    world_open(&w, world_try_later, NULL, OPTIONS("timeout", "60s"));
    world_call_begin(&c, &w, world_stat);
    cr_assert(h2server_await(&w.server, 1));
    world_mark(&w);
    pfs_client_free(w.c); /* while it waits for its next attempt, or just before */
    w.c = NULL;
    cr_assert(world_ms(&w) < 20000, "%d ms", (int)world_ms(&w));
    world_call_join(&c);
    cr_assert_eq(c.cls, PFS_SHUTDOWN, "%s: %s", pfs_class_name(c.cls), c.w.err.text);
    cr_assert_eq(atomic_load(&w.server.n_requests), 1);
    world_close(&w);
}

static void busy(struct h2server *s, struct h2peer *p)
{
    h2peer_hello(p, 0, NULL);
    for (struct h2req *r; (r = h2peer_request(p)) != NULL;) {
        h2peer_reply_with(p, r->stream, "503", "retry-after", "30", "{\"error\":\"busy\"}");
        h2peer_forget(r);
        h2server_signal(s);
    }
}

Test(life, A104_the_end_knows_of_the_attempts_before)
{
    struct world w = {0};
    static struct world_call c;

    world_open(&w, busy, NULL, OPTIONS("timeout", "60s", "retry_writes", "true"));
    world_call_begin(&c, &w, chmod_f);
    cr_assert(h2server_await(&w.server, 1));
    pfs_client_free(w.c);
    w.c = NULL;
    world_call_join(&c);
    cr_assert_eq(c.cls, PFS_SHUTDOWN, "%s: %s", pfs_class_name(c.cls), c.w.err.text);
    cr_assert_eq(c.w.err.outcome, PFS_OUTCOME_UN, "a front may have passed it on: %s",
                 c.w.err.text);
    world_close(&w);
}

Test(life, A068_a_wish_beyond_the_deadline_is_not_waited_for)
{
    struct world w = {0};

    world_open(&w, world_try_later, NULL, OPTIONS("timeout", "25s"));
    world_mark(&w);
    cr_assert_eq(world_stat(&w), PFS_BUSY);
    cr_assert_eq(w.err.outcome, PFS_OUTCOME_NA);
    cr_assert_eq(w.err.retry_after_ms, 30000);
    cr_assert(world_ms(&w) < 20000, "%d ms", (int)world_ms(&w));
    cr_assert_eq(atomic_load(&w.server.n_requests), 1);
    world_close(&w);
}

struct load {
    pthread_t thread;
    struct world w;
    atomic_bool *stop;
    unsigned n, failed;
};

static void *load(void *arg)
{
    struct load *l = arg;

    while (!atomic_load(l->stop)) {
        l->n++;
        l->failed += world_mkdir(&l->w) != PFS_OK;
    }
    return NULL;
}

Test(life, A102_reload_under_load)
{
    static struct load loads[3];
    atomic_bool stop = false;
    struct world w = {0};
    struct pfs_stats st;

    world_open(&w, world_serve, NULL, OPTIONS("timeout", "20s"));
    for (unsigned i = 0; i < 3; i++) {
        loads[i].w.c = w.c;
        loads[i].stop = &stop;
        pthread_create(&loads[i].thread, NULL, load, &loads[i]);
    }
    for (unsigned i = 0; i < 50; i++) {
        cr_assert_eq(pfs_reload(w.c, &w.err), PFS_OK, "%s", w.err.text);
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i < 3; i++) {
        pthread_join(loads[i].thread, NULL);
        cr_assert_eq(loads[i].failed, 0, "%s", loads[i].w.err.text);
        cr_assert_gt(loads[i].n, 0);
    }
    pfs_client_stats(w.c, &st);
    cr_assert_eq(st.reloads, 50);
    cr_assert_eq(st.generation, 51);
    world_close(&w);
}

/* The first connection is good, later ones answer /health with 500. */
static void sick_later(struct h2server *s, struct h2peer *p)
{
    h2peer_hello(p, 0, NULL);
    for (struct h2req *r; (r = h2peer_request(p)) != NULL;) {
        if (p->index > 0) {
            h2peer_reply(p, r->stream, "500", "{\"error\":\"sick\"}");
        } else {
            world_reply(p, r);
        }
        h2peer_forget(r);
    }
}

Test(life, A102_a_bad_reload_keeps_the_old)
{
    struct world w = {0};

    world_open(&w, sick_later, NULL, NULL);
    cr_assert_eq(world_mkdir(&w), PFS_OK);
    for (unsigned i = 0; i < 5; i++) {
        cr_assert_neq(pfs_reload(w.c, &w.err), PFS_OK);
        cr_assert_not_null(strstr(w.err.text, "reload failed: failed to connect after reload"),
                           "%s", w.err.text);
        cr_assert_eq(world_mkdir(&w), PFS_OK, "%s", w.err.text);
    }
    world_close(&w);
}

Test(life, A096_A102_the_end_ends_a_reload)
{
    struct world w = {0};
    static struct world_call c;

    world_open(&w, world_deaf, NULL, OPTIONS("timeout", "60s"));
    world_call_begin(&c, &w, reload);
    cr_assert(h2server_await(&w.server, 1));
    world_mark(&w);
    pfs_client_free(w.c);
    w.c = NULL;
    cr_assert(world_ms(&w) < 20000, "%d ms", (int)world_ms(&w));
    world_call_join(&c);
    cr_assert_eq(c.cls, PFS_SHUTDOWN, "%s: %s", pfs_class_name(c.cls), c.w.err.text);
    cr_assert_eq(c.w.err.outcome, PFS_OUTCOME_NA);
    world_close(&w);
}

Test(life, A102_a_reload_keeps_its_bound_behind_another)
{
    struct world w = {0}, quick = {0};
    static struct world_call c;

    world_open(&w, world_deaf, NULL, OPTIONS("timeout", "60s", "connect_timeout", "1s"));
    memcpy(quick.server.url, w.server.url, sizeof quick.server.url);
    world_client(&quick, OPTIONS("timeout", "100ms", "connect_timeout", "1s"));
    world_call_begin(&c, &w, reload);
    cr_assert(h2server_await(&w.server, 1));
    world_mark(&w);
    cr_assert_eq(pfs_reload(quick.c, &quick.err), PFS_TIMEOUT);
    cr_assert_eq(quick.err.outcome, PFS_OUTCOME_NA);
    cr_assert(world_ms(&w) < 20000, "%d ms", (int)world_ms(&w));
    cr_assert_eq(atomic_load(&w.server.n_requests), 1);
    pfs_client_free(quick.c);
    pfs_client_free(w.c);
    w.c = NULL;
    world_call_join(&c);
    world_close(&w);
}

static void only_health(struct h2server *s, struct h2peer *p)
{
    static const char health[] = "/api/v1/health";

    h2peer_hello(p, 0, NULL);
    for (struct h2req *r; (r = h2peer_request(p)) != NULL;) {
        size_t n = strlen(r->path), m = strlen(health);
        bool known = n >= m && strcmp(r->path + n - m, health) == 0;

        h2peer_reply(p, r->stream, known ? "200" : "404", "{\"error\":\"404 page not found\"}");
        h2peer_forget(r);
    }
}

Test(life, A102_a_reload_asks_below_a_long_base_url)
{
    struct world w = {0}, far = {0};
    char url[700];

    world_open(&w, only_health, NULL, NULL);
    int n = snprintf(url, sizeof url, "%.*s/", (int)(strlen(w.server.url) - strlen("/api/v1")),
                     w.server.url);
    memset(url + n, 'p', 560);
    memcpy(url + n + 560, "/api/v1", sizeof "/api/v1");
    world_client(&far, OPTIONS("base_url", url));
    cr_assert_eq(pfs_reload(far.c, &far.err), PFS_OK, "%s", far.err.text);
    pfs_client_free(far.c);
    world_close(&w);
}

/* Answers a request when it is asked for a sign of life, of which it complains. */
static void strict(struct h2server *s, struct h2peer *p)
{
    struct h2frame f;

    p->answers_pings = false;
    h2peer_hello(p, 0, NULL);
    for (struct h2req *r; (r = h2peer_request(p)) != NULL;) {
        if (!strstr(r->path, "/health")) {
            cr_expect(h2peer_wait(p, H2_PING, &f));
            h2peer_goaway(p, r->stream, H2_ENHANCE_YOUR_CALM, "too_many_pings");
            h2peer_goaway(p, r->stream, H2_ENHANCE_YOUR_CALM, "too_many_pings"); /* said twice */
        }
        world_reply(p, r);
        h2peer_forget(r);
    }
}

/* The seconds that warnings of complaints name, one after the other. */
static void note_complaint(void *arg, enum pfs_log_level level, const char *line)
{
    const char *at = strstr(line, "from now on after ");
    char *seen = arg;

    if (level == PFS_LOG_WARN && at) {
        size_t n = strcspn(at + 18, " ");

        snprintf(seen + strlen(seen), 64 - strlen(seen), "%.*s ", (int)n, at + 18);
    }
}

Test(hang, A008_a_peer_that_complains_of_pings_is_asked_less_often)
{
    struct world w = {0};
    char seen[64] = "";

    pfs_log_to(note_complaint, seen, PFS_LOG_WARN);
    world_open(&w, strict, NULL,
               OPTIONS("timeout", "30s", "keepalive_interval", "1s", "keepalive_timeout", "30s"));
    cr_assert_eq(world_stat(&w), PFS_OK, "%s", w.err.text);
    cr_expect_str_eq(seen, "2 ", "%s", seen);
    cr_assert_eq(pfs_reload(w.c, &w.err), PFS_OK, "%s", w.err.text);
    cr_assert_eq(world_stat(&w), PFS_OK, "%s", w.err.text); /* of the same peer */
    cr_expect_str_eq(seen, "2 4 ", "%s", seen);
    world_close(&w);
    pfs_log_to(NULL, NULL, PFS_LOG_ERROR);
}

/* Complains at once: of what it was not asked. */
static void complain(struct h2server *s, struct h2peer *p)
{
    h2peer_hello(p, 0, NULL);
    struct h2req *r = h2peer_request(p);
    if (r) {
        h2peer_goaway(p, r->stream, H2_ENHANCE_YOUR_CALM, "");
        world_reply(p, r);
        h2peer_drain(p);
    }
}

Test(hang, A008_a_complaint_of_something_else_changes_nothing)
{
    struct world w = {0};
    char seen[64] = "";

    pfs_log_to(note_complaint, seen, PFS_LOG_WARN);
    world_open(&w, complain, NULL, NULL);
    for (unsigned i = 0; i < 3; i++) {
        cr_assert_eq(world_stat(&w), PFS_OK, "%s", w.err.text);
    }
    cr_expect_str_empty(seen);
    world_close(&w);
    pfs_log_to(NULL, NULL, PFS_LOG_ERROR);
}

static void on_alarm(int sig)
{
}

Test(life, A096_a_storm_of_signals)
{
    struct itimerval every = {{0, 500}, {0, 500}}, off = {0};
    struct sigaction sa = {.sa_handler = on_alarm}; /* without SA_RESTART */
    struct world w = {0};

    world_open(&w, world_serve, NULL, NULL);
    sigaction(SIGALRM, &sa, NULL);
    setitimer(ITIMER_REAL, &every, NULL);
    for (unsigned i = 0; i < 500; i++) {
        cr_assert_eq(world_mkdir(&w), PFS_OK, "%s", w.err.text);
    }
    setitimer(ITIMER_REAL, &off, NULL);
    world_close(&w);
}

Test(life, two_clients_share_connections_and_part)
{
    struct world w = {0}, other = {0};

    world_open(&w, world_serve, NULL, NULL);
    memcpy(other.server.url, w.server.url, sizeof other.server.url);
    world_client(&other, OPTIONS("timeout", "9s", "remote_path", "/sub"));
    for (unsigned i = 0; i < 10; i++) {
        cr_assert_eq(world_mkdir(&w), PFS_OK);
        cr_assert_eq(world_mkdir(&other), PFS_OK);
    }
    cr_assert_eq(atomic_load(&w.server.n_conns), 1);
    pfs_client_free(other.c);
    cr_assert_eq(world_mkdir(&w), PFS_OK, "%s", w.err.text);
    cr_assert_eq(atomic_load(&w.server.n_conns), 1);
    world_close(&w);
}

/* Takes a request and answers nothing; the write that follows meets a connection that was reset. */
static void reset_while_written_to(struct h2server *s, struct h2peer *p)
{
    h2peer_hello(p, 0, NULL);
    if (h2peer_head(p)) {
        h2server_count(s);
    }
    h2server_reset(p);
}

Test(life, A115_no_signal_reaches_the_host)
{
    struct world w = {0};
    struct sigaction before, after;
    char *big = calloc(1, 1 << 20);

    memset(big, 'x', (1 << 20) - 1);
    sigaction(SIGPIPE, NULL, &before);
    cr_assert_eq(before.sa_handler, SIG_DFL, "the test would show nothing");
    world_open(&w, reset_while_written_to, NULL, OPTIONS("retries", "1"));
    for (unsigned i = 0; i < 20; i++) {
        cr_assert_neq(world_write(&w, big), PFS_OK);
    }
    world_close(&w);
    sigaction(SIGPIPE, NULL, &after);
    cr_assert_eq(after.sa_handler, SIG_DFL);
    free(big);
}

Test(life, A108_out_of_descriptors)
{
    struct world w = {0}, other = {0};
    struct rlimit all, none;

    world_open(&w, world_serve, NULL, NULL);
    other.server = w.server;
    cr_assert_eq(world_stat(&w), PFS_OK, "%s", w.err.text);
    world_client(&other, OPTIONS("max_streams", "7")); /* another remote: without a connection */
    getrlimit(RLIMIT_NOFILE, &all);
    none = (struct rlimit){.rlim_cur = 3, .rlim_max = all.rlim_max}; /* all below are in use */
    setrlimit(RLIMIT_NOFILE, &none);
    cr_assert_eq(world_write(&other, "x"), PFS_NOFILE, "%s", other.err.text);
    cr_assert_eq(other.err.outcome, PFS_OUTCOME_NA);
    cr_assert_eq(world_stat(&w), PFS_OK, "a connection that is there needs none: %s", w.err.text);
    setrlimit(RLIMIT_NOFILE, &all);
    int64_t until = pfs_now() + 20 * PFS_SEC;
    enum pfs_class cls = PFS_NOFILE;
    while (cls != PFS_OK && pfs_now() < until) {
        cls = world_write(&other, "x");
        usleep(10000);
    }
    cr_assert_eq(cls, PFS_OK, "%s", other.err.text);
    pfs_client_free(other.c);
    world_close(&w);
}
