/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Over loopback: a client of a part of the remote (remote_path) knows that part's names only. */
#include "world.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One reply to every request; what the last one was. */
struct wanted {
    const char *reply;
    char path[1024], body[256];
};

static void answer(struct h2server *s, struct h2peer *p)
{
    struct wanted *a = s->arg;

    h2peer_hello(p, 0, NULL);
    for (struct h2req *r; (r = h2peer_request(p)) != NULL;) {
        size_t n = pfs_buf_len(&r->body);

        h2server_count(s);
        memcpy(a->path, r->path, sizeof a->path);
        cr_assert_lt(n, sizeof a->body);
        memcpy(a->body, n ? pfs_buf_data(&r->body) : "", n);
        a->body[n] = '\0';
        h2peer_reply(p, r->stream, "200", a->reply);
        h2peer_forget(r);
    }
}

/* name: expected, NULL: the reply is refused. */
struct name_row {
    const char *root, *remote, *name;
};

#define PAIR(root, remote, name)                                                                   \
    {                                                                                              \
        root, remote, name                                                                         \
    }

Test(names, matches)
{
    static const struct name_row rows[] = {
        PAIR("/", "/a/f", "/a/f"),
        PAIR("/a", "/a/f", "/f"),
        PAIR("/a", "/a", "/"), /* the part is a file */
        PAIR("/a/b", "//a/b/c/f", "/c/f"),
        PAIR("/a", "f", "f"), /* a search of its own */
        PAIR("/a", "/b/f", NULL),
        PAIR("/a", "/ab", NULL),
        PAIR("/a", "/a/../b", NULL),
        PAIR("/", "/a/../b", "/a/../b"),
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct world w = {0};
        struct pfs_matches m = {0};
        char reply[256];
        struct wanted a = {.reply = reply};

        snprintf(reply, sizeof reply,
                 "{\"matches\":[{\"file\":\"%s/in\",\"line\":1,\"content\":\"x\"},"
                 "{\"file\":\"%s\",\"line\":2,\"content\":\"y\"}],\"count\":2}",
                 rows[i].root[1] ? rows[i].root : "", rows[i].remote);
        world_open(&w, answer, &a, OPTIONS("remote_path", rows[i].root));
        enum pfs_class cls = pfs_grep(w.c, "/", "x", PFS_GREP_RECURSIVE, &m, &w.err);
        if (rows[i].name) {
            cr_assert_eq(cls, PFS_OK, "row %zu: %s", i, w.err.text);
            cr_assert_eq(m.n, 2);
            cr_expect_str_eq(m.matches[0].file, "/in", "row %zu", i);
            cr_expect_str_eq(m.matches[1].file, rows[i].name, "row %zu", i);
        } else {
            cr_assert_eq(cls, PFS_PAYLOAD, "row %zu: %s", i, pfs_class_name(cls));
            assert_err(&w, PFS_PAYLOAD, PFS_OUTCOME_UN, PFS_PHASE_REPLY);
        }
        pfs_matches_fini(&m);
        world_close(&w);
    }
}

Test(names, targets_that_are_read)
{
    static const struct name_row rows[] = {
        PAIR("/", "/b/f", "/b/f"),  PAIR("/a", "/a/f", "/f"), PAIR("/a", "/a", "/"),
        PAIR("/a", "../f", "../f"), PAIR("/a", "f", "f"),     PAIR("/a", "/b/f", NULL),
        PAIR("/a", "/", NULL),
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct world w = {0};
        char reply[64], *target = NULL;
        struct wanted a = {.reply = reply};

        snprintf(reply, sizeof reply, "{\"target\":\"%s\"}", rows[i].remote);
        world_open(&w, answer, &a, OPTIONS("remote_path", rows[i].root));
        enum pfs_class cls = pfs_readlink(w.c, "/link", &target, &w.err);
        if (rows[i].name) {
            cr_assert_eq(cls, PFS_OK, "row %zu: %s", i, w.err.text);
            cr_expect_str_eq(target, rows[i].name, "row %zu", i);
            free(target);
        } else {
            cr_assert_eq(cls, PFS_DENIED, "row %zu: %s", i, pfs_class_name(cls));
            assert_err(&w, PFS_DENIED, PFS_OUTCOME_NA, PFS_PHASE_REPLY);
            cr_expect(strstr(w.err.text, rows[i].remote), "%s", w.err.text);
        }
        world_close(&w);
    }
}

Test(names, targets_that_are_made)
{
    static const struct name_row rows[] = {
        PAIR("/", "/f", "/f"),      PAIR("/", "/x/../f", "/x/../f"),
        PAIR("/a", "/a/f", "/f"),   PAIR("/a", "/a/f", "/../f"), /* not above the root */
        PAIR("/a", "../f", "../f"), PAIR("/a", "/a", "/"),
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct world w = {0};
        struct wanted a = {.reply = "{\"message\":\"symlink created\"}"};
        char body[64];

        snprintf(body, sizeof body, "{\"target\":\"%s\"}", rows[i].remote);
        world_open(&w, answer, &a, OPTIONS("remote_path", rows[i].root));
        cr_assert_eq(pfs_symlink(w.c, rows[i].name, "/link", &w.err), PFS_OK, "%s", w.err.text);
        cr_expect_str_eq(a.body, body, "row %zu", i);
        cr_expect(strstr(a.path, rows[i].root[1] ? "path=/a/link" : "path=/link"), "%s", a.path);
        world_close(&w);
    }
}

Test(names, handles_and_roots)
{
    static const enum pfs_op ops[] = {PFS_OP_HANDLE_OPEN, PFS_OP_HANDLE_INFO, PFS_OP_HANDLE_RENEW};
    static const struct name_row rows[] = {
        PAIR("/", "//a/f", "//a/f"), PAIR("/a", "//a/f", "/f"), /* as the stock server says it */
        PAIR("/a", "/b/f", NULL),                               /* through a link: open is open */
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct world w = {0};
        char reply[256];
        struct wanted a = {.reply = reply};
        struct pfs_stat st;

        world_open(&w, answer, &a, OPTIONS("remote_path", rows[i].root));
        snprintf(reply, sizeof reply, "{\"handle_id\":7,\"path\":\"%s\"}", rows[i].remote);
        for (size_t k = 0; k < sizeof ops / sizeof *ops; k++) {
            struct pfs_request req = PFS_REQUEST_INIT;
            struct pfs_reply r;

            req.op = ops[k];
            req.path = "/f";
            req.handle = 7;
            cr_assert_eq(pfs_call(w.c, &req, &r), PFS_OK, "row %zu: %s", i, r.err.text);
            cr_expect_eq(r.handle.id, 7);
            if (rows[i].name) {
                cr_expect_str_eq(r.handle.path, rows[i].name, "row %zu", i);
            } else {
                cr_expect_null(r.handle.path, "row %zu", i);
            }
            pfs_reply_fini(&r);
        }
        for (size_t k = 0; k < 2; k++) {
            bool is_root = k == 0;

            snprintf(reply, sizeof reply,
                     "{\"name\":\"%s\",\"size\":0,\"mode\":493,\"isDir\":true}",
                     is_root ? "a" : "d");
            cr_assert_eq(pfs_stat(w.c, is_root ? "/" : "/d", &st, &w.err), PFS_OK, "%s",
                         w.err.text);
            cr_expect_str_eq(st.name, !is_root ? "d" : rows[i].root[1] ? "/" : "a", "row %zu", i);
            pfs_stat_fini(&st);
        }
        world_close(&w);
    }
}
