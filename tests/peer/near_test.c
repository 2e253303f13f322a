/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Over loopback: what tells a client that its peer is near. */
#include "fs/client.h"
#include "fs/remote.h"
#include "world.h"
#include <criterion/criterion.h>
#include <string.h>
#include <time.h>

/* Its health is long in coming, its files are not. */
static void answer_files_quickly(struct h2server *s, struct h2peer *p)
{
    h2peer_hello(p, 0, NULL);
    for (struct h2req *r; (r = h2peer_request(p)) != NULL;) {
        if (strstr(r->path, "/files?")) {
            h2peer_headers(p, 0, r->stream, (const char *const[]){":status", "200", NULL});
            h2peer_data(p, H2_END_STREAM, r->stream, "content");
        } else {
            nanosleep(&(struct timespec){.tv_nsec = 2 * REMOTE_FAR_NS}, NULL);
            h2peer_reply(p, r->stream, "200", "{\"status\":\"healthy\"}");
        }
        h2peer_forget(r);
    }
}

Test(near, a_read_shows_that_the_peer_is_near)
{
    struct world w = {0};
    struct pfs_stream *s;

    world_open(&w, answer_files_quickly, NULL, NULL);
    cr_assert_eq(pfs_health(w.c, &w.err), PFS_OK);
    cr_assert(remote_is_far(w.c->remote));
    world_mark(&w);
    while (remote_is_far(w.c->remote) && world_ms(&w) < 10000) {
        cr_assert_eq(pfs_open_read(w.c, "/f", 0, -1, &s, &w.err), PFS_OK, "%s", w.err.text);
        pfs_stream_close(s);
    }
    cr_assert_not(remote_is_far(w.c->remote), "who only reads would do that in parts for ever");
    world_close(&w);
}
