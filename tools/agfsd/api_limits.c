/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* GET /limits: what the limits are, how much is in use, how often and by whom they were hit. */
#include "api.h"
#include "jsonout.h"
#include "meters.h"

static void put_limit(void *arg, const char *name, int64_t value)
{
    struct jout *j = arg;

    jo_key(j, name);
    jo_int(j, value);
}

static void put_meter(struct jout *j, enum meter m, bool with_peer)
{
    struct meter_state s;

    meter_read(m, &s);
    jo_key(j, s.name);
    jo_begin(j, '{');
    jo_key(j, "hits");
    jo_int(j, (int64_t)s.hits);
    if (s.hits) {
        jo_key(j, "last");
        jo_time(j, s.last_ns);
    }
    if (s.hits && with_peer && s.peer[0]) {
        jo_member(j, "last_peer", s.peer);
    }
    jo_end(j, '}');
}

void api_limits(struct api_call *c)
{
    struct jout j = {0};

    jo_begin(&j, '{');
    jo_key(&j, "limits");
    jo_begin(&j, '{');
    limits_each(c->api->limits, put_limit, &j);
    put_limit(&j, "uploads", UPLOADS_MAX);
    put_limit(&j, "upload_idle", UPLOAD_LEASE_S * 1000);
    jo_end(&j, '}');
    jo_key(&j, "in_use");
    jo_begin(&j, '{');
    put_limit(&j, "connections", gauge_read(GAUGE_CONNECTIONS));
    put_limit(&j, "handshakes", gauge_read(GAUGE_HANDSHAKES));
    put_limit(&j, "body_memory", gauge_read(GAUGE_BODY_MEMORY));
    put_limit(&j, "uploads", vfs_n_uploads(c->api->vfs));
    jo_end(&j, '}');
    jo_key(&j, "hit");
    jo_begin(&j, '{');
    for (unsigned m = 0; m < N_METERS; m++) {
        put_meter(&j, (enum meter)m, c->api->admin);
    }
    jo_end(&j, '}');
    jo_end(&j, '}');
    api_respond_json(c, 200, &j);
}
