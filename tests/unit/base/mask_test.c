/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/alloc.h"
#include "base/mask.h"
#include <criterion/criterion.h>

Test(mask, urls)
{
    static const struct {
        const char *url, *shown;
    } rows[] = {
        {"", ""},
        {"http://h:1/api/v1", "http://h:1/api/v1"},
        {"http://u:p@h:1/api/v1", "http://***@h:1/api/v1"},
        {"http://u:p/w@h/x", "http://***@h/x"},
        {"http://u:p@w@h", "http://***@h"},
        {"u:p@h", "***@h"},
        {"http://h?token=t", "http://h?***"},
        {"http://h/x#t", "http://h/x#***"},
        {"http://h/x?", "http://h/x?***"},
        {"http://u:p@h/x?token=t", "http://***@h/x?***"},
        {"http://u:p?w@h/x", "http://***@h/x"},
        {"http://h/x?token=t@t", "http://***"},
        {"http://h?token=t@t", "http://***"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *shown = pfs_mask_url(rows[i].url);

        cr_expect_str_eq(shown, rows[i].shown, "%s", rows[i].url);
        pfs_free(shown);
    }
}
