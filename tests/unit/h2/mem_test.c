/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "h2/mem.h"
#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

#define PAGE 4096

Test(h2_mem, zeroed_blocks)
{
    struct h2_mem m;

    h2_mem_init(&m);
    m.blocks.kept_max = 32; /* under AddressSanitizer it would keep none */
    unsigned char *a = m.face.malloc(128, &m);
    memset(a, 0xff, 128);
    m.face.free(a, &m);
    unsigned char *zeroed = m.face.calloc(4, 32, &m);
    cr_assert_eq((void *)zeroed, (void *)a);
    for (int i = 0; i < 128; i++) {
        cr_assert_eq(zeroed[i], 0);
    }
    cr_assert_null(m.face.calloc(SIZE_MAX / 2, 3, &m));
    h2_mem_fini(&m);
}

/* Pages that are given back read as zero. */
Test(h2_mem, rest_gives_back_the_frame_buffer_and_nothing_else)
{
    struct h2_mem m;

    h2_mem_init(&m);
    unsigned char *frame = m.face.realloc(NULL, 5 * PAGE, &m), *other = m.face.malloc(5 * PAGE, &m);
    memset(frame, 0xff, 5 * PAGE);
    memset(other, 0xff, 5 * PAGE);
    h2_mem_rest(&m, true);
    cr_assert_eq(frame[2 * PAGE], 0xff, "it is needed");
    h2_mem_rest(&m, false);
    unsigned gone = 0;
    for (int i = 0; i < 5 * PAGE; i++) {
        gone += frame[i] == 0;
        cr_assert_eq(other[i], 0xff);
    }
    cr_assert_eq(gone, 4 * PAGE, "%u: all whole pages", gone);
    cr_assert_eq(frame[0], 0xff, "what may share its page with another block stays");
    cr_assert_eq(frame[5 * PAGE - 1], 0xff);
    m.face.free(frame, &m);
    h2_mem_rest(&m, false);
    cr_assert_eq(other[2 * PAGE], 0xff, "there is no frame buffer now");
    h2_mem_fini(&m);
}
