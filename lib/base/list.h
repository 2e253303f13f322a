/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_BASE_LIST_H
#define PFS_BASE_LIST_H

/* Intrusive doubly linked list. A node is in one list at most; an unlinked one points to itself. */
#include "base/container.h"
#include <stdbool.h>

struct list {
    struct list *next, *prev;
};

#define list_entry(node, type, member) container_of(node, type, member)
/* Safe against removal of the current node only. */
#define list_for_each(it, head)                                                                    \
    for (struct list *it = (head)->next, *it##_next = it->next; it != (head);                      \
         it = it##_next, it##_next = it->next)

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_is_empty(const struct list *l)
{
    return l->next == l;
}

static inline void list_append(struct list *head, struct list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* First node, unlinked, or NULL. */
static inline struct list *list_take_first(struct list *head)
{
    struct list *n = head->next;

    if (n == head) {
        return NULL;
    }
    list_remove(n);
    return n;
}

/* Moves all nodes of `from` to the end of `to`. */
static inline void list_move_all(struct list *to, struct list *from)
{
    if (list_is_empty(from)) {
        return;
    }
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

#endif
