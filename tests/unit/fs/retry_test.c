/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Every cell of table B2 of the reliability bar. */
#include "base/clock.h"
#include "fs/retry.h"
#include <criterion/criterion.h>

#define NA PFS_OUTCOME_NA
#define AP PFS_OUTCOME_AP
#define UN PFS_OUTCOME_UN

static struct retry_facts facts(enum op_safety safety)
{
    return (struct retry_facts){.safety = safety,
                                .attempts = 1,
                                .max_attempts = 3,
                                .tokens = RETRY_TOKENS_MAX,
                                .random = 20};
}

/* One row: for R, W, M, Q whether it is made again; '+' again, '!' at once and free, '-' no. */
struct row {
    const char *what;
    enum failure_point failure;
    int status;
    const char *again;
    enum pfs_outcome outcome[4];
    bool attested, atomic_body, dedupe, retry_writes, says_na;
    uint32_t h2_code;
};

static void check(const struct row *row)
{
    for (int s = SAFETY_R; s <= SAFETY_Q; s++) {
        struct retry_facts f = facts((enum op_safety)s);

        f.failure = row->failure;
        f.status = row->status;
        f.attested = row->attested;
        f.atomic_body = row->atomic_body;
        f.dedupe = row->dedupe;
        f.retry_writes = row->retry_writes;
        f.says_not_applied = row->says_na;
        f.h2_code = row->h2_code;
        struct retry_verdict v = retry_decide(&f);
        char c = row->again[s];
        cr_assert_eq(v.again, c != '-', "%s, %c: %s", row->what, "RWMQ"[s], v.evidence);
        cr_assert_eq(v.is_free, c == '!', "%s, %c: free", row->what, "RWMQ"[s]);
        if (!v.again) {
            cr_assert_eq(v.outcome, row->outcome[s], "%s, %c: outcome %d", row->what, "RWMQ"[s],
                         v.outcome);
        }
        /* Never without tokens, attempts or body. */
        for (unsigned k = 0; k < 3 && c == '+' && row->status != 425 && row->status != 421; k++) {
            struct retry_facts g = f;

            g.tokens = k == 0 ? RETRY_TOKENS_OFF : g.tokens;
            g.attempts = k == 1 ? g.max_attempts : g.attempts;
            g.body_gone = k == 2;
            cr_assert_not(retry_decide(&g).again, "%s, %c: limit %u", row->what, "RWMQ"[s], k);
        }
    }
}

Test(retry, table_B2)
{
    static const struct row rows[] = {
        {"P0", FAILURE_NOT_SENT, 0, "----", {NA, NA, NA, NA}},
        {"P1", FAILURE_REFUSED, 0, "!!!-", {NA, NA, NA, UN}},
        {"P1 attested", FAILURE_REFUSED, 0, "!!!!", {NA, NA, NA, NA}, .attested = true},
        {"P1 dedupe", FAILURE_REFUSED, 0, "!!!!", {NA, NA, NA, UN}, .dedupe = true},
        {"P2", FAILURE_GOAWAY, 0, "!!!!", {NA, NA, NA, NA}},
        {"P2 error", FAILURE_GOAWAY, 0, "!!!-", {NA, NA, NA, UN}, .h2_code = 11},
        {"P2 attested",
         FAILURE_GOAWAY,
         0,
         "!!!!",
         {NA, NA, NA, NA},
         .attested = true,
         .h2_code = 11},
        {"P3", FAILURE_TLS_ALERT, 0, "----", {NA, NA, NA, NA}},
        {"P4", FAILURE_SENDING, 0, "+---", {UN, UN, UN, UN}},
        {"P4 atomic", FAILURE_SENDING, 0, "++++", {NA, NA, NA, NA}, .atomic_body = true},
        {"P4 dedupe", FAILURE_SENDING, 0, "++++", {UN, UN, UN, UN}, .dedupe = true},
        {"P5", FAILURE_WAITING, 0, "+---", {UN, UN, UN, UN}},
        {"P5 atomic", FAILURE_WAITING, 0, "+---", {UN, UN, UN, UN}, .atomic_body = true},
        {"P5 opt-in", FAILURE_WAITING, 0, "++--", {UN, UN, UN, UN}, .retry_writes = true},
        {"P5 dedupe", FAILURE_WAITING, 0, "++++", {UN, UN, UN, UN}, .dedupe = true},
        {"P6", FAILURE_DEADLINE, 0, "----", {UN, UN, UN, UN}},
        {"P7 429", FAILURE_NONE, 429, "++++", {NA, NA, NA, NA}},
        {"P7 503", FAILURE_NONE, 503, "++++", {NA, NA, NA, NA}, .says_na = true},
        {"P8 503", FAILURE_NONE, 503, "+---", {UN, UN, UN, UN}},
        {"P8 502", FAILURE_NONE, 502, "+---", {UN, UN, UN, UN}},
        {"P8 504", FAILURE_NONE, 504, "+---", {UN, UN, UN, UN}},
        {"P8 500", FAILURE_NONE, 500, "----", {UN, UN, UN, UN}},
        {"P8 408", FAILURE_NONE, 408, "----", {UN, UN, UN, UN}},
        {"P8 500 says NA", FAILURE_NONE, 500, "----", {NA, NA, NA, NA}, .says_na = true},
        {"P9 425", FAILURE_NONE, 425, "++++", {NA, NA, NA, NA}},
        {"P9 421", FAILURE_NONE, 421, "++++", {NA, NA, NA, NA}},
        {"P10 404", FAILURE_NONE, 404, "----", {NA, NA, NA, NA}},
        {"P10 501", FAILURE_NONE, 501, "----", {NA, NA, NA, NA}},
        {"P10 307", FAILURE_NONE, 307, "----", {NA, NA, NA, NA}},
        {"P10 507", FAILURE_NONE, 507, "----", {NA, NA, NA, NA}},
        {"P11", FAILURE_BODY, 200, "+---", {AP, AP, AP, AP}},
        {"P11 dedupe", FAILURE_BODY, 200, "++++", {AP, AP, AP, AP}, .dedupe = true},
        {"P13", FAILURE_LOCAL, 0, "----", {NA, NA, NA, NA}},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        check(&rows[i]);
    }
}

Test(retry, A042_A043_the_free_retry_is_one)
{
    struct retry_facts f = facts(SAFETY_R);

    f.failure = FAILURE_REFUSED;
    f.used_free_retry = true;
    f.attempts = 2;
    struct retry_verdict v = retry_decide(&f);
    cr_assert(v.again && !v.is_free && v.delay_ns > 0);
    f.attempts = 3;
    cr_assert_not(retry_decide(&f).again);
    f.attempts = 2;
    f.failure = FAILURE_GOAWAY;
    cr_assert(retry_decide(&f).again);
    f.h2_code = 11; /* with an error, twice: every connection would end so */
    cr_assert_not(retry_decide(&f).again);
    f.used_free_retry = false;
    f.body_gone = true;
    cr_assert_not(retry_decide(&f).again);
    f = facts(SAFETY_M);
    f.status = 425;
    f.attempts = 2;
    cr_assert_not(retry_decide(&f).again, "425: once");
}

Test(retry, a_reply_over_the_limit_is_not_fetched_again)
{
    static const enum failure_point at[] = {FAILURE_BODY, FAILURE_WAITING, FAILURE_SENDING};

    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        struct retry_facts f = facts(SAFETY_R);

        f.failure = at[i];
        struct retry_verdict v = retry_decide(&f);
        cr_assert(v.again);
        f.over_limit = true;
        struct retry_verdict over = retry_decide(&f);
        cr_assert_not(over.again);
        cr_assert_eq(over.outcome, v.outcome);
    }
}

/* nginx after keepalive_requests: calls it did not take go elsewhere, as often as that happens. */
Test(retry, A039_a_connection_that_served_its_share_costs_no_attempt)
{
    struct retry_facts f = facts(SAFETY_Q);

    f.failure = FAILURE_GOAWAY;
    f.others_served = true;
    f.used_free_retry = true;
    f.attempts = f.max_attempts;
    f.tokens = 0;
    struct retry_verdict v = retry_decide(&f);
    cr_assert(v.again && v.is_free && v.is_move && v.delay_ns == 0);
    f.n_moves = 8; /* often: it waits for the others */
    v = retry_decide(&f);
    cr_assert(v.again && v.is_free && v.is_move && v.delay_ns > 0);
    f.body_gone = true;
    cr_assert_not(retry_decide(&f).again);
    f.body_gone = false;
    f.h2_code = 11;
    cr_assert_not(retry_decide(&f).again, "that is a complaint");
    f.h2_code = 0;
    f.others_served = false;
    cr_assert_not(retry_decide(&f).again, "it never served");
    f.failure = FAILURE_REFUSED;
    f.others_served = true;
    cr_assert_not(retry_decide(&f).again);
}

Test(retry, backoff_grows_and_is_spread)
{
    static const int64_t base_ms[] = {100, 200, 400, 800, 1000, 1000};
    struct retry_facts f = facts(SAFETY_R);

    f.failure = FAILURE_WAITING;
    f.max_attempts = 100;
    for (unsigned i = 0; i < 6; i++) {
        f.attempts = i + 1;
        for (f.random = 0; f.random < 100; f.random++) {
            int64_t ns = retry_decide(&f).delay_ns;

            cr_assert(ns >= base_ms[i] * PFS_MS / 100 * 80 &&
                      ns <= base_ms[i] * PFS_MS / 100 * 120);
        }
    }
    f.failure = FAILURE_NONE;
    f.status = 429;
    f.retry_after_ms = 1234;
    cr_assert_eq(retry_decide(&f).delay_ns, 1234 * PFS_MS, "the peer's wish");
}

Test(retry, B1_classes)
{
    cr_assert_eq(op_safety(PFS_OP_STAT), SAFETY_R);
    cr_assert_eq(op_safety(PFS_OP_READDIR), SAFETY_R);
    cr_assert_eq(op_safety(PFS_OP_TRUNCATE), SAFETY_W);
    cr_assert_eq(op_safety(PFS_OP_RENAME), SAFETY_M);
    cr_assert_eq(op_safety(PFS_OP_READ), SAFETY_Q, "a read may be a dequeue");
    cr_assert_eq(op_safety(PFS_OP_WRITE), SAFETY_Q, "a write may be an enqueue");
    cr_assert_eq(op_safety((enum pfs_op)9999), SAFETY_Q);

    struct pfs_request part = {.op = PFS_OP_HANDLE_WRITE, .offset = 5, .flags = WRITE_UNSEEN};
    cr_assert_eq(op_safety_of(&part), SAFETY_R, "nobody sees it, however often");
    part.offset = -1;
    cr_assert_eq(op_safety_of(&part), SAFETY_Q, "at the position: each time further on");
    part = (struct pfs_request){.op = PFS_OP_HANDLE_WRITE, .offset = 5};
    cr_assert_eq(op_safety_of(&part), SAFETY_Q, "a handle may be of a queue");
    part = (struct pfs_request){.op = PFS_OP_HANDLE_REPLACE};
    cr_assert_eq(op_safety_of(&part), SAFETY_R);
    part = (struct pfs_request){.op = PFS_OP_HANDLE_COMMIT};
    cr_assert_eq(op_safety_of(&part), SAFETY_M, "now everybody sees it");
    part = (struct pfs_request){.op = PFS_OP_WRITE, .offset = 5, .flags = WRITE_UNSEEN};
    cr_assert_eq(op_safety_of(&part), SAFETY_Q);
}
