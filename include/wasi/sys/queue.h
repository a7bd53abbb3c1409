// Lists that are linked by fields of their elements, as queue(3) describes them: LIST, TAILQ and STAILQ, SLIST.
#ifndef PTNET_WASI_SYS_QUEUE_H
#define PTNET_WASI_SYS_QUEUE_H

#include <stddef.h>

// A list with one link: elements go in at the head or behind another one.
#define SLIST_HEAD(name, type) \
  struct name { \
    struct type *slh_first; \
  }
#define SLIST_HEAD_INITIALIZER(head) {NULL}
#define SLIST_ENTRY(type) \
  struct { \
    struct type *sle_next; \
  }
#define SLIST_INIT(head) ((void)((head)->slh_first = NULL))
#define SLIST_FIRST(head) ((head)->slh_first)
#define SLIST_EMPTY(head) (SLIST_FIRST(head) == NULL)
#define SLIST_NEXT(element, field) ((element)->field.sle_next)
#define SLIST_FOREACH(var, head, field) for ((var) = SLIST_FIRST(head); (var); (var) = SLIST_NEXT(var, field))
#define SLIST_INSERT_HEAD(head, element, field) \
  ((void)(SLIST_NEXT(element, field) = SLIST_FIRST(head), SLIST_FIRST(head) = (element)))
#define SLIST_INSERT_AFTER(before, element, field) \
  ((void)(SLIST_NEXT(element, field) = SLIST_NEXT(before, field), SLIST_NEXT(before, field) = (element)))
#define SLIST_REMOVE_HEAD(head, field) ((void)(SLIST_FIRST(head) = SLIST_NEXT(SLIST_FIRST(head), field)))

// A list with links in both directions: any element can be taken out.
#define LIST_HEAD(name, type) \
  struct name { \
    struct type *lh_first; \
  }
#define LIST_HEAD_INITIALIZER(head) {NULL}
#define LIST_ENTRY(type) \
  struct { \
    struct type *le_next, **le_prev; \
  }
#define LIST_INIT(head) ((void)((head)->lh_first = NULL))
#define LIST_FIRST(head) ((head)->lh_first)
#define LIST_EMPTY(head) (LIST_FIRST(head) == NULL)
#define LIST_NEXT(element, field) ((element)->field.le_next)
#define LIST_FOREACH(var, head, field) for ((var) = LIST_FIRST(head); (var); (var) = LIST_NEXT(var, field))
#define LIST_FOREACH_SAFE(var, head, field, after) \
  for ((var) = LIST_FIRST(head); (var) && ((after) = LIST_NEXT(var, field), 1); (var) = (after))
#define LIST_INSERT_HEAD(head, element, field) \
  do { \
    LIST_NEXT(element, field) = LIST_FIRST(head); \
    if (LIST_FIRST(head)) LIST_FIRST(head)->field.le_prev = &LIST_NEXT(element, field); \
    LIST_FIRST(head) = (element); \
    (element)->field.le_prev = &LIST_FIRST(head); \
  } while (0)
#define LIST_INSERT_AFTER(before, element, field) \
  do { \
    LIST_NEXT(element, field) = LIST_NEXT(before, field); \
    if (LIST_NEXT(element, field)) LIST_NEXT(element, field)->field.le_prev = &LIST_NEXT(element, field); \
    LIST_NEXT(before, field) = (element); \
    (element)->field.le_prev = &LIST_NEXT(before, field); \
  } while (0)
#define LIST_REMOVE(element, field) \
  do { \
    if (LIST_NEXT(element, field)) LIST_NEXT(element, field)->field.le_prev = (element)->field.le_prev; \
    *(element)->field.le_prev = LIST_NEXT(element, field); \
  } while (0)

// A list with one link that elements can be added to at the end.
#define STAILQ_HEAD(name, type) \
  struct name { \
    struct type *stqh_first, **stqh_last; \
  }
#define STAILQ_HEAD_INITIALIZER(head) {NULL, &(head).stqh_first}
#define STAILQ_ENTRY(type) \
  struct { \
    struct type *stqe_next; \
  }
#define STAILQ_INIT(head) ((void)((head)->stqh_first = NULL, (head)->stqh_last = &(head)->stqh_first))
#define STAILQ_FIRST(head) ((head)->stqh_first)
#define STAILQ_EMPTY(head) (STAILQ_FIRST(head) == NULL)
#define STAILQ_NEXT(element, field) ((element)->field.stqe_next)
#define STAILQ_FOREACH(var, head, field) for ((var) = STAILQ_FIRST(head); (var); (var) = STAILQ_NEXT(var, field))
#define STAILQ_INSERT_TAIL(head, element, field) \
  do { \
    STAILQ_NEXT(element, field) = NULL; \
    *(head)->stqh_last = (element); \
    (head)->stqh_last = &STAILQ_NEXT(element, field); \
  } while (0)
#define STAILQ_INSERT_HEAD(head, element, field) \
  do { \
    STAILQ_NEXT(element, field) = STAILQ_FIRST(head); \
    if (STAILQ_EMPTY(head)) (head)->stqh_last = &STAILQ_NEXT(element, field); \
    STAILQ_FIRST(head) = (element); \
  } while (0)
#define STAILQ_REMOVE_HEAD(head, field) \
  do { \
    STAILQ_FIRST(head) = STAILQ_NEXT(STAILQ_FIRST(head), field); \
    if (STAILQ_EMPTY(head)) (head)->stqh_last = &STAILQ_FIRST(head); \
  } while (0)

// A list with links in both directions and two ends.
#define TAILQ_HEAD(name, type) \
  struct name { \
    struct type *tqh_first, **tqh_last; \
  }
#define TAILQ_HEAD_INITIALIZER(head) {NULL, &(head).tqh_first}
#define TAILQ_ENTRY(type) \
  struct { \
    struct type *tqe_next, **tqe_prev; \
  }
#define TAILQ_INIT(head) ((void)((head)->tqh_first = NULL, (head)->tqh_last = &(head)->tqh_first))
#define TAILQ_FIRST(head) ((head)->tqh_first)
#define TAILQ_EMPTY(head) (TAILQ_FIRST(head) == NULL)
#define TAILQ_NEXT(element, field) ((element)->field.tqe_next)
#define TAILQ_FOREACH(var, head, field) for ((var) = TAILQ_FIRST(head); (var); (var) = TAILQ_NEXT(var, field))
#define TAILQ_FOREACH_SAFE(var, head, field, after) \
  for ((var) = TAILQ_FIRST(head); (var) && ((after) = TAILQ_NEXT(var, field), 1); (var) = (after))
#define TAILQ_INSERT_TAIL(head, element, field) \
  do { \
    TAILQ_NEXT(element, field) = NULL; \
    (element)->field.tqe_prev = (head)->tqh_last; \
    *(head)->tqh_last = (element); \
    (head)->tqh_last = &TAILQ_NEXT(element, field); \
  } while (0)
#define TAILQ_INSERT_HEAD(head, element, field) \
  do { \
    TAILQ_NEXT(element, field) = TAILQ_FIRST(head); \
    if (TAILQ_EMPTY(head)) (head)->tqh_last = &TAILQ_NEXT(element, field); \
    else TAILQ_FIRST(head)->field.tqe_prev = &TAILQ_NEXT(element, field); \
    TAILQ_FIRST(head) = (element); \
    (element)->field.tqe_prev = &TAILQ_FIRST(head); \
  } while (0)
#define TAILQ_REMOVE(head, element, field) \
  do { \
    if (TAILQ_NEXT(element, field)) TAILQ_NEXT(element, field)->field.tqe_prev = (element)->field.tqe_prev; \
    else (head)->tqh_last = (element)->field.tqe_prev; \
    *(element)->field.tqe_prev = TAILQ_NEXT(element, field); \
  } while (0)

#endif
