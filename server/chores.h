/* Chores: work that may take its time and that no other thread should wait for, such as loading a model.
 *
 * One thread, first in first out, a bounded number waiting. A chore may block on disk and on the scheduler; socket
 * threads hand requests over with api_in_background (api.h). Any thread may submit. */
#ifndef SERVER_CHORES_H
#define SERVER_CHORES_H

#include <stdbool.h>

enum { CHORES_MAX = 64 }; /* waiting */

struct server;

typedef struct chores chores;

/* Start the thread; NULL when it or memory is refused. `s` is handed to every chore. */
chores *chores_start(struct server *s);

/* Have run(s, context) called on the thread. False when CHORES_MAX are waiting. */
bool chores_submit(chores *c, void (*run)(struct server *s, void *context), void *context);

/* Finish what was submitted and end the thread; NULL is allowed. */
void chores_stop(chores *c);

#endif
