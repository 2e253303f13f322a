/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors
 *
 * report_page <REPORT.json >PAGE.html: the page that agfs-bench makes of a report, of whatever is
 * on standard input. */
#include "html.h"
#include <stdlib.h>

int main(void)
{
    size_t len = 0, size = 65536, n;
    char *json = malloc(size);

    while (json && (n = fread(json + len, 1, size - len, stdin)) > 0) {
        len += n;
        if (len == size) {
            json = realloc(json, size *= 2);
        }
    }
    if (!json || ferror(stdin) || html_write(stdout, json, len) != 0) {
        perror("report_page");
        return 1;
    }
    free(json);
    return 0;
}
