/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Golden vectors: made by HdrHistogram's implementation in JavaScript (hdr_js.js). Deflated bytes
 * differ between deflaters, so what is compared is what they hold. */
#include "report.h"
#include <criterion/criterion.h>
#include <endian.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static const char golden_empty[] = "HISTFAAAACB4nJNpmSzMwMDACMXMDBDAyMDA7GawYwEDnA8ASQ8DHw==";
static const char golden_few[] =
    "HISTFAAAADV4nJNpmSzMwMDAz8DAwMjAwMDMAAGMDAzMbgY7FjDA+EwsP+WZ2Pb3MV7gv3ybiQkAnF4IMg==";
static const char golden_many[] =
    "HISTFAAABMF4nLWVMYhjRRzGZ/4zb968eZN5xvAMMYYQQgghhHVZlmVZluWQ8zjkOA45ZDmuOCxERMRCrrBYDrUQ"
    "C4stBOFAsZArDrEQBQuLqyysLKzEwsrCSsRWMpk3b2beJJvz8JrM732/75vHbrh97v3zDkKdTxFCGCFE0OofRoi8"
    "+Px3n6GKH+1BQffZKT8TX2D5I1Z/YjgH+i2wXzH/AYufsfwdq38wfAj0PrCHwP/G4gGWX2P1PYZHmP6E2S+Y/4bF"
    "H1j+hdVDDPcw/QCzjzD/GItzLD/B6j6GzzH9ErMHmH+FxTdYvofVbbhD77BX+WvidfmGehPeom+zd/hdcVe+q87g"
    "jN7D7Ba/JF6Ql9VluEKvsKv8qnhJXlPX4Dq9zm7wG+KmfFndhFfoKTvlp+KWvK1OYEF32A7fEbtyV+3CLt1je3xP"
    "7Mt9tQ8HdJ8d8ENxIA/VIRzRI3bEj8SxPFbHcEKP2Qm/JC7JE7ULQzpkIz4SQzlSYxjRERvzsRjJsZrAmI7ZhE/E"
    "WE7VBCZ0wqZ8KqZyqqYwpTM25TMxkzM1gxmdszmfibmcqzks6Jwt+EIs5ELNoaRdVvJSdGWputClJevyrujKrqae"
    "pp7sqh70NPVET/ZUD/q0x3q8L3qyr6nP+rwv+rKv+poGvC8Gsq8GMNA0EAM5UAMY0gEb8KEYyKGmIRvyoRjKoepD"
    "QQvW4oUoZKFamgpDBRS0bahtqW2obahtqW2oDW3aMdSx1NHU0dThbdHR1NHU8ajUVGoqeUeUslQdKDWVlkpLXSho"
    "xjKeiUxmKoPcUO5QLjKZqwwymlvKLS3NHHJLue7lLDeUr6WWoZbJWpZaAS3NlqaW7i2zlqaV2bJUZ4WhOisMFcYs"
    "oKV/fy1ROFQYM6UJS3gqEpmoFBKasoQnIjWUsNSh1JipSiCN0spMda+mKqtMP0tN5vbSIMsaZsoyh7LAzCKUWTOL"
    "UmbMTPdqqrOVmeleTVVW9bIoZZZSh3InSxjhRBBJFAFCiaXEo2XmmknUTAIzMZuJZ8Yosb0kyJItqOol5s38bB3V"
    "5qpXr1SmTyszzFYrid10zWpzHbkriVl5ckqDLF1LtZmalTTI0oAQRQxxIpBECmkiHBkiOlsRMSYSxJikkZGgF5rE"
    "u4FEMuL0iLNJ1vRIJKt7tVmvbEPVir9JnPtiJtlgbkd1L9ys73NNN3N7MTPWC7OqV61Um9UNMTOWuTe4KxdTuFJn"
    "qPH/2eaVJyP9lQBEGVoeFQKKGEdCfy/tcZU7R7+1+VjVwt3qtqbsGc2N4HEwspXS0B/jbLrupjmbu8y9awr25exq"
    "2G4GzlTMci6MVwIw/QgEHW+tcemahbVe41WbLfujikWb6T/WXCL/W4+szUi0RxomuXCTBCtkAzEupLKf+gOZT/2B"
    "7OPld6B6jKyNIjFqaCjUt/xEfh95+8i91yt4AmouNAMUfbDajhuovhX5ap3UnS0V3/VL2x68ureM3EuReQ10kR2T"
    "TBZ5VOkXP3KKznzTb4amGdX8N2sUGtXHOHkr9bJ3GwreZW3ZjUMRxdrhhVt26j9O8Zwx/owCqoR8irKnNYtnK15G"
    "QrMfBUczEBGWteVCNbYx8x5Yw1Z8Tz/Wtt1zwpjirPwLVv++EQ==";

/* The counts of a base64 text, after a look at its cookie. */
static unsigned char *unpack(const char *text, uLongf *ret_n)
{
    size_t n = strlen(text);
    unsigned char *raw = malloc(n), *plain = malloc(*ret_n = 1 << 20);
    uint32_t word[2];

    int bytes = EVP_DecodeBlock(raw, (const unsigned char *)text, (int)n);
    cr_assert_gt(bytes, 8);
    memcpy(word, raw, sizeof word);
    cr_assert_eq(be32toh(word[0]), 0x1c849314u);
    cr_assert_leq(be32toh(word[1]), (uint32_t)bytes - 8);
    cr_assert_eq(uncompress(plain, ret_n, raw + 8, be32toh(word[1])), Z_OK);
    free(raw);
    return plain;
}

static void expect_same(const struct hist *h, const char *golden)
{
    uLongf n_ours, n_golden;
    char *text = hist_encode(h);
    unsigned char *ours = unpack(text, &n_ours), *theirs = unpack(golden, &n_golden);

    cr_assert_eq(n_ours, n_golden, "%lu bytes, %lu wanted", n_ours, n_golden);
    cr_assert_arr_eq(ours, theirs, 8);
    /* It has 1 as normalizing offset and as the bits of the ratio; those in C and Java 0 and 1.0.
     */
    cr_assert_arr_eq(ours + 12, theirs + 12, 20);
    cr_assert_arr_eq(ours + 40, theirs + 40, n_ours - 40);
    free(ours);
    free(theirs);
    free(text);
}

Test(bench_hist_log, as_hdr_histogram_encodes)
{
    static const int64_t few[][2] = {{0, 1},    {1, 2},          {2047, 1},
                                     {2048, 3}, {1000000, 1000}, {HIST_MAX_NS, 1}};
    struct hist *h = hist_new(3);

    for (size_t i = 0; i < sizeof few / sizeof few[0]; i++)
        hist_record_n(h, few[i][0], (uint64_t)few[i][1]);
    expect_same(h, golden_few);
    hist_free(h);
    h = hist_new(3);
    for (int64_t i = 0; i < 3000; i++)
        hist_record_n(h, i * i * 37 + 5000, (uint64_t)(i % 7 + 1));
    expect_same(h, golden_many);
    hist_free(h);
}

/* The other implementation writes one zero for an empty histogram, we none: the header is alike. */
Test(bench_hist_log, an_empty_one)
{
    struct hist *h = hist_new(3);
    uLongf n_ours, n_golden;
    char *text = hist_encode(h);
    unsigned char *ours = unpack(text, &n_ours), *theirs = unpack(golden_empty, &n_golden);

    cr_assert_eq(n_ours, 40);
    cr_assert_eq(n_golden, 41);
    cr_assert_arr_eq(ours + 12, theirs + 12, 20);
    free(ours);
    free(theirs);
    free(text);
    hist_free(h);
}

Test(bench_hist_log, a_log_has_header_tag_and_interval)
{
    struct report r = {.started_s = 1.5e9};
    char *text;
    size_t n;

    r.targets = calloc(1, sizeof *r.targets);
    r.n_targets = 1;
    r.targets[0] =
        (struct report_target){.name = strdup("a,\nb"), .url = strdup(""), .path = strdup("")};
    r.targets[0].steps = calloc(1, sizeof(struct step));
    r.targets[0].n_steps = 1;
    struct step *s = r.targets[0].steps;
    s->value = 64;
    s->seconds = 2.5;
    s->ops[OP_STAT].hist = hist_new(3);
    hist_record(s->ops[OP_STAT].hist, 3000000);
    FILE *f = open_memstream(&text, &n);
    report_write_hdr(f, &r);
    fclose(f);
    cr_assert_eq(
        strncmp(text, "#[Histogram log format version 1.3]\n#[StartTime: 1500000000.000 (", 65), 0);
    cr_assert(strstr(text, "\nTag=a--b.stat.64,0.000,2.500,3.000,HISTF"), "%s", text);
    free(text);
    report_fini(&r);
}
