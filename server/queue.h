/* A first-in first-out list of inferences. Intrusive, without a lock and without a bound: its owner has the lock, the
 * ledger has the bound. */
#ifndef SERVER_QUEUE_H
#define SERVER_QUEUE_H

#include <stdbool.h>

#include "inference.h"

/* A zero-initialised struct is an empty queue. */
typedef struct queue {
  inference *head, *tail;
} queue;

void queue_push(queue *q, inference *inf);
inference *queue_pop(queue *q); /* NULL when empty */

/* Take out, in order, every inference that `wanted` accepts, as a list linked by `next`. */
inference *queue_take(queue *q, bool (*wanted)(void *context, const inference *inf), void *context);

/* Take out those that were cancelled or whose deadline has passed; finish them, each with its problem and its place
 * given back. The latter without any lock held. */
inference *queue_take_over(queue *q, uint64_t now_ns);
void queue_finish(inference *list);

#endif
