/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "conn/resolve.h"
#include "base/alloc.h"
#include "base/err.h"
#include "base/thread.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* Two hold it: the thread, and who asked (until done ran or it was abandoned). */
struct resolve {
    struct io_task task; /* runs on the I/O thread with the answer */
    pthread_mutex_t mu;
    struct io *io; /* NULL: abandoned */
    resolve_fn *done;
    void *arg;
    struct addrinfo *list;
    int gai_error;
    uint16_t port;
    char host[256];
};

static struct addrinfo *look_up(const char *host, uint16_t port, int flags, int *ret_error)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    char service[8];

    snprintf(service, sizeof service, "%u", port);
    *ret_error = getaddrinfo(host, service, &hints, &list);
    return *ret_error == 0 ? list : NULL;
}

struct addrinfo *resolve_literal(const char *host, uint16_t port)
{
    int ignored;

    return look_up(host, port, AI_NUMERICHOST, &ignored);
}

static void resolve_free(struct resolve *r)
{
    if (r->list) {
        freeaddrinfo(r->list);
    }
    pthread_mutex_destroy(&r->mu);
    pfs_free(r);
}

static void deliver(struct io_task *t)
{
    struct resolve *r = container_of(t, struct resolve, task);

    pthread_mutex_lock(&r->mu);
    bool wanted = r->io != NULL;
    struct addrinfo *list = wanted ? r->list : NULL;
    if (wanted) {
        r->list = NULL;
    }
    pthread_mutex_unlock(&r->mu);
    if (wanted) {
        r->done(r->arg, list, r->gai_error);
    }
    resolve_free(r);
}

static void *resolve_main(void *arg)
{
    struct resolve *r = arg;
    int error;
    struct addrinfo *list = look_up(r->host, r->port, AI_ADDRCONFIG, &error);

    pthread_mutex_lock(&r->mu);
    r->list = list;
    r->gai_error = error;
    bool wanted = r->io != NULL;
    if (wanted) {
        io_post(r->io, &r->task); /* under mu: the I/O thread lives until it was abandoned */
    }
    pthread_mutex_unlock(&r->mu);
    if (!wanted) {
        resolve_free(r);
    }
    return NULL;
}

enum pfs_class resolve_start(struct io *io, const char *host, uint16_t port, resolve_fn *done,
                             void *arg, struct resolve **ret, struct pfs_error *err)
{
    struct resolve *r = pfs_calloc(1, sizeof *r);

    if (!r) {
        return pfs_nomem(err, "a name look-up");
    }
    pthread_mutex_init(&r->mu, NULL);
    r->task.run = deliver;
    r->io = io;
    r->done = done;
    r->arg = arg;
    r->port = port;
    snprintf(r->host, sizeof r->host, "%s", host);
    if (pfs_thread_start(resolve_main, r, NULL) != 0) {
        resolve_free(r);
        return pfs_refuse(err, PFS_NOMEM, "no thread for a name look-up");
    }
    *ret = r;
    return PFS_OK;
}

void resolve_abandon(struct resolve *r)
{
    /* When the thread is done its task is posted and frees r; else the thread does. */
    pthread_mutex_lock(&r->mu);
    r->io = NULL;
    pthread_mutex_unlock(&r->mu);
}
