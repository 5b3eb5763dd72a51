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

static bool is_over(void *context, const inference *inf) {
  return inference_is_over(inf, *(const uint64_t *)context);
}

inference *queue_take_over(queue *q, uint64_t now_ns) {
  for (const inference *inf = q->head; inf; inf = inf->next)
    if (inference_is_over(inf, now_ns)) return queue_take(q, is_over, &now_ns);
  return NULL;
}

void queue_finish(inference *list) {
  for (inference *inf = list, *next; inf; inf = next) {
    next = inf->next;
    inf->next = NULL;
    inference_leave_queue(inf);
    inference_expired(inf, snn_clock_ns());
    inf->done(inf);
  }
}
