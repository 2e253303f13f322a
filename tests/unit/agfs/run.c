/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "run.h"
#include "shell.h"
#include <stdlib.h>

void run_begin(struct run *r)
{
    *r = (struct run){.client = fake_new()};
    fake_dir(r->client, "/m1");
    fake_dir(r->client, "/m2");
    fake_dir(r->client, "/remote");
    fake_file(r->client, "/m1/b.txt", "bee\n");
    fake_file(r->client, "/m1/a", "line one\n");
    fake_dir(r->client, "/m1/sub");
    fake_file(r->client, "/m1/sub/c.txt", "sea");
    fake_file(r->client, "/remote/reload", "");
    cli_init(&r->cli, r->client, "http://fake:1/api/v1");
}

void run_end(struct run *r)
{
    free(r->out);
    free(r->err);
    cli_fini(&r->cli);
    pfs_client_free(r->client);
}

int run_line(struct run *r, const char *line)
{
    free(r->out);
    free(r->err);
    r->cli.out = open_memstream(&r->out, &r->out_len);
    r->cli.err = open_memstream(&r->err, &r->err_len);
    int code = shell_line(&r->cli, line);
    fclose(r->cli.out);
    fclose(r->cli.err);
    return code;
}
