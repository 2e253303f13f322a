/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* GET /limits: what the limits are, how much is in use, how often and by whom they were hit. */
#include "api.h"
#include "jsonout.h"
#include "meters.h"

static void put_number(struct jout *j, const char *name, int64_t value)
{
    jo_key(j, name);
    jo_int(j, value);
}

static void put_limit(void *arg, const char *name, enum limit_kind kind, int64_t value)
{
    put_number(arg, name, value);
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
    put_number(&j, "uploads", UPLOADS_MAX);
    put_number(&j, "uploads_per_client", UPLOADS_PER_CLIENT);
    put_number(&j, "upload_idle", UPLOAD_LEASE_S * 1000);
    jo_end(&j, '}');
    jo_key(&j, "in_use");
    jo_begin(&j, '{');
    put_number(&j, "connections", gauge_read(GAUGE_CONNECTIONS));
    put_number(&j, "handshakes", gauge_read(GAUGE_HANDSHAKES));
    put_number(&j, "body_memory", gauge_read(GAUGE_BODY_MEMORY));
    put_number(&j, "uploads", vfs_n_uploads(c->api->vfs));
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
