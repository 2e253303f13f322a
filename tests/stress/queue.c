/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Conservation of a queue: threads enqueue numbered messages, blocking and not, while the peer
 * refuses, resets, says GOAWAY and breaks connections, and while the client reloads. A message
 * whose call said OK was executed exactly once, NA never, UN at most once.
 */
#include "stress.h"
#include "support/h2server.h"
#include <proxyfs/proxyfs.h>
#include <string.h>

#define THREADS 6
#define MESSAGES_MAX 200000

struct message {
    atomic_uint executed;
    int cls, outcome; /* of the call */
};

static struct message messages[MESSAGES_MAX];
static atomic_uint n_messages, in_flight, n_ok, n_na, n_un;
static struct pfs_client *client;
static int64_t stop_at;

static void reply(struct h2peer *p, const struct h2req *r)
{
    h2peer_reply_with(p, r->stream, "200", "agfs-boot", "00000001; features=offset",
                      strstr(r->path, "/health") ? "{\"status\":\"healthy\"}"
                                                 : "{\"message\":\"Written 1 bytes\"}");
}

static void execute(const struct h2req *r)
{
    char digits[16] = "";
    size_t n = pfs_buf_len(&r->body);

    if (strstr(r->path, "/files?") && n > 0 && n < sizeof digits) {
        memcpy(digits, pfs_buf_data(&r->body), n);
        atomic_fetch_add(&messages[strtoul(digits, NULL, 10)].executed, 1);
    }
}

/* Each connection has its own seed, so a run is as varied as it is repeatable by the kernel. */
static void script(struct h2server *s, struct h2peer *p)
{
    unsigned seed = p->index * 7919 + 1;

    h2peer_hello(p, 0, NULL);
    /* The server has room for so many connections; the last ones are well behaved. */
    bool evil = p->index < H2SERVER_CONNS - 56;
    for (struct h2req *r; (r = h2peer_request(p)) != NULL;) {
        bool is_write = strstr(r->path, "/files?") != NULL;

        switch (evil && is_write ? stress_random(&seed) % 400 : 400) {
        case 0:
        case 1:
            h2peer_rst(p, r->stream, H2_REFUSED_STREAM);
            break;
        case 2:
            execute(r);
            h2peer_rst(p, r->stream, H2_INTERNAL_ERROR);
            break;
        case 3:
            h2peer_rst(p, r->stream, H2_CANCEL);
            break;
        case 4: /* executed, and the answer is lost */
            execute(r);
            h2server_reset(p);
            return;
        case 5:
            return;
        case 6: /* this one and later ones were not executed */
            h2peer_goaway(p, r->stream - 1, H2_NO_ERROR, "");
            h2peer_drain(p);
            return;
        case 7: /* half a reply */
            execute(r);
            h2peer_headers(p, 0, r->stream, (const char *const[]){":status", "200", NULL});
            h2peer_rst(p, r->stream, H2_INTERNAL_ERROR);
            break;
        default:
            execute(r);
            reply(p, r);
        }
        h2peer_forget(r);
    }
}

static void account(struct message *m, const struct pfs_error *err)
{
    m->cls = (int)err->cls;
    m->outcome = (int)err->outcome;
    atomic_fetch_add(err->cls == PFS_OK               ? &n_ok
                     : err->outcome == PFS_OUTCOME_NA ? &n_na
                                                      : &n_un,
                     1);
    REQUIRE(err->cls != PFS_TIMEOUT, "a call hung: %s", err->text);
}

struct sent {
    struct message *m;
    char text[16];
};

static void on_done(void *arg, struct pfs_reply *r)
{
    struct sent *sent = arg;

    account(sent->m, &r->err);
    pfs_reply_fini(r);
    free(sent);
    atomic_fetch_sub(&in_flight, 1);
}

static void enqueue_async(unsigned i)
{
    struct sent *sent = malloc(sizeof *sent);
    struct pfs_request req = PFS_REQUEST_INIT;

    REQUIRE(sent, "memory");
    sent->m = &messages[i];
    req.op = PFS_OP_WRITE;
    req.path = "/queue/enqueue";
    req.data = sent->text;
    req.len = (size_t)snprintf(sent->text, sizeof sent->text, "%u", i);
    req.flags = PFS_WRITE_CREATE | PFS_WRITE_TRUNCATE;
    atomic_fetch_add(&in_flight, 1);
    pfs_submit(client, &req, on_done, sent);
}

static void enqueue(unsigned i)
{
    struct pfs_error err = {.cls = PFS_OK};
    char text[16];
    int n = snprintf(text, sizeof text, "%u", i);

    if (pfs_write(client, "/queue/enqueue", text, (size_t)n, -1,
                  PFS_WRITE_CREATE | PFS_WRITE_TRUNCATE, NULL, &err) == PFS_OK) {
        err.cls = PFS_OK;
    }
    account(&messages[i], &err);
}

static void *producer(void *arg)
{
    unsigned seed = (unsigned)(size_t)arg + 77;

    while (pfs_now() < stop_at) {
        unsigned i = atomic_fetch_add(&n_messages, 1);

        if (i >= MESSAGES_MAX) {
            atomic_store(&n_messages, MESSAGES_MAX);
            break;
        }
        if (stress_random(&seed) % 3 && atomic_load(&in_flight) < 64) {
            enqueue_async(i);
        } else {
            enqueue(i);
        }
    }
    return NULL;
}

static void *reloader(void *arg)
{
    struct timespec pause = {.tv_nsec = 50000000};

    (void)arg;
    while (pfs_now() < stop_at) {
        struct pfs_error err;

        if (pfs_reload(client, &err) != PFS_OK) {
            REQUIRE(strstr(err.text, "reload failed"), "%s", err.text);
        }
        nanosleep(&pause, NULL);
    }
    return NULL;
}

static void check(void)
{
    unsigned n = atomic_load(&n_messages);

    for (unsigned i = 0; i < n && i < MESSAGES_MAX; i++) {
        const struct message *m = &messages[i];
        unsigned times = atomic_load(&m->executed);

        if (m->cls == PFS_OK || m->outcome == PFS_OUTCOME_AP) {
            REQUIRE(times == 1, "message %u: OK, executed %u times", i, times);
        } else if (m->outcome == PFS_OUTCOME_NA) {
            REQUIRE(times == 0, "message %u: NA (%s), executed %u times", i,
                    pfs_class_name((enum pfs_class)m->cls), times);
        } else {
            REQUIRE(times <= 1, "message %u: UN, executed %u times", i, times);
        }
    }
    printf("%u messages: %u ok, %u not applied, %u unknown or cut\n", n, atomic_load(&n_ok),
           atomic_load(&n_na), atomic_load(&n_un));
    REQUIRE(atomic_load(&n_ok) > 0, "nothing went through");
}

int main(int argc, char **argv)
{
    struct leaks before = leaks_now();
    struct h2server server = {.script = script};
    pthread_t threads[THREADS + 1];
    struct pfs_error err;

    stop_at = stress_until(argc, argv, 4);
    h2server_start(&server);
    struct pfs_option o[] = {
        {"base_url", server.url}, {"protocol", "h2"}, {"timeout", "60s"}, {"max_streams", "32"}};
    REQUIRE(pfs_client_new(o, 4, &client, &err) == PFS_OK, "%s", err.text);
    for (size_t i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, producer, (void *)i);
    }
    pthread_create(&threads[THREADS], NULL, reloader, NULL);
    for (size_t i = 0; i <= THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    while (atomic_load(&in_flight) > 0) {
        sched_yield();
    }
    pfs_client_free(client);
    h2server_stop(&server);
    check();
    REQUIRE(leaks_none(&before), "left behind");
    return 0;
}
