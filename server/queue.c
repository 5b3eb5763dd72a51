/* The list of queue.h. Keeps the invariant that tail is the last element whenever head is not NULL. */
#include "queue.h"

void queue_push(queue *q, inference *inf) {
  inf->next = NULL;
  if (q->head)
    q->tail->next = inf;
  else
    q->head = inf;
  q->tail = inf;
}

inference *queue_pop(queue *q) {
  inference *inf = q->head;
  if (!inf) return NULL;
  q->head = inf->next;
  inf->next = NULL;
  return inf;
}

inference *queue_take(queue *q, bool (*wanted)(void *context, const inference *inf), void *context) {
  queue taken = {0}, left = {0};
  for (inference *inf; (inf = queue_pop(q)) != NULL;) queue_push(wanted(context, inf) ? &taken : &left, inf);
  *q = left;
  return taken.head;
}
