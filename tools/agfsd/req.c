/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "req.h"
#include "base/alloc.h"
#include "conn.h"
#include "identity.h"
#include <stdio.h>
#include <string.h>

/* ---- life ---- */

struct http_req *req_new(struct loop *l, struct conn *c, const struct req_ops *ops)
{
    struct http_req *r = http_alloc(l, sizeof(*r));

    if (!r) {
        return NULL;
    }
    memset(r, 0, offsetof(struct http_req, fields));
    list_init(&r->node);
    list_init(&r->fed);
    list_init(&r->blocks);
    r->ops = ops;
    r->conn = c;
    r->loop = l;
    r->client = identity_share(conn_client(c));
    r->address = c->client;
    r->conn_id = c->id;
    r->number = ++c->n_requests;
    r->content_length = -1;
    r->resp_left = -1;
    r->arena = r->small_arena;
    r->arena_cap = REQ_ARENA;
    r->arena_len = 1; /* offset 0 is the empty string */
    r->small_arena[0] = '\0';
    r->method = HTTP_OTHER;
    l->n_reqs++;
    l->spin.n_reqs++;
    return r;
}

void req_settle(struct http_req *r)
{
    if (r->dead || !r->gone || (r->given && !r->answered) || r->sink_busy) {
        return;
    }
    r->dead = true;
    list_remove(&r->node);
    list_remove(&r->fed);
    if (r->conn) {
        r->ops->released(r);
    }
    list_append(&r->loop->dead_reqs, &r->node); /* callers up the stack may still look at it */
}

void req_bury(struct loop *l)
{
    struct list *node;

    while ((node = list_take_first(&l->dead_reqs))) {
        struct http_req *r = list_entry(node, struct http_req, node);

        req_body_drop(r);
        req_block_drop(r);
        if (r->arena != r->small_arena) {
            pfs_free(r->arena);
        }
        identity_drop(r->client);
        l->n_reqs--;
        http_free(l, r);
    }
}

void req_start(struct http_req *r)
{
    r->given = true;
    r->body_check_ms = loop_now_ms(r->loop);
    api_on_request(r);
}

void req_gone(struct http_req *r)
{
    if (!r->gone) {
        r->gone = true;
        if (r->on_gone && !r->answered) {
            r->on_gone(r->gone_arg);
        }
        req_resp_gone(r);
        req_body_gone(r);
    }
    req_settle(r);
}

void req_doubt(struct http_req *r)
{
    if (r->on_doubt && !r->answered && !r->gone) {
        r->on_doubt(r->doubt_arg);
    }
}

void req_orphan(struct http_req *r)
{
    r->conn = NULL;
    list_remove(&r->node);
    req_gone(r);
}

/* ---- header ---- */

/* Copies n bytes and a NUL; 0: no memory. Offsets fit 16 bits by REQ_BLOCK_MAX. */
static uint32_t arena_add(struct http_req *r, const char *p, size_t n)
{
    if (r->arena_cap - r->arena_len < n + 1) {
        uint32_t cap = r->arena_cap;

        while (cap - r->arena_len < n + 1) {
            cap *= 2;
        }
        char *mem = pfs_malloc(cap);
        if (!mem) {
            return 0;
        }
        memcpy(mem, r->arena, r->arena_len);
        if (r->arena != r->small_arena) {
            pfs_free(r->arena);
        }
        r->arena = mem;
        r->arena_cap = cap;
    }
    uint32_t at = r->arena_len;

    memcpy(r->arena + at, p, n);
    r->arena[at + n] = '\0';
    r->arena_len += (uint32_t)n + 1;
    return at;
}

void req_set_method(struct http_req *r, const char *name, size_t n)
{
    static const char names[][8] = {
        [HTTP_GET] = "GET",       [HTTP_PUT] = "PUT",   [HTTP_POST] = "POST",
        [HTTP_DELETE] = "DELETE", [HTTP_HEAD] = "HEAD", [HTTP_OPTIONS] = "OPTIONS",
    };

    r->method = HTTP_OTHER;
    for (unsigned i = 0; i < sizeof(names) / sizeof(*names) && n < sizeof(*names); i++) {
        if (memcmp(names[i], name, n) == 0 && names[i][n] == '\0') {
            r->method = (enum http_method)i;
            break;
        }
    }
}

bool req_set_target(struct http_req *r, const char *target, size_t n)
{
    const char *mark = memchr(target, '?', n);
    size_t n_path = mark ? (size_t)(mark - target) : n;

    if (n > REQ_LINE_MAX) {
        r->over_limit = true;
        return true;
    }
    r->path = (uint16_t)arena_add(r, target, n_path);
    if (mark) {
        r->query = (uint16_t)arena_add(r, mark + 1, n - n_path - 1);
    }
    return r->path != 0 && (!mark || r->query != 0);
}

bool req_add_field(struct http_req *r, const char *name, size_t n_name, const char *value,
                   size_t n_value)
{
    r->header_size += (uint32_t)(n_name + n_value + 32); /* as RFC 9113 6.5.2 counts */
    if (r->header_size > REQ_HEADER_MAX || r->n_fields == REQ_FIELDS_MAX) {
        r->over_limit = true;
        return true;
    }
    uint32_t at = arena_add(r, name, n_name);
    uint32_t value_at = at ? arena_add(r, value, n_value) : 0;

    if (!value_at) {
        return false;
    }
    for (char *c = r->arena + at; *c; c++) {
        if (*c >= 'A' && *c <= 'Z') {
            *c |= 0x20;
        }
    }
    r->fields[r->n_fields].name = (uint16_t)at;
    r->fields[r->n_fields].value = (uint16_t)value_at;
    r->n_fields++;
    return true;
}

/* ---- what the API asks ---- */

enum http_method http_method(const struct http_req *r)
{
    return r->method;
}

const char *http_path(const struct http_req *r)
{
    return r->arena + r->path;
}

const char *http_query(const struct http_req *r)
{
    return r->arena + r->query;
}

const char *http_field(const struct http_req *r, const char *name)
{
    for (unsigned i = 0; i < r->n_fields; i++) {
        const char *own = r->arena + r->fields[i].name;

        /* Of a dozen names that are looked for few are there: the first letter saves the call. */
        if (*own == *name && strcmp(own, name) == 0) {
            return r->arena + r->fields[i].value;
        }
    }
    return NULL;
}

int64_t http_content_length(const struct http_req *r)
{
    return r->content_length;
}

const char *http_client(const struct http_req *r)
{
    return r->client;
}

const struct client_key *http_address(const struct http_req *r)
{
    return &r->address;
}

void http_on_gone(struct http_req *r, void (*fn)(void *arg), void *arg)
{
    r->on_gone = fn;
    r->gone_arg = arg;
    if (r->gone && fn) {
        fn(arg);
    }
}

void http_on_doubt(struct http_req *r, void (*fn)(void *arg), void *arg)
{
    r->on_doubt = fn;
    r->doubt_arg = arg;
}

bool http_was_reset(const struct http_req *r)
{
    return r->gone && r->conn;
}

void http_on_sent(struct http_req *r, struct http_sent *s)
{
    r->sent = s;
}

void http_request_id(const struct http_req *r, char dst[HTTP_ID_MAX])
{
    snprintf(dst, HTTP_ID_MAX, "c%u-%u", r->conn_id, r->number);
}

struct loop *http_loop(const struct http_req *r)
{
    return r->loop;
}
