/* Requests that share a run: pictures of several, one a thread of the team, or a few side by side.
 *
 * A run begins with those that wait and ask the same of the same model, and goes on as long as whoever has waited
 * longest does so too: a thread that has done its pictures takes the next ones, so that none waits for another. It ends
 * when somebody else's turn has come. Everything here but sharing_run is called with the scheduler's lock held. */
#ifndef SERVER_SHARING_H
#define SERVER_SHARING_H

#include <pthread.h>

#include "queue.h"

typedef struct sharing sharing;

/* What it has in common with the scheduler; borrowed. */
typedef struct sharing_place {
  pthread_mutex_t *lock;
  pthread_cond_t *work;     /* signalled when something comes in or is to be closed */
  queue *waiting;           /* decoded, or with `decode` */
  const atomic_bool *abort; /* cancel everything */
} sharing_place;

/* NULL without memory. */
sharing *sharing_create(const sharing_place *place, uint32_t threads);
void sharing_free(sharing *s); /* NULL is allowed */

/* Are there enough like this one for a picture a thread? Else it is served sooner with the whole team in one. */
bool sharing_begins(sharing *s, const inference *first);

/* Take those out of the queue. */
void sharing_gather(sharing *s, inference *first);

/* Simulate them, and those that join, until no more may. Without the lock. False with `rest`, those gathered, each of
 * which has to be run alone to learn what is wrong with it. */
bool sharing_run(sharing *s, inference **rest);

/* Nobody may join any more. */
void sharing_close(sharing *s);

/* End what nobody wants any more. */
void sharing_sweep(sharing *s);

/* Cancel what runs. */
void sharing_abort(sharing *s);

#endif
