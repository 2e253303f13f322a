/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * What a hostile client sends to agfsd in clear text, up to its drivers in memory. The first byte
 * chooses the protocol (bit 0: HTTP/2, its preface is put in front) and how the rest is cut.
 */
#include "support/agfsd_mem.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static bool started;
    static char answer[4096];
    size_t front = 0;

    if (!started) {
        agfsd_mem_start();
        started = true;
    }
    if (n == 0 || n > 65536) {
        return 0;
    }
    char *text = malloc(n + sizeof preface);

    if (data[0] & 1) {
        front = sizeof preface - 1;
        memcpy(text, preface, front);
    }
    memcpy(text + front, data + 1, n - 1);
    size_t got = agfsd_mem_talk(text, front + n - 1, data[0] >> 3, answer, sizeof answer);

    if (got > 0 && data[0] & 1 && answer[3] != 4) {
        abort(); /* the first frame of a server is SETTINGS */
    }
    if (got > 12 && !(data[0] & 1) && memcmp(answer, "HTTP/1.1 ", 9) != 0 &&
        memcmp(data + 1, "PRI", 3) != 0) {
        abort();
    }
    free(text);
    return 0;
}
