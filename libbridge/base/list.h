/* base/list.h - a doubly linked ring that lives inside what it links. */
#ifndef BASE_LIST_H
#define BASE_LIST_H
#include <stdbool.h>
#include <stddef.h>

typedef struct list {
    struct list *next, *prev;
} list;

#define list_of(item, type, member) ((type *)((char *)(item) - offsetof(type, member)))
#define list_each(it, head)         for (list *it = (head)->next; it != (head); it = it->next)
#define list_each_safe(it, head)    for (list *it = (head)->next, *it##_n = it->next; it != (head); it = it##_n, it##_n = it->next)

static inline void list_init(list *l) { l->next = l->prev = l; }
static inline bool list_empty(const list *l) { return l->next == l; }
static inline bool list_linked(const list *l) { return l->next && l->next != l; }
static inline void list_push(list *head, list *item) /* at the end */
{
    item->prev = head->prev;
    item->next = head;
    head->prev->next = item;
    head->prev = item;
}
static inline void list_push_front(list *head, list *item) { list_push(head->next, item); }
static inline void list_remove(list *item) /* also of one that is in no list, if it was initialised */
{
    if (!item->next) return;
    item->prev->next = item->next;
    item->next->prev = item->prev;
    list_init(item);
}
static inline list *list_pop(list *head) /* the first; NULL: empty */
{
    list *item = head->next;
    if (item == head) return NULL;
    list_remove(item);
    return item;
}
#endif
