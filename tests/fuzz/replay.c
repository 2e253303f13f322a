/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Runs a fuzz target without a fuzzer: each file of a directory as it is, and some thousand times
 * with small changes that are the same every time. replay DIRECTORY [changes per file]
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX 65536
#define CHANGES 300

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static uint64_t state = 1;

static uint32_t next(uint32_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32) % below;
}

static size_t change(uint8_t *p, size_t n)
{
    for (uint32_t k = 1 + next(4); k > 0 && n > 1; k--) {
        size_t at = next((uint32_t)n), len = 1 + next(8);

        len = len < n - at ? len : n - at;
        switch (next(5)) {
        case 0:
            p[at] ^= (uint8_t)(1u << next(8));
            break;
        case 1:
            p[at] = (uint8_t)next(256);
            break;
        case 2:
            n = at + 1;
            break;
        case 3: /* a piece is gone */
            memmove(p + at, p + at + len, n - at - len);
            n -= len;
            break;
        case 4: /* a piece comes twice */
            if (n + len <= INPUT_MAX) {
                memmove(p + at + len, p + at, n - at);
                n += len;
            }
            break;
        }
    }
    return n;
}

static unsigned replay(const char *path, unsigned changes)
{
    static uint8_t seed[INPUT_MAX];
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(seed, 1, sizeof seed, f) : 0;

    if (f) {
        fclose(f);
    }
    for (unsigned i = 0; f && i <= changes; i++) {
        uint8_t *copy = malloc(INPUT_MAX); /* of its own, for AddressSanitizer to watch its end */

        memcpy(copy, seed, n);
        size_t m = i > 0 ? change(copy, n) : n;

        copy = realloc(copy, m + !m);
        LLVMFuzzerTestOneInput(copy, m);
        free(copy);
    }
    return f != NULL;
}

int main(int argc, char **argv)
{
    DIR *dir = argc > 1 ? opendir(argv[1]) : NULL;
    unsigned n = 0, changes = argc > 2 ? (unsigned)atoi(argv[2]) : CHANGES;

    for (struct dirent *e; dir && (e = readdir(dir));) {
        char path[4096];

        snprintf(path, sizeof path, "%s/%s", argv[1], e->d_name);
        n += e->d_name[0] != '.' && replay(path, changes);
    }
    if (dir) {
        closedir(dir);
    }
    printf("%u files\n", n);
    return n > 0 ? 0 : 1;
}
