/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * How fast a listing becomes values: the library's decoder, which pulls them out of the text,
 * against json-c building its tree (which would then still have to be read). Same text, in turns;
 * prints the microseconds of each, best of the rounds.
 *
 * usage: list_load ENTRIES ROUNDS
 */
#include "base/buf.h"
#include "base/clock.h"
#include "wire/wire.h"
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

static struct pfs_buf make_listing(unsigned n)
{
    struct pfs_buf b = {0};
    bool ok = pfs_buf_add_str(&b, "{\"files\":[");

    for (unsigned i = 0; i < n; i++) {
        ok = ok &&
             pfs_buf_printf(&b,
                            "%s{\"name\":\"entry-%06u.txt\",\"size\":%u,\"mode\":420,"
                            "\"modTime\":\"2025-11-29T12:34:56.123456789Z\",\"isDir\":false,"
                            "\"meta\":{\"Name\":\"memfs\",\"Type\":\"file\",\"Content\":null}}",
                            i ? "," : "", i, i * 7);
    }
    if (!ok || !pfs_buf_add_str(&b, "]}\n")) {
        fprintf(stderr, "list_load: out of memory\n");
        exit(1);
    }
    return b;
}

static int64_t decode(const struct pfs_buf *b, unsigned entries)
{
    int64_t began = pfs_now();
    struct pfs_reply reply = {0};
    struct pfs_error err;

    if (wire_list_decode(pfs_buf_data(b), pfs_buf_len(b), &reply.list, &reply.n_list, &err) !=
            PFS_OK ||
        reply.n_list != entries) {
        fprintf(stderr, "list_load: the listing cannot be decoded\n");
        exit(1);
    }
    int64_t took = pfs_now() - began;
    pfs_reply_fini(&reply);
    return took;
}

static int64_t build_tree(const struct pfs_buf *b)
{
    struct json_tokener *t = json_tokener_new();
    int64_t began = pfs_now();
    struct json_object *root =
        t ? json_tokener_parse_ex(t, pfs_buf_data(b), (int)pfs_buf_len(b)) : NULL;
    int64_t took = pfs_now() - began;

    if (!root) {
        fprintf(stderr, "list_load: json-c cannot parse the listing\n");
        exit(1);
    }
    json_object_put(root);
    json_tokener_free(t);
    return took;
}

int main(int argc, char **argv)
{
    unsigned entries = argc == 3 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
    unsigned rounds = argc == 3 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
    int64_t ours = PFS_NEVER, tree = PFS_NEVER;

    if (entries == 0 || rounds == 0) {
        fprintf(stderr, "usage: list_load ENTRIES ROUNDS\n");
        return 2;
    }
    struct pfs_buf b = make_listing(entries);
    while (rounds-- > 0) {
        ours = pfs_earlier(ours, decode(&b, entries));
        tree = pfs_earlier(tree, build_tree(&b));
    }
    printf("%.1f %.1f\n", (double)ours / 1e3, (double)tree / 1e3);
    pfs_buf_fini(&b);
    return 0;
}
