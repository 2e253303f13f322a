/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/err.h"
#include "base/utf8.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

Test(err, classes_have_names_that_lead_back)
{
    for (int i = 0; i < PFS_N_CLASSES; i++) {
        enum pfs_class cls = (enum pfs_class)i;

        cr_assert_eq(pfs_class_by_name(pfs_class_name(cls)), cls);
        cr_assert_neq(pfs_class_text(cls)[0], '\0');
        cr_assert(pfs_class_http(cls) >= 200 && pfs_class_http(cls) < 600);
        cr_assert_eq(pfs_class_exit(cls) == 0, cls == PFS_OK);
        cr_assert_eq(pfs_class_errno(cls) == 0, cls == PFS_OK);
    }
    cr_assert_eq(pfs_class_by_name("nonsense"), PFS_IO);
    cr_assert_eq(pfs_class_by_name(NULL), PFS_IO);
    cr_assert_str_eq(pfs_outcome_name(PFS_OUTCOME_UN), "UN");
    cr_assert_str_eq(pfs_outcome_name(PFS_OUTCOME_NA), "NA");
    cr_assert_str_eq(pfs_outcome_name(PFS_OUTCOME_AP), "AP");
    cr_assert_str_eq(pfs_phase_name(PFS_PHASE_CONNECT), "connect");
    cr_assert_eq(pfs_class_of_errno(ENOENT), PFS_NOTFOUND);
    cr_assert_eq(pfs_class_of_errno(EACCES), PFS_DENIED);
    cr_assert_eq(pfs_class_of_errno(EEXIST), PFS_EXISTS);
    cr_assert_eq(pfs_class_of_errno(EMFILE), PFS_NOFILE);
    cr_assert_eq(pfs_class_of_errno(ENOMEM), PFS_NOMEM);
    cr_assert_eq(pfs_class_of_errno(123456), PFS_IO);
}

Test(err, fills_from_scratch_and_prefixes)
{
    struct pfs_error e;

    memset(&e, 0xff, sizeof e);
    cr_assert_eq(pfs_fail(&e, PFS_TIMEOUT, PFS_OUTCOME_UN, PFS_PHASE_WAIT, "%d\n%s", 7, "\x1b["),
                 PFS_TIMEOUT);
    cr_assert_str_eq(e.text, "7\\x0a\\x1b[");
    cr_assert(e.http_status == 0 && e.h2_code == 0 && e.sys_errno == 0 && e.hop == 0 &&
              e.retry_after_ms == 0 && e.origin[0] == '\0');
    pfs_err_prefix(&e, "read %s", "/f");
    cr_assert_str_eq(e.text, "read /f: 7\\x0a\\x1b[");
    cr_assert_eq(pfs_refuse(&e, PFS_INVALID, "no"), PFS_INVALID);
    cr_assert_eq(e.outcome, PFS_OUTCOME_NA);
    cr_assert_eq(e.phase, PFS_PHASE_LOCAL);
    cr_assert_eq(pfs_refuse(NULL, PFS_INVALID, "no"), PFS_INVALID);
    pfs_err_prefix(NULL, "x");
}

Test(err, long_texts_are_cut_inside_the_limit)
{
    char big[2000];
    struct pfs_error e;

    for (unsigned k = 0; k < 3; k++) {
        memset(big, k == 0 ? 'a' : k == 1 ? '\x01' : '\xc3', sizeof big - 1);
        big[sizeof big - 1] = '\0';
        pfs_refuse(&e, PFS_IO, "%s", big);
        cr_assert_lt(strlen(e.text), PFS_ERROR_TEXT_MAX);
        cr_assert_gt(strlen(e.text), PFS_ERROR_TEXT_MAX - 8);
        cr_assert(pfs_utf8_valid(e.text, strlen(e.text)));
        pfs_err_prefix(&e, "%s", big);
        cr_assert_lt(strlen(e.text), PFS_ERROR_TEXT_MAX);
    }
}

Test(escape, one_safe_line)
{
    static const struct {
        const char *in;
        size_t n;
        const char *out;
    } rows[] = {{"plain", 5, "plain"},
                {"", 0, ""},
                {"a\0b", 3, "a\\x00b"},
                {"\r\n\t", 3, "\\x0d\\x0a\\x09"},
                {"\x7f", 1, "\\x7f"},
                {"gr\xc3\xbc\xc3\x9f", 6, "gr\xc3\xbc\xc3\x9f"},
                {"\xc3", 1, "\\xc3"},
                {"\xff\xfe", 2, "\\xff\\xfe"},
                {"\xed\xa0\x80", 3, "\\xed\\xa0\\x80"}};
    char dst[64];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cr_assert_eq(pfs_escape_line(dst, sizeof dst, rows[i].in, rows[i].n), strlen(rows[i].out));
        cr_assert_str_eq(dst, rows[i].out);
    }
    cr_assert_eq(pfs_escape_line(dst, 6, "abc\n", 4), 3, "no half escape");
    cr_assert_str_eq(dst, "abc");
    cr_assert_eq(pfs_escape_line(dst, 1, "abc", 3), 0);
}

Test(utf8, rfc_3629)
{
    static const char *const good[] = {"",
                                       "a",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf",
                                       "a\xe2\x82\xacz"};
    static const char *const bad[] = {"\x80",
                                      "\xbf",
                                      "\xc0\xaf",
                                      "\xc1\xbf",
                                      "\xc2",
                                      "\xc2z",
                                      "\xe0\x9f\xbf",
                                      "\xe2\x82",
                                      "\xed\xa0\x80",
                                      "\xed\xbf\xbf",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf0\x90\x80",
                                      "\xf4\x90\x80\x80",
                                      "\xf5",
                                      "\xff",
                                      "a\xfe"};

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        cr_assert(pfs_utf8_valid(good[i], strlen(good[i])), "good %zu", i);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_assert_not(pfs_utf8_valid(bad[i], strlen(bad[i])), "bad %zu", i);
    }
    for (size_t i = 0; i < 20; i++) { /* behind ASCII, which is passed in steps */
        char text[24];

        memset(text, 'a', sizeof text);
        cr_assert(pfs_utf8_valid(text, i));
        text[i] = '\xc3';
        cr_assert_not(pfs_utf8_valid(text, sizeof text), "at %zu", i);
        text[i + 1] = '\xa9';
        cr_assert(pfs_utf8_valid(text, sizeof text), "at %zu", i);
        cr_assert_not(pfs_utf8_valid(text, i + 1), "cut at %zu", i);
    }
    cr_assert_eq(pfs_utf8_len("\xe2\x82\xac", 3), 3);
    cr_assert_eq(pfs_utf8_len("\xe2\x82\xac", 2), 0);
}
