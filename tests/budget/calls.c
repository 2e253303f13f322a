/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Small calls for counting instructions: N reads or stats by one caller, on one connection with TLS
 * to an agfsd of its own. The server is another process, so a tool that watches this one sees the
 * client only.
 *
 * usage: calls AGFSD PKIDIR read|stat N
 */
#include "../support/spawn.h"
#include <proxyfs/proxyfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE 250

static void die(const char *what, const struct pfs_error *err)
{
    fprintf(stderr, "%s: %s\n", what, err->text);
    exit(1);
}

static void call(struct pfs_client *c, bool stats)
{
    struct pfs_error err;
    struct pfs_stat st;
    struct pfs_data data;

    if (stats) {
        if (pfs_stat(c, "/m/f", &st, &err) != PFS_OK || st.size != SIZE) {
            die("stat", &err);
        }
        pfs_stat_fini(&st);
        return;
    }
    if (pfs_read(c, "/m/f", 0, -1, &data, &err) != PFS_OK || data.len != SIZE) {
        die("read", &err);
    }
    pfs_data_fini(&data);
}

int main(int argc, char **argv)
{
    static const char *const args[] = {"--mount", "memfs:/m", NULL};
    char url[64], ca[512], bytes[SIZE];
    struct pfs_client *c;
    struct pfs_error err;

    if (argc != 5) {
        fprintf(stderr, "usage: calls AGFSD PKIDIR read|stat N\n");
        return 2;
    }
    struct spawned *server = spawn_agfsd(argv[1], argv[2], 0, args);
    snprintf(url, sizeof url, "https://127.0.0.1:%u", (unsigned)spawned_tls_port(server));
    snprintf(ca, sizeof ca, "%s/ca.pem", argv[2]);
    /* Without the clock's part in it: the same work each time. */
    struct pfs_option options[] = {
        {"base_url", url}, {"ca_file", ca}, {"max_connections", "1"}, {"spin", "0"}};
    memset(bytes, 'x', sizeof bytes);
    if (pfs_client_new(options, sizeof options / sizeof *options, &c, &err) != PFS_OK ||
        pfs_write(c, "/m/f", bytes, sizeof bytes, -1, 0, NULL, &err) != PFS_OK) {
        die("the server", &err);
    }
    for (int i = 0, n = (int)strtol(argv[4], NULL, 10); i < n; i++) {
        call(c, strcmp(argv[3], "stat") == 0);
    }
    pfs_client_free(c);
    spawned_stop(server);
    return 0;
}
