/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_JSONOUT_H
#define AGFSD_JSONOUT_H

/*
 * Responses as JSON: the values of wire/json_out.h (spelled as Go does) with the punctuation around
 * them. Running out of memory is remembered and shows in jo_take. One thread at a time.
 */
#include "base/buf.h"
#include <proxyfs/driver.h>
#include <string.h>

struct jout {
    struct pfs_buf buf;
    bool comma;  /* a comma is due before the next key or element */
    bool failed; /* out of memory */
};

void jo_begin(struct jout *j, char open); /* '{' or '[' */
void jo_end(struct jout *j, char close);
void jo_key_n(struct jout *j, const char *key, size_t n);
/* plain ASCII, not escaped; inline since most are literals */
static inline void jo_key(struct jout *j, const char *key)
{
    jo_key_n(j, key, strlen(key));
}
void jo_name(struct jout *j, const char *key); /* any text */
void jo_str(struct jout *j, const char *s);    /* NULL: "" */
void jo_strn(struct jout *j, const char *s, size_t n);
void jo_int(struct jout *j, int64_t v);
void jo_bool(struct jout *j, bool v);
void jo_null(struct jout *j);
/* A value that is JSON text already. */
void jo_raw(struct jout *j, const char *json);
/* A configuration as JSON text, with the user, password and query of every URL in it, and values
 * named token, password and the like, shown as "***". */
void jo_raw_masked(struct jout *j, const char *json);
/* Time since 1970 UTC as RFC 3339 with up to 9 fractional digits. */
void jo_time(struct jout *j, int64_t ns);
/* {"name":...,"size":...,...,"meta":{...}}: agfs-http-api.md 2.3. */
void jo_stat(struct jout *j, const struct pfs_stat *st);
/* {"file":...,"line":...,"content":...}: 4.14. */
void jo_match(struct jout *j, const struct pfs_match *m);
/* "key":"value" */
void jo_member(struct jout *j, const char *key, const char *value);

/* Ends the text with a line feed and hands it over (malloc'ed); NULL: out of memory. */
char *jo_take(struct jout *j, size_t *ret_len);
/* The same without a line feed, for what goes on elsewhere. ret_len: NULL allowed. */
char *jo_take_bare(struct jout *j, size_t *ret_len);
void jo_fini(struct jout *j);

#endif
