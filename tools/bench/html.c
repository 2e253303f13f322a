/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "html.h"
#include "page.h"
#include "report.h"
#include "util.h"
#include <stdlib.h>
#include <string.h>

static int put(FILE *f, const void *bytes, size_t len)
{
    return fwrite(bytes, 1, len, f) == len ? 0 : -1;
}

/* In JSON a < stands in strings only, where \u003c means the same. Without it no text can end the
 * script element that holds the JSON, nor open a comment. */
static int put_json(FILE *f, const char *json, size_t len)
{
    while (len > 0) {
        const char *lt = memchr(json, '<', len);
        size_t n = lt ? (size_t)(lt - json) : len;

        if (put(f, json, n) != 0 || (lt && put(f, "\\u003c", 6) != 0))
            return -1;
        n += lt ? 1 : 0;
        json += n;
        len -= n;
    }
    return 0;
}

int html_write(FILE *f, const char *json, size_t len)
{
    if (put(f, page_head, page_head_len) != 0 || put_json(f, json, len) != 0 ||
        put(f, page_tail, page_tail_len) != 0)
        return -1;
    return fflush(f) == 0 ? 0 : -1;
}

/* An error is left in f, as the other writers do. */
void report_write_html(FILE *f, const struct report *r)
{
    char *json = NULL;
    size_t len = 0;
    FILE *m = xcheck(open_memstream(&json, &len));

    report_write_json(m, r);
    xcheck(fclose(m) == 0 ? json : NULL);
    html_write(f, json, len);
    free(json);
}
