/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/err.h"
#include "errors.h"
#include "results.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *text_of(enum pfs_class cls, const char *text)
{
    struct pfs_error e;

    pfs_refuse(&e, cls, "%s", text);
    return errors_text(&e);
}

Test(errors, texts_are_interned_and_never_empty)
{
    const char *a = text_of(PFS_IO, "disk on fire");

    cr_expect_str_eq(a, "disk on fire");
    cr_expect_eq(text_of(PFS_IO, "disk on fire"), a, "the same text is the same string");
    cr_expect_str_eq(text_of(PFS_NOTFOUND, ""), pfs_class_text(PFS_NOTFOUND));
}

Test(errors, texts_have_the_words_clients_look_for)
{
    cr_expect_str_eq(text_of(PFS_NOTFOUND, "no key k"), "no such file or directory: no key k");
    cr_expect_str_eq(text_of(PFS_NOTFOUND, "k: Not Found"), "k: Not Found");
    cr_expect_str_eq(text_of(PFS_DENIED, "read-only"), "permission denied: read-only");
    cr_expect_str_eq(text_of(PFS_EXISTS, "directory not empty"), "directory not empty");
    cr_expect_str_eq(text_of(PFS_UNSUPPORTED, "no"), "not supported: no");
}

Test(errors, the_set_is_bounded_and_texts_stay_for_the_grace_period)
{
    const char *first = text_of(PFS_IO, "the first");
    unsigned kept = 0;

    for (int i = 0; i < 100000; i++) {
        char text[32];

        snprintf(text, sizeof text, "text %d", i);
        kept += strcmp(text_of(PFS_IO, text), text) == 0;
    }
    cr_expect_leq(kept, 1024);
    cr_expect_geq(kept, 512);
    cr_expect_str_eq(first, "the first");
    cr_expect_str_eq(text_of(PFS_IO, "one too many?"), pfs_class_text(PFS_IO));
    results_limit(0, RESULTS_MAX_BYTES);
    cr_expect_str_eq(text_of(PFS_IO, "room again"), "room again");
}

/* Carries out op on the file and returns its data (in *reply) or its class. */
static enum pfs_class serve(enum pfs_op op, int64_t offset, int64_t size, struct pfs_reply *reply)
{
    struct pfs_request req = PFS_REQUEST_INIT;

    req.op = op;
    req.path = ERRORS_PATH;
    req.offset = offset;
    req.size = size;
    *reply = (struct pfs_reply){0};
    errors_serve(&req, reply);
    return reply->err.cls;
}

Test(errors, the_list_keeps_the_last_ones)
{
    struct pfs_reply r;
    struct pfs_error e;

    cr_assert_eq(serve(PFS_OP_READ, 0, -1, &r), PFS_OK);
    cr_expect_eq(r.len, 0);
    pfs_reply_fini(&r);
    for (int i = 0; i < ERRORS_KEPT + 10; i++) {
        char path[32];

        snprintf(path, sizeof path, "/line\n%d;", i);
        pfs_fail(&e, PFS_TIMEOUT, PFS_OUTCOME_UN, PFS_PHASE_WAIT, "late");
        errors_note("stat", path, &e);
    }
    cr_assert_eq(serve(PFS_OP_READ, 0, -1, &r), PFS_OK);
    char *text = strndup(r.data, r.len);
    unsigned lines = 0;

    for (char *p = text; (p = strchr(p, '\n')); p++) {
        lines++;
    }
    cr_expect_eq(lines, ERRORS_KEPT, "a path cannot add lines");
    cr_expect_null(strstr(text, "\\x0a9;"));
    cr_expect_not_null(strstr(text, "Z stat /line\\x0a73; timeout/UN/wait: late\n"), "%s", text);
    size_t len = r.len;

    pfs_reply_fini(&r);
    cr_assert_eq(serve(PFS_OP_READ, 5, 10, &r), PFS_OK);
    cr_expect(r.len == 10 && memcmp(r.data, text + 5, 10) == 0);
    pfs_reply_fini(&r);
    cr_assert_eq(serve(PFS_OP_READ, INT64_MAX, -1, &r), PFS_OK);
    cr_expect_eq(r.len, 0);
    pfs_reply_fini(&r);
    cr_assert_eq(serve(PFS_OP_STAT, -1, -1, &r), PFS_OK);
    cr_expect_eq(r.stat.size, (int64_t)len);
    cr_expect_eq(r.stat.mode, 0444);
    pfs_reply_fini(&r);
    free(text);
}

Test(errors, the_list_cannot_be_changed)
{
    struct pfs_reply r;

    cr_expect_eq(serve(PFS_OP_WRITE, -1, -1, &r), PFS_DENIED);
    cr_expect_eq(serve(PFS_OP_REMOVE, -1, -1, &r), PFS_DENIED);
    cr_expect_eq(serve(PFS_OP_RENAME, -1, -1, &r), PFS_DENIED);
    cr_expect_eq(serve(PFS_OP_READDIR, -1, -1, &r), PFS_BADARG);
}
