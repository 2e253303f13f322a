/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Configurations of mounts, without what is secret in them. */
#include "base/alloc.h"
#include "base/mask.h"
#include "jsonout.h"
#include "secret_name.h"
#include "wire/json.h"
#include <string.h>
#include <strings.h>

/* s: NULL for one with a NUL byte in it. */
static void put_text(struct jout *j, const char *key, const char *s)
{
    bool url = s && (strstr(s, "://") || strcasecmp(key, "base_url") == 0);
    char *masked = url ? pfs_mask_url(s) : NULL;

    j->failed |= url && !masked;
    jo_str(j, masked ? masked : s ? s : "***");
    pfs_free(masked);
}

/* JSON_DEPTH_MAX deep at most. */
static void put_value(struct jout *j, const char *key, struct json_value v)
{
    struct json_member m = {0};

    switch (json_kind(v)) {
    case JSON_OBJECT:
        jo_begin(j, '{');
        while (json_next(v, &m)) {
            jo_name(j, m.key);
            if (is_secret_name(m.key, strlen(m.key)) && json_kind(m.value) != JSON_NULL) {
                jo_str(j, "***");
            } else {
                put_value(j, m.key, m.value);
            }
        }
        jo_end(j, '}');
        break;
    case JSON_ARRAY:
        jo_begin(j, '[');
        for (size_t i = 0; i < json_length(v); i++) {
            put_value(j, key, json_at(v, i));
        }
        jo_end(j, ']');
        break;
    case JSON_STRING:
        put_text(j, key, json_str(v));
        break;
    case JSON_NULL:
    case JSON_BOOL:
    case JSON_INT:
    case JSON_REAL:
        jo_raw(j, "");
        j->failed |= !json_to_text(v, &j->buf);
        break;
    }
}

void jo_raw_masked(struct jout *j, const char *json)
{
    struct json_value tree = {0};
    struct pfs_error err;

    if (json_parse(json, strlen(json), JSON_REQUEST, &tree, &err) == PFS_OK) {
        put_value(j, "", tree);
    } else if (err.cls == PFS_NOMEM) {
        j->failed = true;
    } else {
        jo_str(j, "***");
    }
    json_fini(&tree);
}
