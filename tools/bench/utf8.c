/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "utf8.h"

int utf8_length(const char *s)
{
    unsigned char lead = (unsigned char)s[0], second = (unsigned char)s[1];
    int n = lead >= 0xc2 && lead < 0xe0   ? 2
            : lead >= 0xe0 && lead < 0xf0 ? 3
            : lead >= 0xf0 && lead < 0xf5 ? 4
                                          : 0;

    if ((lead == 0xe0 && second < 0xa0) || (lead == 0xf0 && second < 0x90)) /* too long */
        return 0;
    if ((lead == 0xed && second > 0x9f) || (lead == 0xf4 && second > 0x8f)) /* no character */
        return 0;
    for (int i = 1; i < n; i++) {
        if (((unsigned char)s[i] & 0xc0) != 0x80)
            return 0;
    }
    return n;
}
