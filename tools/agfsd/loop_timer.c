/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "loop_timer.h"
#include "loop.h"
#include <errno.h>
#include <sys/timerfd.h>
#include <unistd.h>

static void on_readable(uv_poll_t *handle, int status, int events)
{
    struct loop_timer *t = handle->data;
    uint64_t n_times;

    if (read(t->fd, &n_times, sizeof n_times) != (ssize_t)sizeof n_times) {
        return; /* it was set anew, or stopped, since it was due */
    }
    t->is_set = t->repeats;
    t->on_time(t->loop);
}

enum pfs_class loop_timer_init(struct loop_timer *t, struct loop *l,
                               void (*on_time)(struct loop *l), struct pfs_error *err)
{
    *t = (struct loop_timer){.loop = l, .on_time = on_time};
    t->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (t->fd < 0) {
        return loop_lacks(uv_translate_sys_error(errno), err);
    }
    int rc = uv_poll_init(&l->uv, &t->poll, t->fd);

    if (rc != 0) {
        close(t->fd);
        return loop_lacks(rc, err);
    }
    t->poll.data = t;
    uv_poll_start(&t->poll, UV_READABLE, on_readable);
    return PFS_OK;
}

static struct timespec in_ms(int64_t ms)
{
    return (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
}

void loop_timer_set(struct loop_timer *t, int64_t after_ms, int64_t each_ms)
{
    struct itimerspec when = {.it_value = in_ms(after_ms), .it_interval = in_ms(each_ms)};

    if (after_ms <= 0) {
        when.it_value = (struct timespec){.tv_nsec = 1}; /* 0 would stop it */
    }
    t->is_set = true;
    t->repeats = each_ms > 0;
    timerfd_settime(t->fd, 0, &when, NULL); /* fails only for what is no time */
}

void loop_timer_stop(struct loop_timer *t)
{
    const struct itimerspec never = {.it_value = {0}};

    t->is_set = false;
    timerfd_settime(t->fd, 0, &never, NULL);
}

static void on_closed(uv_handle_t *handle)
{
    struct loop_timer *t = handle->data;

    close(t->fd);
}

void loop_timer_close(struct loop_timer *t)
{
    uv_close((uv_handle_t *)&t->poll, on_closed);
}
