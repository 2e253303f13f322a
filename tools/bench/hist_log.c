/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* HdrHistogram's formats: the V2 encoding of one histogram, and the log of intervals. */
#include "report.h"
#include "util.h"
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

#define COOKIE 0x1c849313u            /* V2, variable length counts */
#define COOKIE_COMPRESSED 0x1c849314u /* the same, deflated */

/* What stands before the counts: all in big endian. */
struct header {
    uint32_t cookie, payload_bytes, normalizing_offset, digits;
    uint64_t lowest, highest, ratio;
} __attribute__((packed));

/* A signed number in 7-bit groups, least first, sign in bit 0; a ninth byte holds 8 bits. */
static unsigned char *put_zigzag(unsigned char *to, int64_t value)
{
    uint64_t v = (uint64_t)value << 1 ^ (uint64_t)(value >> 63);

    for (int i = 0; i < 8 && v > 0x7f; i++, v >>= 7)
        *to++ = (unsigned char)(v | 0x80);
    *to++ = (unsigned char)v;
    return to;
}

/* Counts up to that of the greatest value; a run of zeros as one negative number. */
static unsigned char *put_counts(unsigned char *to, const struct hist *h)
{
    size_t end = h->n_counts;

    while (end > 0 && h->counts[end - 1] == 0)
        end--;
    for (size_t i = 0; i < end;) {
        size_t run = i;
        while (run < end && h->counts[run] == 0)
            run++;
        if (run > i) {
            to = put_zigzag(to, run - i > 1 ? -(int64_t)(run - i) : 0);
            i = run;
        } else {
            to = put_zigzag(to, (int64_t)h->counts[i++]);
        }
    }
    return to;
}

static char *base64(const unsigned char *in, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *out = xcalloc(1, (n + 2) / 3 * 4 + 1), *to = out;

    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)in[i] << 16 | (i + 1 < n ? (uint32_t)in[i + 1] << 8 : 0) |
                     (i + 2 < n ? in[i + 2] : 0u);
        *to++ = digits[v >> 18];
        *to++ = digits[v >> 12 & 63];
        *to++ = i + 1 < n ? digits[v >> 6 & 63] : '=';
        *to++ = i + 2 < n ? digits[v & 63] : '=';
    }
    return out;
}

char *hist_encode(const struct hist *h)
{
    double ratio = 1;
    struct header head = {.cookie = htobe32(COOKIE),
                          .digits = htobe32((uint32_t)h->digits),
                          .lowest = htobe64(1),
                          .highest = htobe64(HIST_MAX_NS)};
    unsigned char *plain = xcalloc(1, sizeof head + 9 * h->n_counts);
    unsigned char *end = put_counts(plain + sizeof head, h);
    uLong n = (uLong)(end - plain), n_packed = compressBound(n);
    unsigned char *packed = xcalloc(1, 8 + n_packed);

    memcpy(&head.ratio, &ratio, sizeof ratio);
    head.ratio = htobe64(head.ratio);
    head.payload_bytes = htobe32((uint32_t)(n - sizeof head));
    memcpy(plain, &head, sizeof head);
    /* The buffer has room for the worst case, so only memory can be missing. */
    if (compress2(packed + 8, &n_packed, plain, n, Z_BEST_COMPRESSION) != Z_OK)
        exit(complain(pfs_class_exit(PFS_NOMEM), "out of memory"));
    uint32_t word[2] = {htobe32(COOKIE_COMPRESSED), htobe32((uint32_t)n_packed)};
    memcpy(packed, word, sizeof word);
    char *text = base64(packed, 8 + n_packed);
    free(plain);
    free(packed);
    return text;
}

/* Tags end at a comma or blank in the readers, and lines at a newline. */
static void write_tag(FILE *f, const char *s)
{
    for (; *s; s++)
        fputc(*s == ',' || (unsigned char)*s <= ' ' || *s == '"' ? '-' : *s, f);
}

static void write_interval(FILE *f, const struct report_target *t, const struct step *s,
                           const char *op, const struct op_result *o)
{
    if (o->hist == NULL || o->hist->total == 0)
        return;
    char *text = hist_encode(o->hist);
    fputs("Tag=", f);
    write_tag(f, t->name);
    fputc('.', f);
    write_tag(f, op);
    if (s->value == s->value)
        fprintf(f, ".%.15g", s->value);
    fprintf(f, ",0.000,%.3f,%.3f,%s\n", s->seconds, (double)o->hist->max / 1e6, text);
    free(text);
}

void report_write_hdr(FILE *f, const struct report *r)
{
    time_t started = (time_t)r->started_s;
    struct tm tm;
    char date[64];

    gmtime_r(&started, &tm);
    strftime(date, sizeof date, "%a %b %d %H:%M:%S UTC %Y", &tm);
    fputs("#[Histogram log format version 1.3]\n", f);
    fprintf(f, "#[StartTime: %.3f (seconds since epoch), %s]\n", r->started_s, date);
    fputs("\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\","
          "\"Interval_Compressed_Histogram\"\n",
          f);
    for (size_t i = 0; i < r->n_targets; i++) {
        const struct report_target *t = &r->targets[i];
        for (size_t k = 0; k < t->n_steps; k++) {
            for (int op = 0; op < N_OPS; op++)
                write_interval(f, t, &t->steps[k], bench_op_name((enum bench_op)op),
                               &t->steps[k].ops[op]);
        }
    }
}
