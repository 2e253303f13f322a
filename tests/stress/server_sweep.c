/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Each allocation of a server's life fails once: making it, serving requests of every kind over
 * both protocols, its end. No crash and no leak; an answer is a success or says 503 (500 where a
 * stream could not be made, 431 never), or the connection ends; and the next request is served.
 */
#include "base/alloc.h"
#include "meters.h"
#include "stress.h"
#include "support/agfsd_mem.h"
#include <string.h>

#define HOST "Host: x\r\n"
#define EMPTY HOST "Content-Length: 0\r\n\r\n"
#define LINE "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define LARGE LINE LINE LINE LINE LINE LINE LINE LINE LINE LINE LINE LINE LINE LINE LINE LINE
#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0\0\0\0\4\1\0\0\0\0"

static const struct conversation {
    const char *text;
    size_t n; /* 0: its strlen */
} conversations[] = {
    {"PUT /api/v1/files?path=/m/f HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello", 0},
    {"GET /api/v1/files?path=/m/f&offset=1 HTTP/1.1\r\n" HOST "\r\n", 0},
    {"PUT /api/v1/files?path=/m/c HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
     "5\r\nhello\r\n0\r\n\r\n",
     0},
    {"PUT /api/v1/files?path=/m/c HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
     "80\r\n" LINE LINE "\r\n80\r\n" LINE LINE "\r\n0\r\n\r\n", /* as much as a buffer holds */
     0},
    {"PUT /api/v1/files?path=/m/g HTTP/1.1\r\n" HOST
     "Content-Length: 5120\r\n\r\n" LARGE LARGE LARGE LARGE LARGE,
     0},
    {"GET /api/v1/files?path=/m/g HTTP/1.1\r\n" HOST "\r\n", 0},
    {"GET /api/v1/files?path=/m/g&stream=true HTTP/1.1\r\n" HOST "\r\n", 0},
    {"POST /api/v1/copy?path=/m/g HTTP/1.1\r\n" HOST
     "Content-Length: 18\r\n\r\n{\"newPath\":\"/m/h\"}",
     0},
    {"GET /api/v1/directories?path=/m HTTP/1.1\r\n" HOST "\r\n", 0},
    {"GET /api/v1/stat?path=/ HTTP/1.1\r\n" HOST "\r\n", 0},
    {"POST /api/v1/rename?path=/m/c HTTP/1.1\r\n" HOST
     "Content-Length: 18\r\n\r\n{\"newPath\":\"/m/d\"}",
     0},
    {"POST /api/v1/digest HTTP/1.1\r\n" HOST
     "Content-Length: 37\r\n\r\n{\"algorithm\":\"md5\",\"path\":\"/h/hello\"}",
     0},
    {"POST /api/v1/grep HTTP/1.1\r\n" HOST
     "Content-Length: 47\r\n\r\n{\"path\":\"/h\",\"pattern\":\"e\",\"recursive\":true}   ",
     0},
    {"POST /api/v1/symlink?path=/m/l HTTP/1.1\r\n" HOST
     "Content-Length: 14\r\n\r\n{\"target\":\"f\"}",
     0},
    {"GET /api/v1/files?path=/m/l&stream=true HTTP/1.1\r\n" HOST "\r\n", 0},
    {"DELETE /api/v1/files?path=/m/l HTTP/1.1\r\n" EMPTY, 0},
    {"POST /api/v1/handles/open?path=/m/f&flags=2 HTTP/1.1\r\n" EMPTY, 0},
    {"GET /api/v1/handles HTTP/1.1\r\n" HOST "\r\n", 0},
    {"POST /api/v1/mkdir?path=/q/q HTTP/1.1\r\n" EMPTY, 0},
    {"PUT /api/v1/files?path=/q/q/enqueue HTTP/1.1\r\n" HOST
     "x-req-id: 00112233445566778899aabbccddeeff\r\nContent-Length: 1\r\n\r\nm",
     0},
    {"GET /api/v1/files?path=/q/q/dequeue HTTP/1.1\r\n" HOST "\r\n", 0},
    {"PUT /api/v1/files?path=/s/x HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\nx", 0},
    {"GET /api/v1/mounts HTTP/1.1\r\n" HOST "\r\n", 0},
    {"GET /api/v1/plugins HTTP/1.1\r\n" HOST "\r\n", 0},
    {"GET /metrics HTTP/1.1\r\n" HOST "\r\n", 0},
    {"GET /api/v1/health HTTP/1.1\r\n" HOST "\r\n", 0},
    {"GET /api/v1/limits HTTP/1.1\r\n" HOST "\r\n", 0},
    /* GET /api/v1/health and a PUT with a body, by HTTP/2 */
    {PREFACE "\0\0\x15\1\5\0\0\0\1\x82\x86\x04\x0e/api/v1/health\x41\x01x", 0},
};
#define N (sizeof conversations / sizeof *conversations)

static size_t length(size_t i)
{
    const char *p = conversations[i].text;

    return strncmp(p, "PRI", 3) == 0 ? sizeof PREFACE - 1 + 9 + 21 : strlen(p);
}

/* One conversation while an allocation may fail. */
static void talk(size_t i, bool sure)
{
    static char answer[65536];
    size_t n = agfsd_mem_talk(conversations[i].text, length(i), 0, answer, sizeof answer - 1);

    answer[n] = '\0';
    REQUIRE(gauge_read(GAUGE_BODY_MEMORY) == 0, "conversation %zu: %lld bytes of bodies are left",
            i, (long long)gauge_read(GAUGE_BODY_MEMORY));
    if (strncmp(conversations[i].text, "PRI", 3) == 0) {
        REQUIRE(n == 0 || answer[3] == 4, "conversation %zu: no SETTINGS first", i);
        return;
    }
    bool good = strncmp(answer, "HTTP/1.1 20", 11) == 0;
    bool busy = strncmp(answer, "HTTP/1.1 503 ", 13) == 0;

    REQUIRE(n == 0 || good || busy || !sure, "conversation %zu: %.400s", i, answer);
    REQUIRE(n == 0 || strncmp(answer, "HTTP/1.1 ", 9) == 0, "conversation %zu: %.60s", i, answer);
}

static void prepare(void)
{
    static const char *const lines[] = {
        "DELETE /api/v1/files?path=/m/d HTTP/1.1\r\n" EMPTY,
        "DELETE /api/v1/files?path=/m/h HTTP/1.1\r\n" EMPTY,
        "DELETE /api/v1/files?path=/m/l HTTP/1.1\r\n" EMPTY,
        "PUT /api/v1/files?path=/m/c HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\nc",
        "PUT /api/v1/files?path=/m/f HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\nf",
        "POST /api/v1/symlink?path=/m/l HTTP/1.1\r\n" HOST
        "Content-Length: 14\r\n\r\n{\"target\":\"f\"}",
        "POST /api/v1/mkdir?path=/q/q HTTP/1.1\r\n" EMPTY,
    };
    char answer[4096];

    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        agfsd_mem_talk(lines[i], strlen(lines[i]), 0, answer, sizeof answer);
    }
}

int main(void)
{
    unsigned long failed = 0, starts = 0;
    char answer[4096];

    for (unsigned long nth = 1;; nth++) {
        pfs_alloc_fail_nth(nth);
        bool up = agfsd_mem_try_start();
        bool over = pfs_alloc_count() < nth;

        pfs_alloc_fail_nth(0);
        if (up) {
            agfsd_mem_stop();
        }
        starts++;
        if (over) {
            break;
        }
    }
    agfsd_mem_start();
    for (size_t i = 0; i < N; i++) {
        for (unsigned long nth = 1, over = 0; !over; nth++) {
            prepare();
            if (strstr(conversations[i].text, "symlink")) { /* its link is not there */
                const char *gone = "DELETE /api/v1/files?path=/m/l HTTP/1.1\r\n" EMPTY;

                agfsd_mem_talk(gone, strlen(gone), 0, answer, sizeof answer);
            }
            pfs_alloc_fail_nth(nth);
            talk(i, true);
            over = pfs_alloc_count() < nth;
            pfs_alloc_fail_nth(0);
            failed += !over;
        }
        talk(N - 3, true); /* health: it goes on */
    }
    agfsd_mem_stop();
    printf("%lu allocations of the start and %lu of %zu conversations failed, one at a time\n",
           starts, failed, N);
    return 0;
}
