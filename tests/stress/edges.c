/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Streams that end at every moment of their lives: closed by the callback of a call while the
 * thread that made the call is still inside it, closed by that thread while the call is in flight,
 * given up, timed out, refused early, reset; with reloads, with small calls that drive the same
 * connections, and with clients that are freed while streams are open. Each call is answered
 * exactly once, content comes in order, and nothing is left behind.
 */
#include "stress.h"
#include "support/h2server.h"
#include <proxyfs/proxyfs.h>
#include <string.h>

#define USERS 3
#define STORIES 40 /* of each user, in the life of a client */
#define OPEN_MAX 8 /* streams that a user leaves to the end of the client */
#define RELOADS_MAX 4
#define PIECE 3000
#define CHUNK_MAX 5000

/* ---- the peer ---- */

static char pattern[2 * PIECE]; /* "abc...", made before there are threads */

/* Content in 0 to 7 pieces, most of it with an end. */
static void give_content(struct h2peer *p, uint32_t stream, unsigned random)
{
    static const char *const fields[] = {":status", "200", "content-type",
                                         "application/octet-stream", NULL};
    unsigned n = random % 8, ends = random / 8 % 4;

    h2peer_headers(p, 0, stream, fields);
    for (unsigned i = 0; i < n; i++) {
        h2peer_frame(p, H2_DATA, 0, stream, pattern + i * PIECE % 26, PIECE);
    }
    if (ends == 0) {
        h2peer_rst(p, stream, H2_INTERNAL_ERROR);
    } else if (ends > 1) {
        h2peer_frame(p, H2_DATA, H2_END_STREAM, stream, NULL, 0);
    }
}

static struct h2req *find(struct h2peer *p, uint32_t stream)
{
    for (unsigned i = 0; i < H2PEER_STREAMS; i++) {
        if (p->streams[i].stream == stream) {
            return &p->streams[i];
        }
    }
    return NULL;
}

/* A header came, or the end of a request. */
static void answer(struct h2peer *p, struct h2req *r, bool is_head, unsigned random)
{
    bool is_put = strcmp(r->method, "PUT") == 0, early = is_put && is_head && !r->ended;

    if (early && random % 4 > 1) { /* it is read to its end first */
        return;
    }
    if (early && random % 4 == 1) {
        h2peer_reply(p, r->stream, "403", "{\"error\":\"permission denied\"}");
        h2peer_rst(p, r->stream, H2_NO_ERROR);
    } else if (early) {
        h2peer_rst(p, r->stream, H2_CANCEL);
    } else if (is_put) {
        h2peer_reply(p, r->stream, "200", "{\"message\":\"OK\"}");
    } else if (strstr(r->path, "/files")) {
        give_content(p, r->stream, random);
    } else {
        h2peer_reply(p, r->stream, "200", "{\"status\":\"healthy\"}");
    }
    h2peer_forget(r);
}

static void script(struct h2server *s, struct h2peer *p)
{
    unsigned seed = p->index + 1;
    struct h2frame f;

    h2peer_hello(p, 0, NULL);
    while (h2peer_next(p, &f)) {
        bool is_head = f.type == H2_HEADERS,
             ends = (is_head || f.type == H2_DATA) && f.flags & H2_END_STREAM;
        struct h2req *r = f.stream && (is_head || ends) ? find(p, f.stream) : NULL;

        if (r) {
            answer(p, r, is_head, stress_random(&seed));
        }
    }
}

/* ---- a stream ---- */

enum kind { BY_CALLBACK, BY_THREAD };

/* One stream and its calls; a reference each for the user's thread and for a call in flight. */
struct story {
    struct life *l;
    struct pfs_stream *s;
    atomic_uint refs, n_begun, n_answered;
    atomic_bool opened, idle;
    bool is_write;
    enum kind kind;
    unsigned seed; /* of whoever acts */
    size_t at;
    char buf[CHUNK_MAX];
};

struct life {
    struct pfs_client *c;
    atomic_bool over;
    atomic_uint n_stories; /* that live */
};

static void story_unref(struct story *t)
{
    if (atomic_fetch_sub(&t->refs, 1) == 1) {
        REQUIRE(atomic_load(&t->n_begun) == atomic_load(&t->n_answered), "%u of %u calls answered",
                atomic_load(&t->n_answered), atomic_load(&t->n_begun));
        atomic_fetch_sub(&t->l->n_stories, 1);
        free(t);
    }
}

static void on_io(void *arg, size_t n, const struct pfs_error *err);

static void begin(struct story *t)
{
    size_t n = stress_random(&t->seed) % CHUNK_MAX + 1;
    bool finish = stress_random(&t->seed) % 4 == 0;

    atomic_fetch_add(&t->refs, 1);
    atomic_fetch_add(&t->n_begun, 1);
    atomic_store(&t->idle, false);
    if (!t->is_write) {
        t->s->ops->read(t->s, t->buf, n, on_io, t);
    } else if (finish) {
        t->s->ops->finish(t->s, on_io, t);
    } else {
        t->s->ops->write(t->s, t->buf, n, on_io, t);
    }
}

static void on_io(void *arg, size_t n, const struct pfs_error *err)
{
    struct story *t = arg;

    atomic_fetch_add(&t->n_answered, 1);
    for (size_t i = 0; !t->is_write && i < n; i++) {
        REQUIRE(t->buf[i] == (char)('a' + (t->at + i) % 26), "wrong content at %zu", t->at + i);
    }
    t->at += n;
    if (t->kind == BY_CALLBACK) {
        bool over = err->cls != PFS_OK || n == 0 || stress_random(&t->seed) % 3 == 0;

        if (over) {
            t->s->ops->close(t->s);
        } else {
            begin(t);
        }
    }
    atomic_store(&t->idle, true); /* of BY_THREAD: its thread has it */
    story_unref(t);
}

static void on_open(void *arg, struct pfs_reply *reply)
{
    struct story *t = arg;

    t->s = reply->stream;
    reply->stream = NULL;
    pfs_reply_fini(reply);
    atomic_store(&t->opened, true);
    story_unref(t);
}

static void wait_for(atomic_bool *what)
{
    int64_t end = pfs_now() + 60 * PFS_SEC;

    while (!atomic_load(what)) {
        REQUIRE(pfs_now() < end, "no answer");
        sched_yield();
    }
}

static void linger(unsigned *seed)
{
    for (unsigned n = stress_random(seed) % 4; n > 0; n--) {
        sched_yield();
    }
}

/* Its own thread closes the stream, as a rule while a call is in flight. */
static void by_thread(struct story *t, unsigned *seed)
{
    for (unsigned n = stress_random(seed) % 4; n > 0; n--) {
        begin(t);
        linger(seed);
        if (n > 1) {
            wait_for(&t->idle);
        }
    }
    t->s->ops->close(t->s);
}

/* The stream of a story that its user keeps open, or NULL. */
static struct story *one_story(struct life *l, unsigned *seed, bool may_keep)
{
    struct pfs_request req = PFS_REQUEST_INIT;
    struct story *t = calloc(1, sizeof *t);
    unsigned random = stress_random(seed);

    REQUIRE(t, "no memory");
    t->l = l;
    atomic_init(&t->refs, 2); /* this thread's, the opening's */
    t->is_write = random % 2;
    t->kind = random / 2 % 2 ? BY_CALLBACK : BY_THREAD;
    t->seed = random;
    atomic_fetch_add(&l->n_stories, 1);
    req.op = t->is_write ? PFS_OP_OPEN_WRITE : PFS_OP_OPEN_READ;
    req.path = "/f";
    req.ticket = t;
    pfs_submit(l->c, &req, on_open, t);
    linger(seed);
    if (random / 4 % 8 == 0) {
        pfs_cancel(l->c, t);
    }
    wait_for(&t->opened);
    if (!t->s) {
        /* refused, or given up */
    } else if (may_keep && random / 32 % 8 == 0) {
        return t;
    } else if (t->kind == BY_CALLBACK) {
        begin(t); /* the stream may be gone now */
    } else {
        by_thread(t, seed);
    }
    story_unref(t);
    return NULL;
}

/* ---- a client ---- */

struct user {
    struct life *l;
    unsigned seed, n_kept;
    struct story *kept[OPEN_MAX];
};

static void *use(void *arg)
{
    struct user *u = arg;

    for (unsigned i = 0; i < STORIES; i++) {
        struct story *t = one_story(u->l, &u->seed, u->n_kept < OPEN_MAX);

        if (t) {
            u->kept[u->n_kept++] = t;
        }
    }
    return NULL;
}

/* Small calls and, now and then, what hits all that is in flight. */
static void *disturb(void *arg)
{
    struct user *u = arg;
    struct pfs_error err;
    unsigned n_reloads = 0;

    while (!atomic_load(&u->l->over)) {
        unsigned random = stress_random(&u->seed) % 64;

        if (random == 0 && n_reloads++ < RELOADS_MAX) {
            (void)!pfs_reload(u->l->c, &err);
        } else if (random < 4) {
            pfs_cancel_all(u->l->c);
        } else {
            (void)!pfs_health(u->l->c, &err);
        }
    }
    return NULL;
}

/* What was left open is used and closed when its client is gone. */
static void end_kept(struct user *u)
{
    for (unsigned i = 0; i < u->n_kept; i++) {
        struct story *t = u->kept[i];

        if (t->kind == BY_CALLBACK) {
            begin(t);
        } else {
            by_thread(t, &u->seed);
        }
        story_unref(t);
    }
}

static void one_life(struct h2server *server, unsigned *seed)
{
    struct pfs_option o[] = {{"base_url", server->url},
                             {"protocol", "h2"},
                             {"timeout", stress_random(seed) % 2 ? "60s" : "4ms"},
                             {"max_connections", "2"}};
    struct life l = {.c = NULL};
    struct user users[USERS + 1] = {{.l = NULL}};
    pthread_t threads[USERS + 1];
    struct pfs_error err;

    REQUIRE(pfs_client_new(o, 4, &l.c, &err) == PFS_OK, "%s", err.text);
    for (unsigned i = 0; i <= USERS; i++) {
        users[i] = (struct user){.l = &l, .seed = stress_random(seed)};
        pthread_create(&threads[i], NULL, i < USERS ? use : disturb, &users[i]);
    }
    for (unsigned i = 0; i < USERS; i++) {
        pthread_join(threads[i], NULL);
    }
    atomic_store(&l.over, true);
    pthread_join(threads[USERS], NULL);
    pfs_client_free(l.c);
    for (unsigned i = 0; i < USERS; i++) {
        end_kept(&users[i]);
    }
    while (atomic_load(&l.n_stories) > 0) { /* callbacks of settled streams come at once */
        sched_yield();
    }
}

int main(int argc, char **argv)
{
    struct leaks before = leaks_now();
    int64_t stop_at = stress_until(argc, argv, 3);
    unsigned seed = (unsigned)stop_at, n_lives = 0;

    for (size_t i = 0; i < sizeof pattern; i++) {
        pattern[i] = (char)('a' + i % 26);
    }
    do { /* a server takes so many connections in its life */
        struct h2server server = {.script = script, .slice = n_lives % 2 ? 0 : 700};

        h2server_start(&server);
        while (pfs_now() < stop_at && atomic_load(&server.n_conns) < H2SERVER_CONNS - 64) {
            one_life(&server, &seed);
            n_lives++;
        }
        h2server_stop(&server);
    } while (pfs_now() < stop_at);
    REQUIRE(leaks_none(&before), "left behind");
    printf("%u clients\n", n_lives);
    return 0;
}
